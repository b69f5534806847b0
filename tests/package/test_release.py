"""The release archives: their files, and that the same binaries give the same bytes."""

import hashlib
import io
import json
import os
import re
import struct
import subprocess
import tarfile
import tomllib
import zipfile
from pathlib import Path

import check_glibc
import pytest
import release as releases
import release_notes
import yaml
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

ROOT = Path(__file__).resolve().parents[2]
# Lambda's name of a processor -> the number of its machine in an ELF file.
MACHINES = {"x86_64": 62, "arm64": 183}
# The largest archive of the function: Lambda downloads it at each cold start.
FUNCTION_MAX_BYTES = 5_200_000
PROGRAM_HEADER_INTERPRETER = 3
FILES = {
    "template.yaml", "function.zip", "lastpass-elastic", "samconfig.toml", "SHA256SUMS", "sbom.cdx.json",
    "LICENSE", "README.md", "CHANGELOG.md", "SECURITY.md", "roles/writer.json", "roles/installer.json",
    "roles/content.json", "kibana/lastpass-dashboards.ndjson", "kibana/lastpass-rules.ndjson",
    "statemachines/accounts.asl.yaml", "statemachines/backfill.asl.yaml",
    "licences/crates.txt", "licences/musl.txt", "licences/rust-standard-library.html",
}


@pytest.fixture(scope="module")
def archives(binary, command_line_binary, tmp_path_factory) -> list[Path]:
    """The archive for x86_64, made twice of the same binaries."""
    folder = tmp_path_factory.mktemp("release")
    return [releases.make("x86_64", binary, command_line_binary, folder / name) for name in ("one", "two")]


@pytest.fixture(scope="module")
def unpacked(archives) -> dict[str, tuple[tarfile.TarInfo, bytes]]:
    """The entries of the archive by their names below its folder."""
    with tarfile.open(archives[0]) as archive:
        entries = {entry.name: (entry, archive.extractfile(entry).read()) for entry in archive}
    folder = f"{releases.archive_name('x86_64')}/"
    assert all(name.startswith(folder) for name in entries)
    return {name.removeprefix(folder): entry for name, entry in entries.items()}


def command_line(unpacked, folder: Path) -> Path:
    path = folder / "lastpass-elastic"
    path.write_bytes(unpacked["lastpass-elastic"][1])
    path.chmod(0o755)
    return path


def program_headers(binary: bytes) -> set[int]:
    """Returns the types of the program headers of a 64-bit ELF file."""
    start, = struct.unpack_from("<Q", binary, 0x20)
    size, count = struct.unpack_from("<HH", binary, 0x36)
    return {struct.unpack_from("<I", binary, start + size * index)[0] for index in range(count)}


def function(unpacked) -> bytes:
    with zipfile.ZipFile(io.BytesIO(unpacked["function.zip"][1])) as archive:
        return archive.read("bootstrap")


def test_the_same_binaries_make_the_same_bytes(archives):
    one, two = (archive.read_bytes() for archive in archives)
    assert one == two


def test_it_names_no_machine_user_or_time(unpacked):
    for entry, _ in unpacked.values():
        assert (entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname) == (0, 0, 0, "root", "root"), entry.name
    for binary in (function(unpacked), unpacked["lastpass-elastic"][1]):
        # With the dot, as in ~/.cargo: the home of CI is /root, and a crate may have a folder `root`.
        assert f"{Path.home()}/.".encode() not in binary
        assert str(ROOT).encode() not in binary


def test_it_holds_all_that_a_deployment_needs(unpacked):
    examples = {f"events/{path.name}" for path in (ROOT / "events").glob("*.json")}
    docs = {f"docs/{path.name}" for path in (ROOT / "docs").iterdir()}
    assert set(unpacked) == FILES | examples | docs
    assert {name for name, (entry, _) in unpacked.items() if entry.mode & 0o111} == {"lastpass-elastic"}


