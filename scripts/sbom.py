"""Lists the components of a release binary as a CycloneDX document (SBOM).

The crates are those that `cargo tree` lists for the binary, without those that only tests or other systems use. Their
checksums come from Cargo.lock. The same sources give the same bytes.
"""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

ROOT = Path(__file__).resolve().parents[1]
# The packages of the two binaries.
FUNCTION = "lastpass-elastic"
COMMAND_LINE = "lastpass-elastic-cli"

Crate = tuple[str, str]  # name, version


def tree(package: str, target: str) -> tuple[dict[Crate, str], set[tuple[Crate, Crate]]]:
    """Returns every crate in a package's binary for `target` with its licence, the package itself first, and their
    dependencies.
    """
    command = ["cargo", "tree", "--locked", "--package", package, "--edges", "normal", "--target", target,
               "--prefix", "depth", "--no-dedupe", "--format", "|{p}|{l}"]
    output = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    licences: dict[Crate, str] = {}
    needs: set[tuple[Crate, Crate]] = set()
    above: list[Crate] = []
    for line in output.splitlines():
        depth, crate, licence = line.split("|")
        name, version = crate.split()[:2]
        del above[int(depth):]
        above.append((name, version.removeprefix("v")))
        licences[above[-1]] = licence
        needs.update(zip(above[-2:-1], above[-1:]))
    return licences, needs


def checksums() -> dict[Crate, str]:
    """Returns the SHA-256 of each crate's archive in the registry."""
    packages = tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    return {(package["name"], package["version"]): package["checksum"] for package in packages if "checksum" in package}


def component(crate: Crate, licence: str, checksum: str | None) -> Component:
    name, version = crate
    return Component(
        type=ComponentType.LIBRARY if checksum else ComponentType.APPLICATION,
        name=name,
        version=version,
        purl=PackageURL("cargo", name=name, version=version),
        bom_ref=f"{name}@{version}",
        # Some crates still write "MIT/Apache-2.0" for "MIT OR Apache-2.0".
        licenses=[LicenseFactory().make_from_string(licence.replace("/", " OR "))],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=checksum)] if checksum else [],
    )


def sbom(package: str, target: str) -> str:
    """Returns the document for a package's binary for `target`, without a timestamp or serial number."""
    licences, needs = tree(package, target)
    sums = checksums()
    components = {crate: component(crate, licence, sums.get(crate)) for crate, licence in licences.items()}
    own, *others = components.values()
    bom = Bom(components=others)
    bom.metadata.component = own
    for crate, described in components.items():
        bom.register_dependency(described, [components[needed] for needing, needed in needs if needing == crate])
    document = json.loads(JsonV1Dot6(bom).output_as_string())
    del document["serialNumber"], document["metadata"]["timestamp"]
    return json.dumps(document, indent=1, sort_keys=True) + "\n"
