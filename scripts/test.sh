#!/usr/bin/env bash
# All tests that need the local stack. Run through `make test`, which starts one around this script.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '==> %s\n' "$*" >&2; }

# A missing service is a failure here, never a skipped test.
export CI=true

# Stops what still runs in the background when a step has failed.
trap 'jobs -p | xargs -r kill 2>/dev/null || true' EXIT
target="${CARGO_TARGET_DIR:-target}"

step "the release that the tests deploy, and the other binaries"
# Both at once, because the last part of the release is built by one core.
python scripts/release.py x86_64 &
release=$!
# One selection of packages for all commands, because another selection has other features and rebuilds all crates.
cargo build --workspace --bins --locked
cargo test --workspace --locked --no-run
wait "$release"

step "Rust tests: unit, golden, integration"
# The integration tests mostly wait: for leases, pauses and deadlines.
RUST_TEST_THREADS="${RUST_TEST_THREADS:-8}" cargo test --workspace --locked

step "a short soak: two seeds of every scenario (make soak plays more)"
scripts/bounded.sh "$target/x86_64-unknown-linux-gnu/release/bootstrap" "$target/bounded"
BOOTSTRAP="$target/bounded" "$target/debug/soak" --seeds 2 --snapshots 5

# Each process takes whole files, because the tests of a file share a stack.
python_tests() { python -m pytest -p no:cacheprovider --numprocesses 3 --dist loadfile "$@"; }

# The first day removes the index templates of the node, so nothing else may use the node then.
first_day=tests/deployed/test_first_day.py
step "Python tests: those without Elasticsearch, and the first day"
python_tests tests/content tests/dashboards tests/docs tests/lint tests/package tests/template "$first_day"

step "Python tests: local stack, deployed function, detection rules"
python_tests testing/elasticsearch testing/aws tests/deployed tests/detections --ignore "$first_day"
