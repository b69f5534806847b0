"""`scripts/advisories.sh` checks for known vulnerabilities. If it cannot, the run fails or reports it at its end."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Stands in for cargo-deny: fetches the list or not, and finds something or not.
CARGO_DENY = """#!/bin/sh
case "$*" in
  "fetch db") [ -n "$REACHABLE" ] || { echo "Could not resolve host: github.com"; exit 1; } ;;
  *advisories) [ -z "$VULNERABLE" ] || { echo "a vulnerability"; exit 1; } ;;
  *) exit 9 ;;
esac
"""


@pytest.fixture
def run(tmp_path):
    binary = tmp_path / "tools" / "cargo-deny" / "bin" / "cargo-deny"
    binary.parent.mkdir(parents=True)
    binary.write_text(CARGO_DENY)
    binary.chmod(0o755)

    def run(what: str, **variables: str) -> subprocess.CompletedProcess:
        without = {k: v for k, v in os.environ.items() if k not in ("CI", "ADVISORIES_UNREACHABLE")}
        env = without | {"TOOLS_DIR": str(tmp_path / "tools"), "CARGO_TARGET_DIR": str(tmp_path / "target"), **variables}
        return subprocess.run([ROOT / "scripts" / "advisories.sh", what], env=env, capture_output=True, text=True, check=False)

    return run


@pytest.mark.parametrize("ci", ["true", "1", "yes"])
@pytest.mark.parametrize("declared", [{}, {"ADVISORIES_UNREACHABLE": ""}, {"ADVISORIES_UNREACHABLE": "true"}])
def test_ci_fails_where_the_list_cannot_be_fetched(run, ci, declared):
    failed = run("check", CI=ci, **declared)
    assert failed.returncode != 0
    assert "ADVISORIES_UNREACHABLE=accepted" in failed.stderr and "github.com" in failed.stderr
    assert run("report").stderr == ""


@pytest.mark.parametrize(("variables", "said"), [
    ({"CI": "true", "ADVISORIES_UNREACHABLE": "accepted"}, "ADVISORIES_UNREACHABLE=accepted"),
    ({"ADVISORIES_UNREACHABLE": "accepted"}, "ADVISORIES_UNREACHABLE=accepted"),
    ({}, "GitHub could not be reached"),
    ({"CI": "false"}, "GitHub could not be reached"),
])
def test_a_run_that_checked_nothing_reports_it_at_its_end(run, variables, said):
    assert run("check", **variables).returncode == 0
    reported = run("report")
    assert reported.returncode == 0
    (line,) = reported.stderr.splitlines()
    assert line.startswith("NOT CHECKED: known vulnerabilities") and said in line
    # After a successful check there is nothing to report.
    assert run("check", REACHABLE="1", **variables).returncode == 0
    assert run("report").stderr == ""


@pytest.mark.parametrize("variables", [{}, {"CI": "true"}, {"CI": "true", "ADVISORIES_UNREACHABLE": "accepted"}])
def test_a_vulnerability_that_is_known_fails_every_run(run, variables):
    assert run("check", REACHABLE="1", VULNERABLE="1", **variables).returncode != 0


def test_the_report_is_the_last_thing_that_a_run_does():
    for target in ("lint", "test"):
        make = ["make", "--no-print-directory", "-n", target]
        planned = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        last = planned.strip().splitlines()[-1]
        script = last if "advisories" in last else (ROOT / last).read_text().strip().splitlines()[-1]
        assert script == "scripts/advisories.sh report", target
    assert (ROOT / "scripts" / "lint.sh").read_text().count("scripts/advisories.sh check") == 1


def test_the_accepted_gap_of_ci_has_a_reason():
    """A comment gives the reason, and no other file of the project accepts it."""
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    declared = lines.index("export ADVISORIES_UNREACHABLE=accepted")
    assert lines[declared - 1].startswith("# ")
    for file in [ROOT / "Makefile", *(ROOT / "scripts").glob("*.sh")]:
        assert not re.search(r"export ADVISORIES_UNREACHABLE|ADVISORIES_UNREACHABLE=accepted \S*make", file.read_text()), file
