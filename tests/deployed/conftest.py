"""Fixtures for the template on the emulator."""

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest
from cluster import Cluster
from deployment import ROOT, TARGET, Deployment
from prerequisites import built, missing
from stacks import QUIET, name

VERSION = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
RELEASE = ROOT / "dist" / f"lastpass-elastic-{VERSION}-x86_64.tar.gz"
PROBE = Path(__file__).with_name("probe.py")


@pytest.fixture(scope="session", autouse=True)
def emulator() -> None:
    if not os.environ.get("AWS_ENDPOINT_URL"):
        missing("the local stack is not running: `make local-up`, then set the environment it prints")


@pytest.fixture(scope="session")
def release(tmp_path_factory) -> Path:
    """Returns the folder of the release, unpacked as its users unpack it."""
    folder = tmp_path_factory.mktemp("release")
    with tarfile.open(built(RELEASE, "make release ARCHITECTURES=x86_64")) as archive:
        archive.extractall(folder, filter="data")
    unpacked = folder / RELEASE.name.removesuffix(".tar.gz")
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=unpacked, check=True)
    return unpacked


@pytest.fixture(scope="session")
def folder(release, tmp_path_factory) -> Path:
    """Returns a copy of the unpacked release, in which files may be changed."""
    return shutil.copytree(release, tmp_path_factory.mktemp("copy") / release.name)


@pytest.fixture(scope="session")
def sam(folder, tmp_path_factory):
    """Returns a function that runs a command in the release, on a machine with nothing but the AWS CLI and the SAM CLI."""
    home = tmp_path_factory.mktemp("home")
    for program in ("aws", "sam"):
        (home / program).symlink_to(shutil.which(program))
    environment = {name: value for name, value in os.environ.items() if name.startswith(("AWS_", "SAM_"))}

    def run(command: list[str]) -> subprocess.CompletedProcess:
        return subprocess.run([home / command[0], *command[1:]], cwd=folder, env=environment | {"PATH": str(home), "HOME": str(home)},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)

    return run


@pytest.fixture(scope="session")
def bootstrap(request) -> Path:
    """Returns the function of the release, in its archive; or the binary in BOOTSTRAP_DIR, to try one without a release.
    """
    if folder := os.environ.get("BOOTSTRAP_DIR"):
        return built(Path(folder) / "bootstrap", "cargo build")
    return request.getfixturevalue("release") / "function.zip"


@pytest.fixture(scope="session")
def simulator() -> Path:
    """Returns the path of the LastPass simulator."""
    return built(TARGET / "debug" / "lastpass-simulator", "cargo build --workspace --bins")


@pytest.fixture(scope="session")
def command_line_path(request) -> Path:
    """Returns the command line of the release; or the binary in BOOTSTRAP_DIR."""
    if folder := os.environ.get("BOOTSTRAP_DIR"):
        return built(Path(folder) / "lastpass-elastic", "cargo build --workspace --bins")
    return request.getfixturevalue("release") / "lastpass-elastic"


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture(scope="session")
def probe(tmp_path_factory) -> Path:
    """Returns a function that sends the requested AWS call, to test the role under which it runs (`probe.py`)."""
    path = tmp_path_factory.mktemp("probe") / "bootstrap"
    path.write_text(f"#!{sys.executable}\n{PROBE.read_text()}")
    path.chmod(0o755)
    return path


@pytest.fixture(scope="module")
def probed(probe):
    """Yields a stack of the template with its schedules off and the probe as its function."""
    with Deployment.create(name("probe"), QUIET, probe) as stack:
        yield stack


@pytest.fixture(scope="module")
def deployed(bootstrap):
    """Yields a stack of the template with its schedules off and the real function."""
    with Deployment.create(name("stack"), QUIET, bootstrap) as stack:
        yield stack
