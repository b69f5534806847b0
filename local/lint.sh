#!/usr/bin/env bash
# Everything that can be checked without running the product. Run through `make lint`, which installs the tools.
set -euo pipefail
cd "$(dirname "$0")/.."

tools="${TOOLS_DIR:-.tools}"
target="${CARGO_TARGET_DIR:-target}"
step() { printf '==> %s\n' "$*" >&2; }

step "formatting"
cargo fmt --all --check

step "clippy, warnings are errors"
cargo clippy --workspace --all-targets --locked -- -D warnings

step "documentation, warnings are errors"
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

step "licences, banned crates and sources of all dependencies"
"$tools/cargo-deny/bin/cargo-deny" --locked check --hide-inclusion-graph licenses bans sources

step "known vulnerabilities of all dependencies"
if reason="$(timeout 120 "$tools/cargo-deny/bin/cargo-deny" fetch db 2>&1)"; then
  "$tools/cargo-deny/bin/cargo-deny" --locked --offline check --hide-inclusion-graph advisories
else
  printf 'NOT CHECKED: the advisories of RustSec could not be fetched from GitHub:\n%s\n' "$reason" >&2
fi

step "template.yaml"
# cfn-lint asks no account, but wants a region.
AWS_DEFAULT_REGION=us-east-1 "$tools/venv/bin/cfn-lint" template.yaml

step "the release binary starts on Amazon Linux 2023"
cargo build --release --locked --bin bootstrap
"$tools/venv/bin/python" local/check_glibc.py "$target/release/bootstrap"
