"""Builds a release: for each processor of Lambda an archive from which `sam deploy` works without a compiler.

    python scripts/release.py [x86_64] [arm64]      default: both

Writes `dist/lastpass-elastic-<version>-<processor>.tar.gz`, the SBOM of each, and `dist/SHA256SUMS`. The same sources and tools give the
same bytes. The function is linked for the glibc of Amazon Linux 2023, whatever this machine has; the command line
contains musl and needs no library.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import check_glibc
import licences
import package
import sbom

ROOT = Path(__file__).resolve().parents[1]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
DIST = ROOT / "dist"
VERSION = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
FUNCTION_ARCHIVE = "function.zip"
COMMAND_LINE = "lastpass-elastic"
SUMS = "SHA256SUMS"
# The profile in Cargo.toml.
COMMAND_LINE_PROFILE = "command-line"
EXECUTABLE, READABLE = 0o755, 0o644
# Files of the project -> their folder in the archive.
COPIED = {
    "LICENSE": "",
    "CHANGELOG.md": "",
    "README.md": "",
    "docs/*": "docs/",
    "SECURITY.md": "",
    "events/*.json": "events/",
    "statemachines/*.asl.yaml": "statemachines/",
    "assets/roles/*.json": "roles/",
    # The content of `content install`, for an import by hand.
    "dashboards/compiled/lastpass-dashboards.ndjson": "kibana/",
    "detections/compiled/lastpass-rules.ndjson": "kibana/",
    "assets/release/samconfig.toml": "",
}


def archive_name(architecture: str) -> str:
    """Returns the name of an archive without its ending, which is also the name of the folder in it."""
    return f"lastpass-elastic-{VERSION}-{architecture}"


def function_target(architecture: str) -> str:
    return f"{package.ARCHITECTURES[architecture]}-unknown-linux-gnu"


def command_line_target(architecture: str) -> str:
    libc = "gnu" if is_musl_replaced(architecture) else "musl"
    return f"{package.ARCHITECTURES[architecture]}-unknown-linux-{libc}"


def function_binary(architecture: str) -> Path:
    """Returns the path of the function that `build` builds."""
    return TARGET / function_target(architecture) / "release" / "bootstrap"


def command_line_binary(architecture: str) -> Path:
    """Returns the path of the command line that `build` builds."""
    return TARGET / command_line_target(architecture) / COMMAND_LINE_PROFILE / COMMAND_LINE


@functools.cache
def is_musl_replaced(architecture: str) -> bool:
    """Returns whether the command line contains this machine's glibc instead of musl: only for a test, and only if
    MUSL_UNREACHABLE=accepted says that Rust's standard library for musl cannot be downloaded.
    """
    if os.environ.get("MUSL_UNREACHABLE") != "accepted":
        return False
    musl = f"{package.ARCHITECTURES[architecture]}-unknown-linux-musl"
    # If the target is installed, this does nothing and needs no network.
    return subprocess.run(["rustup", "--quiet", "target", "add", musl], cwd=ROOT).returncode != 0


def build(architecture: str) -> tuple[Path, Path]:
    """Builds the function and the command line. Returns the paths of both binaries."""
    glibc = ".".join(map(str, check_glibc.NEWEST_ALLOWED))
    function, command_line = function_target(architecture), command_line_target(architecture)
    subprocess.run(["rustup", "--quiet", "target", "add", function, command_line], cwd=ROOT, check=True)
    compile_binary(sbom.FUNCTION, "bootstrap", "release", f"{function}.{glibc}")
    if is_musl_replaced(architecture):
        print("==> NOT CHECKED: the command line with musl; this one contains glibc", flush=True)
        compile_binary(sbom.COMMAND_LINE, COMMAND_LINE, COMMAND_LINE_PROFILE, command_line, "build", "-C target-feature=+crt-static")
    else:
        compile_binary(sbom.COMMAND_LINE, COMMAND_LINE, COMMAND_LINE_PROFILE, command_line)
    return function_binary(architecture), command_line_binary(architecture)


def compile_binary(name: str, binary: str, profile: str, target: str, how: str = "zigbuild", flags: str = "") -> None:
    print(f"==> building {binary} for {target}", flush=True)
    # zig is a Python package of the environment in which this script runs.
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    # Panic messages contain the path of the crates' sources, which differs from machine to machine.
    crates = os.environ.get("CARGO_HOME") or Path.home() / ".cargo"
    environment = os.environ | {"PATH": path, "RUSTFLAGS": f"--remap-path-prefix={crates}=/cargo {flags}".rstrip()}
    subprocess.run(["cargo", how, "--locked", "--profile", profile, "--target", target,
                    "--package", name, "--bin", binary], cwd=ROOT, env=environment, check=True)


def template(architecture: str) -> str:
    """Returns the template of an archive: with its function and its processor."""
    other, = package.ARCHITECTURES.keys() - {architecture}
    changes = {
        "      CodeUri: .\n": f"      CodeUri: {FUNCTION_ARCHIVE}\n",
        "    AllowedValues: [x86_64, arm64]\n": f"    AllowedValues: [{architecture}]\n",
        "    Default: x86_64\n": f"    Default: {architecture}\n",
        "      Default: x86_64.\n": f"      Default: {architecture}.\n",
        "must be x86_64 or arm64, the one that sam build was run with.":
            f"must be {architecture}, for which this release was built. There is an archive for {other} as well.",
        "Build for the same one, see docs/deploy.md.": "Each has an archive of its own.",
        # Nothing is built from a release.
        "    Metadata:\n      BuildMethod: rust-cargolambda\n      BuildProperties: {Binary: bootstrap}\n": "",
    }
    text = (ROOT / "template.yaml").read_text()
    for old, new in changes.items():
        if text.count(old) != 1:
            raise ValueError(f"template.yaml must contain exactly once: {old!r}")
        text = text.replace(old, new)
    return text


def contents(architecture: str, function_archive: Path, command_line: Path) -> dict[str, tuple[int, bytes]]:
    """Returns the files of an archive, each with its mode, in the order of their names."""
    binaries = {sbom.FUNCTION: function_target(architecture), sbom.COMMAND_LINE: command_line_target(architecture)}
    files = {
        "template.yaml": (READABLE, template(architecture).encode()),
        FUNCTION_ARCHIVE: (READABLE, function_archive.read_bytes()),
        COMMAND_LINE: (EXECUTABLE, command_line.read_bytes()),
        # The SBOM of the function is in its own archive.
        "sbom.cdx.json": (READABLE, sbom.sbom(sbom.COMMAND_LINE, binaries[sbom.COMMAND_LINE]).encode()),
    }
    for pattern, folder in COPIED.items():
        files |= {f"{folder}{path.name}": (READABLE, path.read_bytes()) for path in ROOT.glob(pattern)}
    files |= {f"licences/{name}": (READABLE, text) for name, text in licences.licences(binaries).items()}
    files[SUMS] = (READABLE, sums({name: content for name, (_, content) in files.items()}).encode())
    return dict(sorted(files.items()))


def sums(files: dict[str, bytes]) -> str:
    """Returns the SHA-256 of each file in the form of `sha256sum`."""
    return "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(files.items()))


def pack(folder: str, files: dict[str, tuple[int, bytes]]) -> bytes:
    """Returns a compressed tar archive without the time and the user of this machine."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, (mode, content) in files.items():
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size, entry.mode, entry.uname, entry.gname = len(content), mode, "root", "root"
            tar.addfile(entry, io.BytesIO(content))
    return gzip.compress(plain.getvalue(), mtime=0)


