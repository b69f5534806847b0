"""Prints the notes of a release: the section of its version in CHANGELOG.md.

    python3 scripts/release_notes.py v1.0.0

Fails if the tag is not the version in Cargo.toml, or the changelog has no section for it, with its date.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def notes(tag: str, version: str, changelog: str) -> str:
    """Returns the text below the heading of a version.

    Raises ValueError, with a text for the user, if the tag, the version and the changelog do not fit together.
    """
    if tag != f"v{version}":
        raise ValueError(f"the tag is {tag}, and Cargo.toml has the version {version}: tag v{version}, or change the version")
    found = re.search(rf"^## {re.escape(version)} - \d{{4}}-\d\d-\d\d\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    if not found or not found[1].strip():
        raise ValueError(f"CHANGELOG.md has no section `## {version} - <date>`: rename `Unreleased`")
    return found[1].strip() + "\n"


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    try:
        print(notes(sys.argv[1], version, (ROOT / "CHANGELOG.md").read_text()), end="")
    except ValueError as fault:
        print(fault, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
