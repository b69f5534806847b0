"""The workflows of GitHub Actions: what they run, and that they may do no more than they need. `actionlint` checks their form.
"""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
CI, RELEASE = (yaml.load((ROOT / ".github" / "workflows" / name).read_text(), yaml.BaseLoader) for name in ("ci.yml", "release.yml"))


def jobs() -> dict[str, dict]:
    return {f"{file.stem}/{name}": job for file in FILES
            for name, job in yaml.load(file.read_text(), yaml.BaseLoader)["jobs"].items()}


def commands(job: dict) -> str:
    return "\n".join(step.get("run", "") for step in job.get("steps", []))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_each_action_is_pinned_by_its_commit_with_the_version_beside_it(file):
    for used in re.findall(r"uses: *(.+)$", file.read_text(), re.MULTILINE):
        assert used.startswith("./") or re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", used), used


def test_the_same_action_has_the_same_commit_everywhere():
    used = {tuple(found) for file in FILES for found in re.findall(r"uses: *(actions/[\w-]+)@(\S+)", file.read_text())}
    assert len(used) == len({name for name, _ in used})


def test_ci_runs_what_everyone_can_run():
    assert [step["run"] for step in CI["jobs"]["test"]["steps"] if "run" in step] == ["make test"]
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-1] == "exec make test"
    assert set(CI["on"]) == {"push", "pull_request", "workflow_call"}


def test_a_tag_of_a_version_becomes_a_release_after_all_tests():
    assert RELEASE["on"] == {"push": {"tags": ["v*"]}}
    assert RELEASE["jobs"]["test"]["uses"] == "./.github/workflows/ci.yml"
    assert set(RELEASE["jobs"]["publish"]["needs"]) == {"test", "build"}
    build = commands(RELEASE["jobs"]["build"])
    assert 0 < build.index('release_notes.py "$GITHUB_REF_NAME"') < build.index("make release")


def test_only_the_job_that_compiles_nothing_may_write():
    assert (CI["permissions"], RELEASE["permissions"]) == ({"contents": "read"}, {})
    writing = {name: job["permissions"] for name, job in jobs().items() if "write" in job.get("permissions", {}).values()}
    assert writing == {"release/publish": {"contents": "write", "id-token": "write", "attestations": "write"}}
    publish = RELEASE["jobs"]["publish"]
    assert not any("checkout" in step.get("uses", "") for step in publish["steps"])
    assert re.findall(r"^(\w+)", commands(publish), re.MULTILINE) == ["gh"]


def test_what_is_published_is_what_was_built_and_attested():
    steps = {step["uses"].split("@")[0]: step["with"] for job in RELEASE["jobs"].values() for step in job.get("steps", []) if "with" in step}
    uploaded = {path.removeprefix("dist/") for path in steps["actions/upload-artifact"]["path"].split()}
    published = re.findall(r"\S*(?:SHA256SUMS|\.gz|\.json)", commands(RELEASE["jobs"]["publish"]))
    assert uploaded - {"notes.md"} == set(published)
    assert set(steps["actions/attest"]["subject-path"].split()) <= uploaded
    assert "lastpass-elastic-*.tar.gz" in steps["actions/attest"]["subject-path"]


@pytest.mark.parametrize("name", jobs())
def test_no_job_leaves_credentials_or_runs_foreign_text(name):
    job = jobs()[name]
    for step in job.get("steps", []):
        if "actions/checkout" in step.get("uses", ""):
            assert step["with"]["persist-credentials"] == "false"
        # An expression in a script is replaced before the shell reads it, so a name could contain commands.
        assert "${{" not in step.get("run", "")
    assert "timeout-minutes" in job or "uses" in job


def test_no_workflow_gives_its_rights_to_a_pull_request_of_a_fork():
    assert not any("pull_request_target" in file.read_text() for file in FILES)
