"""Checks that a binary starts on Amazon Linux 2023: it must not need a newer glibc than that system has.

    python3 scripts/check_glibc.py target/release/bootstrap

Parses the ELF file itself, so that no other program is needed.
"""

from __future__ import annotations

import re
import struct
import sys
from pathlib import Path

# The glibc of Amazon Linux 2023, on which the runtime `provided.al2023` is based.
NEWEST_ALLOWED = (2, 34)

SECTION_HEADER = struct.Struct("<IIQQQQIIQQ")
NEEDED_LIBRARY = struct.Struct("<HHIII")
NEEDED_VERSION = struct.Struct("<IHHII")
VERSIONS_NEEDED = 0x6FFFFFFE


def needed_versions(binary: bytes) -> set[str]:
    """Returns all library versions that a 64-bit little-endian ELF file needs, such as `GLIBC_2.34`."""
    if binary[:6] != b"\x7fELF\x02\x01":
        raise ValueError("this is not a 64-bit little-endian ELF file")
    table, = struct.unpack_from("<Q", binary, 0x28)
    size, count = struct.unpack_from("<HH", binary, 0x3A)
    sections = [SECTION_HEADER.unpack_from(binary, table + size * index) for index in range(count)]
    versions = set()
    for _name, kind, _flags, _address, offset, _size, link, libraries, *_ in sections:
        if kind != VERSIONS_NEEDED:
            continue
        names = sections[link][4]
        for _ in range(libraries):
            _version, entries, _file, first, following = NEEDED_LIBRARY.unpack_from(binary, offset)
            entry = offset + first
            for _ in range(entries):
                _hash, _flags, _other, name, step = NEEDED_VERSION.unpack_from(binary, entry)
                versions.add(binary[names + name:binary.index(b"\0", names + name)].decode())
                entry += step
            offset += following
    return versions


def newest_needed(path: Path) -> tuple[int, int]:
    """Returns the newest glibc version that a binary needs; (0, 0) if it needs none."""
    numbered = [re.fullmatch(r"GLIBC_(\d+)\.(\d+)(?:\.\d+)?", name) for name in needed_versions(path.read_bytes())]
    return max(((int(found[1]), int(found[2])) for found in numbered if found), default=(0, 0))


def fault(path: Path) -> str | None:
    """Returns why a binary does not start on Amazon Linux 2023, or None."""
    needed = newest_needed(path)
    if needed <= NEWEST_ALLOWED:
        return None
    return (f"{path} needs glibc {needed[0]}.{needed[1]}; Amazon Linux 2023 has {NEWEST_ALLOWED[0]}.{NEWEST_ALLOWED[1]}:"
            " build it with `make release` or `sam build`, which link for an older one")


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    path = Path(sys.argv[1])
    if problem := fault(path):
        print(problem, file=sys.stderr)
        return 1
    print(f"{path} needs glibc {'.'.join(map(str, newest_needed(path)))}; Amazon Linux 2023 has {'.'.join(map(str, NEWEST_ALLOWED))}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
