"""The template as plain data, its intrinsic functions spelled out (`!Ref X` becomes `{"Ref": "X"}`)."""

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
    # The decoder's nodes carry line numbers; a round through JSON leaves plain dicts, lists and strings.
    return json.loads(json.dumps(cfn_yaml.load(str(ROOT / "template.yaml"))))


@pytest.fixture(scope="session")
def resources(template) -> dict:
    return template["Resources"]


@pytest.fixture(scope="session")
def function(resources) -> dict:
    return resources["Function"]["Properties"]


@pytest.fixture(scope="session")
def schedules(resources) -> dict:
    """By the names of what they start."""
    kind = "AWS::Scheduler::Schedule"
    return {name.removesuffix("Schedule"): r["Properties"] for name, r in resources.items() if r["Type"] == kind}


@pytest.fixture(scope="session")
def samples() -> dict:
    """The payloads in `events/` by the names of their files."""
    return {path.stem: json.loads(path.read_text()) for path in sorted((ROOT / "events").glob("*.json"))}
