#!/usr/bin/env bash
# All tests that need the local stack. Run through `make test`, which starts one around this script.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '==> %s\n' "$*" >&2; }

# A missing service is a failure here, never a skipped test.
export CI=true

step "the release that the tests deploy"
python scripts/release.py x86_64
step "the other binaries that the tests start"
# One selection of packages for all commands, because another selection has other features and rebuilds all crates.
cargo build --workspace --bins --locked

step "Rust tests: unit, golden, integration"
# The integration tests mostly wait: for leases, pauses and deadlines.
RUST_TEST_THREADS="${RUST_TEST_THREADS:-4}" cargo test --workspace --locked

step "a short soak: two seeds of every scenario (make soak plays more)"
target="${CARGO_TARGET_DIR:-target}"
BOOTSTRAP="$target/x86_64-unknown-linux-gnu/release/bootstrap" "$target/debug/soak" --seeds 2 --snapshots 5

step "Python tests: local stack, template, deployed function"
python -m pytest -p no:cacheprovider testing/elasticsearch testing/aws tests

if [[ "${LOCAL_ELASTICSEARCH_VERSION:-8}" == 8.* ]]; then
  step "the detection rules in a quiet week (make quiet-year plays a year)"
  python scripts/quiet_year.py --events 20000
fi
