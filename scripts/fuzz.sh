#!/usr/bin/env bash
# Plays inputs that nobody would write through every place where bytes from outside come in: INPUTS of them (1,000,000)
# in all, an equal share for each target, or for TARGET alone. Run through `make fuzz`, which installs cargo-fuzz.
set -euo pipefail
cd "$(dirname "$0")/.."

tools="${TOOLS_DIR:-.tools}"
# cargo-fuzz would put its results beside the targets' sources.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}"
results="$(realpath -m "$CARGO_TARGET_DIR")/fuzz"
inputs="${INPUTS:-1000000}"
seed="${SEED:-0}"
all=(reporting getuserdata getdetailedsfdata record payload secret settings elasticsearch checkpoint)
read -ra targets <<< "${TARGET:-${all[*]}}"
share=$(((inputs + ${#targets[@]} - 1) / ${#targets[@]}))

step() { printf '==> %s\n' "$*" >&2; }
# Without a sanitizer it needs no nightly compiler; this code has no `unsafe` that one would look at.
fuzz() { "$tools/cargo-fuzz/bin/cargo-fuzz" fuzz "$1" --fuzz-dir testing/fuzz --sanitizer none play "${@:2}"; }

mkdir -p "$results"
step "building the targets, instrumented (some minutes, once)"
fuzz build

failed=()
for target in "${targets[@]}"; do
  step "$target: $share inputs"
  corpus="$results/corpus/$target" failures="$results/failures/$target/" log="$results/$target.log"
  mkdir -p "$corpus" "$failures"
  # What an earlier run kept is played first, and grows. An input of 16 kB has room for a page of records.
  if FUZZ_TARGET=$target FUZZ_INPUTS=$share FUZZ_CORPUS=$corpus fuzz run "$corpus" -- \
    "-runs=$share" "-seed=$seed" -mutate_depth=1 -max_len=16384 -timeout=20 "-artifact_prefix=$failures" > "$log" 2>&1; then
    grep "^$target .*inputs=" "$log" || { echo "$target: no count in $log" >&2; failed+=("$target"); }
  else
    tail -n 20 "$log" | cut -c 1-400 >&2
    echo "$target: an input failed; it is in $failures, the log in $log" >&2
    failed+=("$target")
  fi
done
if ((${#failed[@]})); then
  echo "failed: ${failed[*]}" >&2
  exit 1
fi
