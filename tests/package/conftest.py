"""The binaries of a release, which `make release` builds."""

from pathlib import Path

import pytest
import release as releases
from prerequisites import built

BUILD = "make release ARCHITECTURES=x86_64"


@pytest.fixture(scope="session")
def binary() -> Path:
    """Returns the path of the function's binary."""
    return built(releases.function_binary("x86_64"), BUILD)


@pytest.fixture(scope="session")
def command_line_binary() -> Path:
    """Returns the path of the command line."""
    return built(releases.command_line_binary("x86_64"), BUILD)