def test_its_sums_are_right_and_complete(unpacked):
    lines = unpacked["SHA256SUMS"][1].decode().splitlines()
    sums = dict(reversed(line.split("  ", 1)) for line in lines)
    assert sums == {name: hashlib.sha256(content).hexdigest() for name, (_, content) in unpacked.items() if name != "SHA256SUMS"}


def test_it_is_unpacked_and_verified_by_the_usual_tools(archives, tmp_path):
    subprocess.run(["tar", "-xzf", archives[0]], cwd=tmp_path, check=True)
    folder = tmp_path / releases.archive_name("x86_64")
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=folder, check=True)


@pytest.mark.parametrize("architecture", MACHINES)
def test_its_template_differs_only_in_its_function_and_its_processor(architecture):
    def plain(text: str) -> dict:
        loader = type("Loader", (yaml.SafeLoader,), {})
        loader.add_multi_constructor("!", lambda loader, tag, node: f"!{tag} {yaml.serialize(node)}")
        return yaml.load(text, loader)

    source, made = plain((ROOT / "template.yaml").read_text()), plain(releases.template(architecture))
    processor, processors = made["Parameters"].pop("Architecture"), source["Parameters"].pop("Architecture")
    assert (processor["Default"], processor["AllowedValues"]) == (architecture, [architecture])
    assert set(processors["AllowedValues"]) == set(MACHINES)
    assert all("build" not in text or "release" in text for text in (processor["Description"], processor["ConstraintDescription"]))
    of_source, of_made = source["Resources"]["Function"], made["Resources"]["Function"]
    assert (of_source["Properties"].pop("CodeUri"), of_made["Properties"].pop("CodeUri")) == (".", "function.zip")
    assert of_source.pop("Metadata") and "Metadata" not in of_made
    assert made == source


def test_the_function_starts_on_amazon_linux_2023(unpacked, tmp_path):
    binary = tmp_path / "bootstrap"
    binary.write_bytes(function(unpacked))
    assert (0, 0) < check_glibc.newest_needed(binary) <= check_glibc.NEWEST_ALLOWED
    assert struct.unpack_from("<H", binary.read_bytes(), 0x12) == (MACHINES["x86_64"],)


def test_the_function_is_small(unpacked):
    assert len(unpacked["function.zip"][1]) <= FUNCTION_MAX_BYTES


def test_the_command_line_needs_no_library_and_starts(unpacked, tmp_path):
    path = command_line(unpacked, tmp_path)
    assert PROGRAM_HEADER_INTERPRETER not in program_headers(path.read_bytes())
    assert check_glibc.needed_versions(path.read_bytes()) == set()
    # Without any variable, and so without a locale and a search path for libraries.
    said = subprocess.run([path, "--version"], env={}, capture_output=True, text=True, check=True).stdout
    assert said == f"lastpass-elastic {releases.VERSION}\n"


def test_the_command_line_starts_in_an_empty_root(unpacked, tmp_path):
    """It depends on nothing of the machine: no glibc, no musl, no /proc, no /etc."""
    command_line(unpacked, tmp_path)
    alone = ["unshare", "--user", "--map-root-user", "--root", tmp_path, "/lastpass-elastic", "--help"]
    ran = subprocess.run(alone, env={}, capture_output=True, text=True)
    if "unshare" in ran.stderr:
        assert not os.environ.get("CI"), ran.stderr
        pytest.skip(f"this machine allows no user namespaces: {ran.stderr}")
    assert ran.returncode == 0 and "Usage: lastpass-elastic" in ran.stdout, ran.stderr


def test_the_sbom_lists_the_crates_of_both_binaries(unpacked):
    text = unpacked["sbom.cdx.json"][1].decode()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    with zipfile.ZipFile(io.BytesIO(unpacked["function.zip"][1])) as archive:
        of_function = json.loads(archive.read("sbom.cdx.json"))
    listed = {(part["name"], part["version"]) for part in json.loads(text)["components"]}
    assert {(part["name"], part["version"]) for part in of_function["components"]} < listed
    assert {"clap", "aws-sdk-cloudformation"} <= {name for name, _ in listed}


