"""The binaries of a release, which `make release` builds."""

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import release as releases  # noqa: E402


def built(path: Path) -> Path:
    if not path.is_file():
        missing = f"there is no {path}: `make release ARCHITECTURES=x86_64`"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    return path


@pytest.fixture(scope="session")
def binary() -> Path:
    """Returns the path of the function's binary."""
    return built(releases.function_binary("x86_64"))


@pytest.fixture(scope="session")
def command_line_binary() -> Path:
    """Returns the path of the command line."""
    return built(releases.command_line_binary("x86_64"))
