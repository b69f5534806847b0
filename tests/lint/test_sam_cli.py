"""The required version of the SAM CLI is stated where it is used, and checked."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "check_sam.py"
MINIMUM = re.search(r"^MINIMUM = \((\d+), (\d+)\)$", SCRIPT.read_text(), re.MULTILINE).groups()


def check(folder: Path, said: str | None) -> subprocess.CompletedProcess:
    if said is not None:
        (folder / "sam").write_text(f"#!/bin/sh\necho '{said}'\n")
        (folder / "sam").chmod(0o755)
    return subprocess.run([sys.executable, SCRIPT], env=os.environ | {"PATH": f"{folder}:/usr/bin:/bin" if said else str(folder)},
                          capture_output=True, text=True, check=False)


@pytest.mark.parametrize("said", ["SAM CLI, version 1.156.0", "SAM CLI, version 1.170.0", "SAM CLI, version 2.0.0"])
def test_a_sam_cli_that_can_build_rust_is_accepted(tmp_path, said):
    assert check(tmp_path, said).returncode == 0


@pytest.mark.parametrize("said", ["SAM CLI, version 1.155.2", "SAM CLI, version 1.99.0", "SAM CLI, version 0.200.0", "SAM CLI", None])
def test_any_other_is_refused_with_the_version_that_is_needed(tmp_path, said):
    refused = check(tmp_path, said)
    assert refused.returncode == 1
    assert f"{'.'.join(MINIMUM)} or later" in refused.stderr and "install-sam-cli" in refused.stderr


def test_the_version_is_stated_where_the_docs_require_the_sam_cli():
    text = (ROOT / "docs" / "deploy.md").read_text().split("\n## Build from the sources\n")[1]
    stated = re.findall(r"SAM CLI\]?(?:\([^)]*\))? (\d+)\.(\d+) or later", text)
    assert stated == [MINIMUM]
    commands = text.split("```sh\n")[1]
    assert 0 < commands.index("python3 scripts/check_sam.py") < commands.index("sam build\n")
    # A release is deployed without a build, and so with any version.
    assert "sam build" not in (ROOT / "README.md").read_text()


def test_the_pinned_one_is_new_enough():
    (pinned,) = re.findall(r"^aws-sam-cli==(\d+)\.(\d+)\.", (ROOT / "scripts" / "requirements.txt").read_text(), re.MULTILINE)
    assert tuple(map(int, pinned)) >= tuple(map(int, MINIMUM))