def test_the_licence_of_each_crate_is_in_it(unpacked):
    texts = unpacked["licences/crates.txt"][1].decode()
    named = {tuple(one.split()) for line in re.findall(rf"^={{120}}\n(.+)\n={{120}}$", texts, re.MULTILINE) for one in line.split(", ")}
    listed = {(part["name"], part["version"]) for part in json.loads(unpacked["sbom.cdx.json"][1])["components"]}
    own = {"lastpass-elastic", "lastpass-elastic-cli"}
    assert {crate for crate in listed if crate[0] not in own} == named
    assert "Permission is hereby granted" in texts and "Apache License" in texts


def test_its_roles_and_payloads_are_those_of_the_project(unpacked):
    for name in ("writer", "installer"):
        assert unpacked[f"roles/{name}.json"][1] == (ROOT / "assets" / "roles" / f"{name}.json").read_bytes()
    for path in (ROOT / "events").glob("*.json"):
        assert unpacked[f"events/{path.name}"][1] == path.read_bytes()


# --- the version ----------------------------------------------------------------------------------------------------


def test_every_file_states_the_same_version():
    template = (ROOT / "template.yaml").read_text()
    assert re.findall(r"^    SemanticVersion: (.+)$", template, re.MULTILINE) == [releases.VERSION]
    assert re.fullmatch(r"\d+\.\d+\.\d+", releases.VERSION)
    readme = (ROOT / "README.md").read_text()
    assert set(re.findall(r"lastpass-elastic-(\d[\w.-]*)-(?:x86_64|arm64)", readme)) == {releases.VERSION}


def test_the_notes_of_this_version_are_in_the_changelog():
    notes = release_notes.notes(f"v{releases.VERSION}", releases.VERSION, (ROOT / "CHANGELOG.md").read_text())
    assert "**Added**" in notes and "\n## " not in notes


CHANGELOG = "# Changelog\n\n## Unreleased\n\n- later\n\n## 1.1.0 - 2026-12-01\n\n- new\n\n## 1.0.0 - 2026-11-29\n\n- first\n\n## 0.9.0 - x\n\n- early\n"


@pytest.mark.parametrize(("version", "text"), [("1.1.0", "- new\n"), ("1.0.0", "- first\n")])
def test_notes_end_before_the_next_version(version, text):
    assert release_notes.notes(f"v{version}", version, CHANGELOG) == text


@pytest.mark.parametrize(("tag", "version", "said"), [
    ("v1.1.0", "1.0.0", "the tag is v1.1.0"), ("1.0.0", "1.0.0", "the tag is 1.0.0"), ("v1.0", "1.0", "no section"),
    ("v1.2.0", "1.2.0", "no section"), ("v0.9.0", "0.9.0", "no section"), ("v1.0.0-rc.1", "1.0.0-rc.1", "no section"),
    ("v1x0.0", "1x0.0", "no section"),
])
def test_a_tag_without_its_version_or_notes_is_refused(tag, version, said):
    with pytest.raises(ValueError, match=said):
        release_notes.notes(tag, version, CHANGELOG)


def test_the_application_repository_can_take_the_metadata():
    """Source: "AWS SAM template Metadata section properties", AWS SAM Developer Guide."""
    loader = type("Loader", (yaml.SafeLoader,), {})
    loader.add_multi_constructor("!", lambda *_: "intrinsic")
    metadata = yaml.load((ROOT / "template.yaml").read_text(), loader)["Metadata"]["AWS::ServerlessRepo::Application"]
    assert re.fullmatch(r"[a-zA-Z0-9-]{1,140}", metadata["Name"])
    assert 1 <= len(metadata["Description"]) <= 256
    assert re.fullmatch(r"[a-z0-9](([a-z0-9]|-(?!-))*[a-z0-9])?", metadata["Author"])
    assert metadata["SpdxLicenseId"] == tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["license"]
    assert {metadata["LicenseUrl"], metadata["ReadmeUrl"]} <= FILES
    assert len(metadata["Labels"]) <= 10
    assert all(re.fullmatch(r"[a-zA-Z0-9+\-_:/@]{1,127}", label) for label in metadata["Labels"])
