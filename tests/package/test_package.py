"""The package of the function: its files and its SBOM."""

import json
import stat
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def archives(binary, tmp_path_factory) -> list[Path]:
    """The package, built twice."""
    folder = tmp_path_factory.mktemp("package")
    made = [folder / "one.zip", folder / "two.zip"]
    for archive in made:
        subprocess.run([sys.executable, ROOT / "scripts" / "package.py", binary, archive], check=True)
    return made


@pytest.fixture(scope="module")
def sbom(archives) -> dict:
    with zipfile.ZipFile(archives[0]) as package:
        return json.loads(package.read("sbom.cdx.json"))


def test_it_holds_the_executable_and_the_sbom(archives):
    with zipfile.ZipFile(archives[0]) as package:
        modes = {entry.filename: stat.filemode(entry.external_attr >> 16) for entry in package.infolist()}
    assert modes == {"bootstrap": "-rwxr-xr-x", "sbom.cdx.json": "-rw-r--r--"}


def test_it_unpacks_to_the_binary(archives, binary):
    with zipfile.ZipFile(archives[0]) as package:
        assert package.testzip() is None
        assert package.read("bootstrap") == binary.read_bytes()


def test_the_same_binary_makes_the_same_bytes(archives):
    assert archives[0].read_bytes() == archives[1].read_bytes()


def test_the_sbom_is_cyclonedx(sbom):
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(sbom)) is None


def test_the_sbom_names_what_is_in_the_lock_file_and_nothing_of_the_tests(sbom):
    locked = {
        (package["name"], package["version"]): package.get("checksum")
        for package in tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    }
    listed = {(part["name"], part["version"]): part["hashes"][0]["content"] for part in sbom["components"]}
    assert listed.items() <= locked.items()
    names = {name for name, _ in listed}
    # The dependencies in the project's own files.
    used = set(tomllib.loads((ROOT / "Cargo.toml").read_text())["dependencies"])
    assert used <= names
    assert {"aws-lc-sys", "hyper"} <= names
    assert not names & {"proptest", "lastpass-harness", "lastpass-simulator", "ring", "openssl", "native-tls"}


def test_each_part_of_the_sbom_has_a_licence_and_an_address(sbom):
    for part in sbom["components"]:
        assert part["licenses"] and part["purl"] == f"pkg:cargo/{part['name']}@{part['version']}", part
    assert sbom["metadata"]["component"]["name"] == "lastpass-elastic"


def test_the_sbom_tells_which_part_needs_which(sbom):
    needs = {entry["ref"]: set(entry.get("dependsOn", [])) for entry in sbom["dependencies"]}
    reached, left = set(), [sbom["metadata"]["component"]["bom-ref"]]
    while left:
        part = left.pop()
        if part not in reached:
            reached.add(part)
            left += needs[part]
    assert reached == set(needs) and len(needs) == len(sbom["components"]) + 1
