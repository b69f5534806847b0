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
RUST_TEST_THREADS="${RUST_TEST_THREADS:-4}" cargo test --workspace --locked

step "a short soak: two seeds of every scenario (make soak plays more); meanwhile the Python tests without Elasticsearch"
without_elasticsearch=(tests/content tests/dashboards tests/docs tests/lint tests/package tests/template)
output="$target/python-tests-without-elasticsearch.log"
python -m pytest -p no:cacheprovider "${without_elasticsearch[@]}" >"$output" 2>&1 &
pytest=$!
BOOTSTRAP="$target/x86_64-unknown-linux-gnu/release/bootstrap" "$target/debug/soak" --seeds 2 --snapshots 5
wait "$pytest" || { cat "$output"; exit 1; }
cat "$output"

step "Python tests: local stack, deployed function, detection rules"
python -m pytest -p no:cacheprovider testing/elasticsearch testing/aws tests/deployed tests/detections