def sbom_of(archive: Path) -> Path:
    """Returns the path of the SBOM beside an archive, for those who want to read it without unpacking."""
    return archive.with_name(archive.name.replace(".tar.gz", ".cdx.json"))


def make(architecture: str, binary: Path, command_line: Path, folder: Path) -> Path:
    """Writes the archive for a processor, made of its two binaries. Returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    function_archive = folder / f"lastpass-elastic-{architecture}.zip"
    package.package(binary, function_archive, architecture)
    archive = folder / f"{archive_name(architecture)}.tar.gz"
    files = contents(architecture, function_archive, command_line)
    sbom_of(archive).write_bytes(files["sbom.cdx.json"][1])
    unfinished = archive.with_name(f"{archive.name}.unfinished")
    unfinished.write_bytes(pack(archive_name(architecture), files))
    unfinished.replace(archive)
    print(f"{archive}: {archive.stat().st_size:,} bytes", flush=True)
    return archive


def main() -> int:
    architectures = sys.argv[1:] or list(package.ARCHITECTURES)
    if not set(architectures) <= set(package.ARCHITECTURES):
        print(__doc__, file=sys.stderr)
        return 2
    archives = []
    for architecture in architectures:
        try:
            binary, command_line = build(architecture)
        except (OSError, subprocess.CalledProcessError) as failed:
            print(f"{failed}; its output is above", file=sys.stderr)
            return 1
        if fault := check_glibc.fault(binary):
            print(fault, file=sys.stderr)
            return 1
        archives.append(make(architecture, binary, command_line, DIST))
    made = [file for archive in archives for file in (archive, sbom_of(archive))]
    (DIST / SUMS).write_text(sums({file.name: file.read_bytes() for file in made}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
