"""Packages the release binary for Lambda. The same binary and sources give the same bytes.

    python scripts/package.py BINARY ZIP [x86_64 | arm64]

The archive is for the runtime `provided.al2023`: the executable `bootstrap`, and `sbom.cdx.json`, which lists its
components.
"""

from __future__ import annotations

import binascii
import hashlib
import struct
import sys
from pathlib import Path

import deflate

import sbom

# Parts of a zip file: the header before each file, its entry in the directory, and the end of the directory.
# Source: APPNOTE.TXT, PKWARE.
FILE, ENTRY, END = struct.Struct("<4s5H3I2H"), struct.Struct("<4s6H3I5H2I"), struct.Struct("<4s4H2IH")
VERSION_NEEDED, DEFLATED = 20, 8
MADE_ON_UNIX = 3 << 8 | VERSION_NEEDED
# Time and date of the earliest day of the format, 1980-01-01. The current time would make every archive different.
NO_TIME = (0, 1 << 5 | 1)
# The highest of libdeflate: 3 % smaller than zlib's highest, which zipfile uses. Lambda downloads the archive at each cold start.
LEVEL = 12
REGULAR_EXECUTABLE = 0o100755
REGULAR_FILE = 0o100644
# Lambda's name of a processor -> Rust's.
ARCHITECTURES = {"x86_64": "x86_64", "arm64": "aarch64"}


def zipped(files: dict[str, tuple[int, bytes]]) -> bytes:
    """Returns a zip file of these files (name -> mode, content)."""
    archive, directory = bytearray(), bytearray()
    for name, (mode, content) in files.items():
        packed = bytes(deflate.deflate_compress(content, LEVEL))
        described = (DEFLATED, *NO_TIME, binascii.crc32(content), len(packed), len(content), len(name), 0)
        directory += ENTRY.pack(b"PK\x01\x02", MADE_ON_UNIX, VERSION_NEEDED, 0, *described, 0, 0, 0, mode << 16, len(archive))
        directory += name.encode()
        archive += FILE.pack(b"PK\x03\x04", VERSION_NEEDED, 0, *described) + name.encode() + packed
    return bytes(archive + directory + END.pack(b"PK\x05\x06", 0, 0, len(files), len(files), len(directory), len(archive), 0))


def package(binary: Path, archive: Path, architecture: str) -> None:
    """Writes the archive of a binary."""
    target = f"{ARCHITECTURES[architecture]}-unknown-linux-gnu"
    archive.parent.mkdir(parents=True, exist_ok=True)
    unfinished = archive.with_name(archive.name + ".unfinished")
    unfinished.write_bytes(zipped({
        "bootstrap": (REGULAR_EXECUTABLE, binary.read_bytes()),
        "sbom.cdx.json": (REGULAR_FILE, sbom.sbom(sbom.FUNCTION, target).encode()),
    }))
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
