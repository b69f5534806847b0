#!/usr/bin/env bash
# The integration tests and a short soak on indices of another mode. Run through `make test-logsdb`, which starts a local
# stack with that mode around this script.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '==> %s\n' "$*" >&2; }

# An absent service is a failure here, never a skipped test.
export CI=true

step "integration tests in the index mode $LOCAL_ELASTICSEARCH_INDEX_MODE"
cargo test --locked --test integration

step "a soak of one seed of each scenario in the index mode $LOCAL_ELASTICSEARCH_INDEX_MODE"
cargo build --locked --bin bootstrap
cargo build --locked --package lastpass-soak
target="${CARGO_TARGET_DIR:-target}"
BOOTSTRAP="$target/debug/bootstrap" "$target/debug/soak" --seeds 1
