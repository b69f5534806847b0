"""`content install` against the stand-in for Kibana."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import published
import pytest
from prerequisites import built

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "testing" / "kibana"))

from stand_in import KEY, Kibana, fault_in  # noqa: E402

COMMAND_LINE = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / "debug" / "lastpass-elastic"
VARIABLE = "LASTPASS_ELASTIC_KIBANA_API_KEY"
RULES = [json.loads(line) for line in (ROOT / "detections" / "compiled" / "lastpass-rules.ndjson").read_text().splitlines()]
DASHBOARDS = {json.loads(line)["id"] for line in (ROOT / "dashboards" / "compiled" / "lastpass-dashboards.ndjson").read_text().splitlines()}
DONE, FAILED, USAGE = range(3)


@pytest.fixture
def kibana():
    with Kibana.start() as kibana:
        yield kibana
        assert kibana.faults == []


def run(*words: str, key: str | None = KEY, output: str = "json") -> subprocess.CompletedProcess:
    built(COMMAND_LINE, "cargo build --workspace --bins")
    env = {name: value for name, value in os.environ.items() if name != VARIABLE} | ({VARIABLE: key} if key is not None else {})
    ran = subprocess.run([COMMAND_LINE, "content", "install", "--output", output, *words], env=env, stdin=subprocess.DEVNULL,
                         capture_output=True, text=True, timeout=60, check=False)
    assert KEY not in ran.stdout + ran.stderr
    return ran


def installed(kibana: Kibana, *words: str) -> dict[str, dict]:
    """Installs the content. Returns what happened to each rule."""
    ran = run("--kibana", kibana.url, *words)
    assert ran.returncode == DONE, ran.stdout + ran.stderr
    return {rule["rule_id"]: rule for rule in json.loads(ran.stdout)["rules"]}


def failed(*words: str, key: str | None = KEY) -> tuple[int, str, str]:
    ran = run(*words, key=key)
    error = json.loads(ran.stdout)["error"]
    return ran.returncode, error["type"], error["message"]


def of_type(kind: str) -> dict:
    return next(rule for rule in RULES if rule["type"] == kind)


def installed_rule(kibana: Kibana, rule: dict, space: str = "default") -> dict:
    return kibana.rules[space][rule["rule_id"]]


def change_installed(kibana: Kibana, rule: dict, **values) -> None:
    """Changes fields of an installed rule."""
    installed_rule(kibana, rule).update(values)


# What is installed.


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["name"])
def test_every_rule_has_the_form_that_kibana_describes(rule):
    assert fault_in("rule", rule) is None


def test_everything_is_installed_and_rules_are_disabled(kibana):
    rules = installed(kibana)
    assert {rule["status"] for rule in rules.values()} == {"installed"}
    assert set(kibana.objects["default"]) == DASHBOARDS
    assert kibana.rules["default"].keys() == {rule["rule_id"] for rule in RULES} == rules.keys()
    assert not any(rule["enabled"] for rule in kibana.rules["default"].values())
    for rule in RULES:
        assert installed_rule(kibana, rule).items() >= rule.items()


def test_a_repetition_changes_nothing(kibana):
    installed(kibana)
    before, seen = json.dumps(kibana.rules), len(kibana.requests)
    again = installed(kibana)
    assert {rule["status"] for rule in again.values()} == {"unchanged"}
    assert json.dumps(kibana.rules) == before
    writes = [(method, path) for method, path, _ in kibana.requests[seen:] if method != "GET"]
    assert writes == [("POST", "/api/saved_objects/_import?overwrite=true")]


def test_a_space_gets_its_own(kibana):
    assert installed(kibana, "--space", "soc") and kibana.rules.keys() == kibana.objects.keys() == {"soc"}
    ran = run("--kibana", f"{kibana.url}/s/soc/app/dashboards#/list")
    answer = json.loads(ran.stdout)
    assert answer["space"] == "soc" and {rule["status"] for rule in answer["rules"]} == {"unchanged"}
    assert all(f"{kibana.url}/s/soc/app/dashboards#/view/lastpass-elastic-" in entry["url"] for entry in answer["dashboards"])
    assert {entry["status"] for entry in answer["dashboards"]} == {"replaced"}


def test_people_read_a_table(kibana):
    ran = run("--kibana", kibana.url, output="table")
    assert ran.returncode == DONE and "[LastPass] Access" in ran.stdout and "are disabled: enable" in ran.stdout


# Upgrades.


def test_a_threshold_that_the_user_changed_stays(kibana):
    installed(kibana)
    rule = of_type("threshold")
    installed_rule(kibana, rule)["threshold"] = rule["threshold"] | {"value": 77}
    change_installed(kibana, rule, enabled=True)
    again = installed(kibana)[rule["rule_id"]]
    assert (again["status"], again["kept"], again["enabled"]) == ("kept", ["threshold"], True)
    assert installed_rule(kibana, rule)["threshold"]["value"] == 77 and installed_rule(kibana, rule)["enabled"]


def test_overwriting_replaces_a_threshold_and_keeps_actions_and_exceptions(kibana):
    installed(kibana)
    rule = of_type("threshold")
    actions, exceptions = [{"id": "slack", "action_type_id": ".slack"}], [{"id": "office", "list_id": "office"}]
    installed_rule(kibana, rule).update(threshold=rule["threshold"] | {"value": 77}, enabled=True, actions=actions, exceptions_list=exceptions)
    again = installed(kibana, "--overwrite")[rule["rule_id"]]
    assert (again["status"], again["updated"], again["kept"]) == ("updated", ["threshold"], [])
    now = installed_rule(kibana, rule)
    assert now["threshold"] == rule["threshold"]
    assert now["enabled"] and now["actions"] == actions and now["exceptions_list"] == exceptions


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("esql", {"query": "FROM logs-* | LIMIT 1"}),
        ("query", {"query": "event.action: x"}),
        ("query", {"index": ["logs-other-*"]}),
        ("query", {"filters": [{"query": {"term": {"user.name": "ann"}}}]}),
        ("new_terms", {"history_window_start": "now-365d"}),
        ("esql", {"interval": "2h"}),
        ("esql", {"alert_suppression": {"group_by": ["user.name"]}}),
        ("query", {"severity": "critical"}),
        ("query", {"tags": ["team"]}),
        ("query", {"name": "Ours"}),
        ("query", {"tags": []}),
        ("esql", {"timestamp_override": None}),
        ("threshold", {"note": ""}),
    ],
)
def test_whatever_the_user_changed_stays(kibana, kind, changes):
    installed(kibana)
    rule = of_type(kind)
    installed_rule(kibana, rule).update(changes)
    again = installed(kibana)[rule["rule_id"]]
    assert installed_rule(kibana, rule).items() >= changes.items()
    assert again["updated"] == [] and set(again["kept"]) <= set(changes)
    assert again["status"] == ("kept" if changes.keys() <= rule.keys() else "unchanged")


def test_fields_that_only_kibana_adds_are_not_changes(kibana):
    installed(kibana)
    for rule in RULES:
        installed_rule(kibana, rule).update(query=rule["query"] + "\n", revision=7, version=4, updated_by="someone")
    assert {rule["status"] for rule in installed(kibana).values()} == {"unchanged"}


def test_the_digests_of_published_values_are_those_of_the_rules():
    known = json.loads(published.PUBLISHED.read_text())
    assert published.with_rules(json.loads(json.dumps(known)), RULES) == known, "run `make content`"


def test_a_field_that_was_added_or_taken_out_was_published_as_absent():
    rule = of_type("query")
    without = {name: value for name, value in rule.items() if name != "note"}
    for versions in ([without, rule], [rule, without]):
        known = published.with_rules({}, [])
        for version in versions:
            known = published.with_rules(known, [version])
        assert set(known[rule["rule_id"]]["note"]) == {published.digest(None), published.digest(rule["note"])}
    assert published.digest("") == published.digest([]) == published.digest(None) != published.digest("x")


def test_a_rule_cannot_change_its_type():
    rule = of_type("query")
    with pytest.raises(published.Unpublishable, match="new ID"):
        published.with_rules({}, [rule, rule | {"type": "esql"}])


# Refusals.


def test_a_terminal_prompts_for_the_key_and_hides_it(kibana):
    screen, inside = pty.openpty()
    env = {name: value for name, value in os.environ.items() if name != VARIABLE}
    process = subprocess.Popen([COMMAND_LINE, "content", "install", "--kibana", kibana.url], env=env, stdin=inside, stdout=inside,
                               stderr=inside, start_new_session=True)
    os.close(inside)
    shown = ""
    with contextlib.suppress(OSError):  # On Linux: the command has ended.
        while text := os.read(screen, 65_536).decode():
            shown += text
            if shown.endswith("is not stored): "):
                os.write(screen, f"{KEY}\n".encode())
    assert process.wait(60) == DONE, shown
    os.close(screen)
    assert KEY not in shown and "are disabled" in shown and kibana.rules["default"]


def test_a_missing_or_malformed_key_is_refused(kibana):
    address = ("--kibana", kibana.url)
    code, kind, message = failed(*address, key=None)
    assert (code, kind) == (USAGE, "Usage.Invalid") and VARIABLE in message
    for key in ("id:f00dfeed", "ApiKey f00dfeed"):
        code, kind, message = failed(*address, key=key)
        assert (code, kind) == (USAGE, "Usage.Invalid") and "Base64 or Encoded" in message and "f00dfeed" not in message
    assert kibana.requests == []


def test_the_key_cannot_be_passed_as_an_option(kibana):
    ran = run("--kibana", kibana.url, "--api-key", "x")
    assert ran.returncode == USAGE and kibana.requests == []


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("kibana.example.com", "is not a URL"),
        ("http://kibana.example.com", "would be sent unprotected"),
        ("https://user:f00dfeed@kibana.example.com", "has a user name or password"),
        ("https://kibana.example.com/s/SOC", "--space is not the ID of a space"),
    ],
)
def test_a_wrong_address_is_reported_before_any_request(address, told):
    code, kind, message = failed("--kibana", address)
    assert (code, kind) == (USAGE, "Usage.Invalid") and told in message and "f00dfeed" not in message


def test_a_wrong_key(kibana):
    code, kind, message = failed("--kibana", kibana.url, key="d3Jvbmc6d3Jvbmc=")
    assert (code, kind) == (FAILED, "Kibana.Unauthorized") and "Stack Management > API keys" in message
    assert kibana.objects == {} and kibana.rules == {}


def test_a_space_that_does_not_exist(kibana):
    code, kind, message = failed("--kibana", kibana.url, "--space", "sok")
    assert (code, kind) == (FAILED, "Kibana.NoSpace") and "no space sok" in message
    assert kibana.objects == {} and kibana.rules == {}


@pytest.mark.parametrize("version", ["8.18.4", "7.17.29"])
def test_an_old_kibana(kibana, version):
    kibana.version = version
    code, kind, message = failed("--kibana", kibana.url)
    assert (code, kind) == (FAILED, "Kibana.TooOld") and version in message and "8.19" in message


@pytest.mark.parametrize("version", ["8.19.0", "9.0.1", "9.5.3", "10.0.0"])
def test_later_versions_are_accepted(kibana, version):
    kibana.version = version
    assert installed(kibana)


@pytest.mark.parametrize(
    ("privileges", "told", "wrote"),
    [
        (set(), "use this space", False),
        ({"dashboard", "indexPatterns"}, "read detection rules", False),
        ({"siem"}, "import the dashboards", False),
        ({"siem", "dashboard"}, "import the dashboards", False),
        ({"dashboard", "indexPatterns", "siem.read"}, "import all detection rules", True),
    ],
)
def test_a_missing_privilege_is_named(kibana, privileges, told, wrote):
    kibana.privileges = privileges
    code, kind, message = failed("--kibana", kibana.url)
    assert (code, kind) == (FAILED, "Kibana.Forbidden") and told in message and "Data View Management" in message
    assert (kibana.objects.get("default", {}) != {}) == wrote and kibana.rules.get("default", {}) == {}


def test_without_security_the_dashboards_are_installed_and_the_error_says_so(kibana):
    kibana.has_security = False
    code, kind, message = failed("--kibana", kibana.url)
    assert (code, kind) == (FAILED, "Kibana.NoSecurity") and "the dashboards are installed" in message
    assert set(kibana.objects["default"]) == DASHBOARDS


def test_a_rule_that_kibana_refuses_is_named_and_the_next_run_installs_it(kibana):
    rule = of_type("esql")
    kibana.refused_rules = {rule["rule_id"]: "the query is invalid"}
    code, kind, message = failed("--kibana", kibana.url)
    assert (code, kind) == (FAILED, "Kibana.Refused") and f"{rule['rule_id']}: the query is invalid" in message
    kibana.refused_rules = {}
    again = installed(kibana)
    assert [name for name, entry in again.items() if entry["status"] == "installed"] == [rule["rule_id"]]


@pytest.mark.parametrize(
    ("instead", "kind", "told"),
    [
        ((200, {"X-elastic-product": "Elasticsearch", "Content-Type": "application/json"}, '{"tagline": "You Know, for Search"}'),
         "Kibana.NotKibana", "Elasticsearch answers there"),
        ((401, {"X-elastic-product": "Elasticsearch"}, '{"error": {}}'), "Kibana.NotKibana", "Elasticsearch answers there"),
        ((302, {"Location": "/login"}, ""), "Kibana.NotKibana", "redirects"),
        ((200, {"Content-Type": "text/html"}, "<html>Welcome</html>"), "Kibana.NotKibana", "without Kibana's status"),
        ((404, {}, "not found"), "Kibana.NotKibana", "HTTP 404"),
        ((503, {}, "Kibana server is not ready yet"), "Kibana.NotReady", "try again in a minute"),
        ((502, {"Content-Type": "text/html"}, "<html>Bad gateway</html>"), "Kibana.NotReady", "HTTP 502"),
        ((500, {}, '{"statusCode":500}'), "Kibana.NotKibana", "HTTP 500"),
    ],
)
def test_another_server_than_kibana_is_recognized(kibana, instead, kind, told):
    kibana.instead = instead
    code, found, message = failed("--kibana", kibana.url)
    assert (code, found) == (FAILED, kind) and told in message


def test_kibana_that_cannot_be_reached():
    code, kind, message = failed("--kibana", "http://127.0.0.1:9")
    assert (code, kind) == (FAILED, "Kibana.Unreachable") and "http://127.0.0.1:9 cannot be reached" in message
