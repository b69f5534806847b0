"""Packs the release binary as Lambda wants it, the same bytes for the same binary.

    python3 local/package.py BINARY ZIP

The archive holds one executable file named `bootstrap`, for the runtime `provided.al2023`.
"""

from __future__ import annotations

import hashlib
import sys
import zipfile
from pathlib import Path

# The earliest time a zip file can hold; a real one would make every archive different.
NO_TIME = (1980, 1, 1, 0, 0, 0)
MADE_ON_UNIX = 3
REGULAR_EXECUTABLE = 0o100755


def main() -> int:
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    binary, archive = Path(sys.argv[1]), Path(sys.argv[2])
    entry = zipfile.ZipInfo("bootstrap", date_time=NO_TIME)
    entry.create_system = MADE_ON_UNIX
    entry.external_attr = REGULAR_EXECUTABLE << 16
    archive.parent.mkdir(parents=True, exist_ok=True)
    unfinished = archive.with_name(archive.name + ".unfinished")
    with zipfile.ZipFile(unfinished, "w") as file:
        file.writestr(entry, binary.read_bytes(), zipfile.ZIP_DEFLATED, compresslevel=9)
    unfinished.replace(archive)
    content = archive.read_bytes()
    print(f"{archive}: {len(content):,} bytes, sha256 {hashlib.sha256(content).hexdigest()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
