"""Packages the release binary for Lambda. The same binary and sources give the same bytes.

    python scripts/package.py BINARY ZIP [x86_64 | arm64]

The archive is for the runtime `provided.al2023`: the executable `bootstrap`, and `sbom.cdx.json`, which lists its
components.
"""

from __future__ import annotations

import hashlib
import sys
import zipfile
from pathlib import Path

import sbom

# The earliest time in a zip file. The current time would make every archive different.
NO_TIME = (1980, 1, 1, 0, 0, 0)
MADE_ON_UNIX = 3
REGULAR_EXECUTABLE = 0o100755
REGULAR_FILE = 0o100644
# Lambda's name of a processor -> Rust's.
ARCHITECTURES = {"x86_64": "x86_64", "arm64": "aarch64"}


def entry(name: str, mode: int) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(name, date_time=NO_TIME)
    made.create_system = MADE_ON_UNIX
    made.external_attr = mode << 16
    return made


def package(binary: Path, archive: Path, architecture: str) -> None:
    """Writes the archive of a binary."""
    target = f"{ARCHITECTURES[architecture]}-unknown-linux-gnu"
    archive.parent.mkdir(parents=True, exist_ok=True)
    unfinished = archive.with_name(archive.name + ".unfinished")
    with zipfile.ZipFile(unfinished, "w") as file:
        files = {entry("bootstrap", REGULAR_EXECUTABLE): binary.read_bytes(),
                 entry("sbom.cdx.json", REGULAR_FILE): sbom.sbom(sbom.FUNCTION, target).encode()}
        for described, content in files.items():
            file.writestr(described, content, zipfile.ZIP_DEFLATED, compresslevel=9)
    unfinished.replace(archive)
    content = archive.read_bytes()
    print(f"{archive}: {len(content):,} bytes, sha256 {hashlib.sha256(content).hexdigest()}")


def main() -> int:
    if len(sys.argv) not in (3, 4) or (architecture := (sys.argv[3:] or ["x86_64"])[0]) not in ARCHITECTURES:
        print(__doc__, file=sys.stderr)
        return 2
    package(Path(sys.argv[1]), Path(sys.argv[2]), architecture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
