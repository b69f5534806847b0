"""What tests need from the machine. Without it they are skipped, and fail in CI; both name it."""

import os
from pathlib import Path

import pytest


def missing(what: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)


def built(path: Path, command: str) -> Path:
    """Returns the path, if the command has built it."""
    if not path.is_file():
        missing(f"there is no {path}: `{command}`")
    return path
