#!/usr/bin/env bash
# Searches all dependencies for known vulnerabilities, and reports if a run could not.
#
#     scripts/advisories.sh check     # as a step of `make lint`
#     scripts/advisories.sh report    # as the last output of a run
#
# RustSec's list is a GitHub repository; no package registry has it. If CI is set, the run fails if the list cannot be
# fetched, unless ADVISORIES_UNREACHABLE=accepted states that this machine has no access to it.
set -euo pipefail
cd "$(dirname "$0")/.."

deny="${TOOLS_DIR:-.tools}/cargo-deny/bin/cargo-deny"
# Exists only after a run that checked nothing. `report` reads it.
mark="${CARGO_TARGET_DIR:-target}/advisories-not-checked"

check() {
  mkdir -p "$(dirname "$mark")"
  rm -f "$mark"
  if reason="$(timeout 120 "$deny" fetch db 2>&1)"; then
    "$deny" --locked --offline check --hide-inclusion-graph advisories
    return
  fi
  printf 'the advisories of RustSec could not be fetched from GitHub:\n%s\n' "$reason" >&2
  if [ "${ADVISORIES_UNREACHABLE:-}" = accepted ]; then
    printf 'as ADVISORIES_UNREACHABLE=accepted declares\n' >"$mark"
  elif [ -n "${CI:-}" ] && [ "$CI" != false ]; then
    printf '%s\n' "This run is meant to check them, because CI is set. Where GitHub can't be reached at all, say so with" \
      "ADVISORIES_UNREACHABLE=accepted; the run then ends with that note." >&2
    return 1
  else
    printf 'because GitHub could not be reached; with CI=true this would have failed\n' >"$mark"
  fi
}

report() {
  if [ -f "$mark" ]; then
    printf 'NOT CHECKED: known vulnerabilities of the dependencies (RustSec), %s' "$(cat "$mark")" >&2
    printf '\n' >&2
  fi
}

case "${1:-}" in
  check | report) "$1" ;;
  *) echo "usage: $0 check | report" >&2; exit 2 ;;
esac
