#!/usr/bin/env bash
# The integration tests and a short soak with another index mode. Run through `make test-logsdb`, which starts a local
# stack with that mode around this script.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '==> %s\n' "$*" >&2; }

# A missing service is a failure here, never a skipped test.
export CI=true

# The journeys that depend on the index mode: mapping, bulk, dead letters, rollovers and duplicates.
journeys=(golden:: elastic:: collect:: backfill:: redrive:: snapshot:: setup:: check:: old_indices:: index_mode::)

step "integration tests in the index mode $LOCAL_ELASTICSEARCH_INDEX_MODE"
cargo build --workspace --bins --locked
cargo test --workspace --locked --test integration -- "${journeys[@]}"

step "a soak of one seed of each scenario in the index mode $LOCAL_ELASTICSEARCH_INDEX_MODE"
target="${CARGO_TARGET_DIR:-target}"
BOOTSTRAP="$target/debug/bootstrap" "$target/debug/soak" --seeds 1 --snapshots 5
