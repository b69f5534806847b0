"""Collects the licence texts that a release has to contain: of every crate in its binaries, of Rust's standard library
and of musl.

The permissive licences in `deny.toml` require that a binary is distributed together with their text.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import ziglang

import sbom

ROOT = Path(__file__).resolve().parents[1]
# Files of these names contain a licence or a notice.
NAMES = re.compile(r"(licen[cs]e|unlicense|copying|copyright|notice)", re.IGNORECASE)
# Some crates name their licence and leave out its text.
MIT = """Copyright (c) {authors}

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE."""
RULE = "=" * 120


class LicenceMissing(Exception):
    """A licence text was not found."""


def output(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def texts_of(package: dict) -> Iterator[str]:
    """Yields the licence texts of a crate, including those of C sources that it contains.

    Raises `LicenceMissing` if it has none, and its licence is not one whose text is known here.
    """
    folder = Path(package["manifest_path"]).parent
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and NAMES.match(file.name)]
    # Source files such as `license.rs` are not licence texts.
    texts = [file.read_text(errors="replace").strip() for file in files if file.suffix.lower() in ("", ".md", ".txt")
             or NAMES.match(file.suffix[1:]) or file.suffix[1:].isupper()]
    if texts:
        yield from texts
    elif "Apache-2.0" in package["license"]:
        yield (ROOT / "LICENSE").read_text().strip()
    elif package["license"] == "MIT":
        yield MIT.format(authors=", ".join(package["authors"]) or f"the authors of {package['name']}")
    else:
        raise LicenceMissing(f"the crate {package['name']} has no file with its licence, {package['license']}")


def of_crates(binaries: dict[str, str]) -> str:
    """Returns the texts of all crates in these binaries (package -> target), each text once with its crates."""
    described = {}
    crates = set()
    for package, target in binaries.items():
        metadata = json.loads(output("cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", target))
        described |= {(one["name"], one["version"]): one for one in metadata["packages"]}
        crates |= set(sbom.tree(package, target)[0])
    users: dict[str, list[str]] = {}
    for crate in sorted(crates):
        # Our own crates are covered by the LICENSE of the release.
        if described[crate]["source"]:
            for text in texts_of(described[crate]):
                users.setdefault(text, []).append(" ".join(crate))
    parts = [f"{RULE}\n{', '.join(dict.fromkeys(names))}\n{RULE}\n\n{text}\n" for text, names in users.items()]
    return "\n".join(parts)


def licences(binaries: dict[str, str]) -> dict[str, bytes]:
    """Returns the files of the folder `licences/` of a release."""
    standard_library = Path(output("rustc", "--print", "sysroot").strip()) / "share/doc/rust/COPYRIGHT-library.html"
    musl = Path(ziglang.__file__).parent / "lib/libc/musl/COPYRIGHT"
    return {
        "crates.txt": of_crates(binaries).encode(),
        "musl.txt": musl.read_bytes(),
        "rust-standard-library.html": standard_library.read_bytes(),
    }
