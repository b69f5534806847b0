#!/usr/bin/env bash
# All checks that do not run the product. Run through `make lint`, which installs the tools.
set -euo pipefail
cd "$(dirname "$0")/.."

tools="${TOOLS_DIR:-.tools}"
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
scripts/advisories.sh check

step "template.yaml"
# cfn-lint needs a region, but no account.
AWS_DEFAULT_REGION=us-east-1 "$tools/venv/bin/cfn-lint" template.yaml

step "workflows of GitHub Actions"
# Without shellcheck and pyflakes, so that the result is the same on a machine that has them.
"$tools/actionlint/actionlint" -shellcheck= -pyflakes=

scripts/advisories.sh report
