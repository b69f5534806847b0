"""The template as plain data, with its intrinsic functions in long form (`!Ref X` becomes `{"Ref": "X"}`)."""

import json
from pathlib import Path

import pytest
from cfnlint.decode import cfn_yaml

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def template() -> dict:
    # The decoder's nodes have line numbers. A round trip through JSON leaves plain dicts, lists and strings.
    return json.loads(json.dumps(cfn_yaml.load(str(ROOT / "template.yaml"))))


@pytest.fixture(scope="session")
def resources(template) -> dict:
    return template["Resources"]


@pytest.fixture(scope="session")
def function(resources) -> dict:
    return resources["Function"]["Properties"]


@pytest.fixture(scope="session")
def schedules(resources) -> dict:
    """Returns the schedules by the names of their targets."""
    kind = "AWS::Scheduler::Schedule"
    return {name.removesuffix("Schedule"): r["Properties"] for name, r in resources.items() if r["Type"] == kind}


@pytest.fixture(scope="session")
def samples() -> dict:
    """Returns the payloads in `events/` by file name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted((ROOT / "events").glob("*.json"))}
