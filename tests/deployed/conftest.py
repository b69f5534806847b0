"""Fixtures for the template on the emulator. If something is missing, the tests are skipped locally and fail in CI;
both name it.
"""

import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from cluster import Cluster  # noqa: E402
from deployment import Deployment  # noqa: E402
from stacks import QUIET, name  # noqa: E402

TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
PROBE = Path(__file__).with_name("probe.py")


def missing(what: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)


def built(path: Path, how: str) -> Path:
    if not path.is_file():
        missing(f"there is no {path}: `cargo build {how}`")
    return path


@pytest.fixture(scope="session", autouse=True)
def emulator() -> None:
    if not os.environ.get("AWS_ENDPOINT_URL"):
        missing("the local stack is not running: `make local-up`, then set the environment it prints")


@pytest.fixture(scope="session")
def bootstrap() -> Path:
    """Returns the path of the function's binary: in BOOTSTRAP_DIR, or in cargo's target folder."""
    return built(Path(os.environ.get("BOOTSTRAP_DIR") or TARGET / "release") / "bootstrap", "--release")


@pytest.fixture(scope="session")
def simulator() -> Path:
    """Returns the path of the LastPass simulator."""
    return built(TARGET / "debug" / "lastpass-simulator", "--workspace --bins")


@pytest.fixture(scope="session")
def command_line_path() -> Path:
    """Returns the path of the command line, built with a profile that compiles fast."""
    return built(TARGET / "debug" / "lastpass-elastic", "--workspace --bins")


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
