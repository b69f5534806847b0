#!/usr/bin/env bash
# Measures the function, the same job in Python, and the floor, in one run. Run through `make bench`, which installs the
# tools.
set -euo pipefail
cd "$(dirname "$0")/../.."

tools="$(realpath "${TOOLS_DIR:-.tools}")"
target="${CARGO_TARGET_DIR:-target}"
step() { printf '==> %s\n' "$*" >&2; }

step "the release binary, as it is shipped"
cargo build --release --locked --bin bootstrap
"$tools/venv/bin/python" scripts/package.py "$target/release/bootstrap" dist/lastpass-elastic-x86_64.zip

step "the bench"
cargo build --profile tools --locked --package lastpass-bench

step "the Python function"
"$tools/venv/bin/python" testing/bench/python/package.py "$tools/bench/venv" dist/python.zip
printf '#!%s\nimport sys\nsys.path.insert(0, "%s")\nfrom awslambdaric.__main__ import main\nmain(["bootstrap", "lambda_function.handler"])\n' \
  "$tools/bench/venv/bin/python" "$PWD/testing/bench/python" >"$tools/bench/bootstrap"
chmod +x "$tools/bench/bootstrap"

step "measuring"
BOOTSTRAP="$target/release/bootstrap" PYTHON_BOOTSTRAP="$tools/bench/bootstrap" \
  FUNCTION_ZIP=dist/lastpass-elastic-x86_64.zip PYTHON_ZIP=dist/python.zip "$target/tools/bench"
