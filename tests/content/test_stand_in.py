"""The stand-in for Kibana refuses what Kibana's API description does not allow."""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "testing" / "kibana"))

from stand_in import KEY, Kibana, fault_in  # noqa: E402

RULES = [json.loads(line) for line in (ROOT / "detections" / "compiled" / "lastpass-rules.ndjson").read_text().splitlines()]
ANY = RULES[0]
FORM = {"Content-Type": "multipart/form-data; boundary=x"}
OBJECTS, IMPORT, RULE = "/api/saved_objects/_import", "/api/detection_engine/rules/_import", "/api/detection_engine/rules"
VIEW = {"id": "v", "type": "index-pattern", "attributes": {"title": "t"}, "references": []}


def upload(*lines: object, name: str = "file", file: str = "a.ndjson") -> str:
    text = "\n".join(map(json.dumps, lines))
    return f'--x\r\nContent-Disposition: form-data; name="{name}"; filename="{file}"\r\n\r\n{text}\r\n--x--\r\n'


def ask(method: str, path: str, body: str = "", without: str = "", **headers: str) -> tuple[int, dict]:
    headers = {"Authorization": f"ApiKey {KEY}", "kbn-xsrf": "x", **headers}
    headers.pop(without, None)
    with Kibana.start() as kibana:
        request = urllib.request.Request(kibana.url + path, body.encode() or None, headers, method=method)
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refused:
            return refused.code, json.load(refused)


def test_a_described_request_is_accepted():
    assert ask("POST", OBJECTS, upload(VIEW), **FORM)[1]["success"]
    assert ask("POST", IMPORT, upload(ANY), **FORM)[1]["success"]


@pytest.mark.parametrize(
    ("method", "path", "body", "options", "status"),
    [
        ("POST", OBJECTS, upload(VIEW), {**FORM, "without": "kbn-xsrf"}, 400),
        ("POST", OBJECTS, upload(VIEW), {**FORM, "without": "Authorization"}, 401),
        ("POST", OBJECTS, json.dumps(VIEW), {"Content-Type": "application/json"}, 400),
        ("POST", OBJECTS, upload(VIEW, name="data"), FORM, 400),
        ("POST", OBJECTS, upload(VIEW, file="a.json"), FORM, 400),
        ("POST", OBJECTS + "?overwrite=yes", upload(VIEW), FORM, 400),
        ("POST", OBJECTS + "?force=true", upload(VIEW), FORM, 400),
        ("POST", OBJECTS, upload(VIEW | {"version": "1"}), FORM, 400),
        ("POST", OBJECTS, upload({**VIEW, "attributes": {}}), FORM, 400),
        ("GET", RULE, "", {}, 400),
        ("GET", RULE + "?rule_id=x", "", {"elastic-api-version": "2020-01-01"}, 400),
        ("PATCH", RULE, json.dumps({"rule_id": "x"}), {"Content-Type": "application/json"}, 404),
        ("PUT", RULE, json.dumps({"rule_id": "x"}), {"Content-Type": "application/json"}, 404),
        ("GET", "/api/spaces/space/nowhere", "", {}, 404),
        ("GET", "/api/elsewhere", "", {}, 404),
    ],
)
def test_any_other_request_is_refused(method, path, body, options, status):
    assert ask(method, path, body, **options)[0] == status


def test_a_missing_reference_is_reported():
    board = {**VIEW, "type": "dashboard", "references": [{"id": "gone", "name": "n", "type": "index-pattern"}]}
    answer = ask("POST", OBJECTS, upload(board), **FORM)[1]
    assert not answer["success"] and answer["errors"][0]["error"]["type"] == "missing_references"


@pytest.mark.parametrize("field", ["rule_id", "name", "description", "risk_score", "severity", "type"])
def test_a_rule_without_a_required_field_is_refused(field):
    rule = {name: value for name, value in ANY.items() if name != field}
    assert fault_in("rule", rule) is not None
    answer = ask("POST", IMPORT, upload(rule), **FORM)[1]
    assert not answer["success"] and answer["errors"][0]["error"]["status_code"] == 400


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("query", {"severity": "urgent"}),
        ("query", {"risk_score": 101}),
        ("query", {"interval": "1 hour"}),
        ("query", {"language": "esql"}),
        ("query", {"a_new_field": 1}),
        ("esql", {"index": ["logs-*"]}),
        ("esql", {"language": "kuery"}),
        ("threshold", {"threshold": {"field": ["a"]}}),
        ("threshold", {"threshold": {"field": ["a"], "value": 0}}),
        ("new_terms", {"new_terms_fields": ["a", "b", "c", "d"]}),
        ("new_terms", {"history_window_start": 90}),
    ],
)
def test_a_rule_with_a_wrong_field_is_refused(kind, changes):
    rule = next(rule for rule in RULES if rule["type"] == kind)
    assert fault_in("rule", rule) is None and fault_in("rule", rule | changes) is not None
