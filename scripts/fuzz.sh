#!/usr/bin/env bash
# Runs INPUTS inputs (100,000) through each target in testing/fuzz, or through TARGET only. Run through `make fuzz`, which
# installs cargo-fuzz.
set -euo pipefail
cd "$(dirname "$0")/.."

tools="${TOOLS_DIR:-.tools}"
# By default cargo-fuzz writes its results beside the sources of the targets.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}"
results="$(realpath -m "$CARGO_TARGET_DIR")/fuzz"
inputs="${INPUTS:-100000}"
targets=("${TARGET:-lastpass}")
[[ -n "${TARGET:-}" ]] || targets+=(payload secret settings)

step() { printf '==> %s\n' "$*" >&2; }
# Without a sanitizer, the pinned stable compiler suffices. The code has no `unsafe` that a sanitizer would examine.
fuzz() { "$tools/cargo-fuzz/bin/cargo-fuzz" fuzz "$1" --fuzz-dir testing/fuzz --sanitizer none "${@:2}"; }

step "building the targets with coverage (some minutes, once)"
fuzz build

failed=()
for target in "${targets[@]}"; do
  step "$target: $inputs inputs"
  corpus="$results/corpus/$target" failures="$results/failures/$target/" log="$results/$target.log"
  mkdir -p "$corpus" "$failures"
  seeds=("testing/fuzz/seeds/$target")
  [[ $target == payload ]] && seeds+=(events)
  # The first folder receives the inputs worth keeping, which the next run starts from.
  if fuzz run "$target" "$corpus" "${seeds[@]}" -- "-runs=$inputs" "-seed=${SEED:-1}" -dict=testing/fuzz/json.dict \
    -max_len=16384 -timeout=20 "-artifact_prefix=$failures" > "$log" 2>&1; then
    tail -n 1 "$log"
  else
    tail -n 20 "$log" | cut -c 1-400 >&2
    echo "$target: an input failed; it is in $failures, and the log is $log" >&2
    failed+=("$target")
  fi
done
if ((${#failed[@]})); then
  echo "failed: ${failed[*]}" >&2
  exit 1
fi
