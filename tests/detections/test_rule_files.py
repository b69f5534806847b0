"""The compiled rules: up to date, and in the form that Kibana 8.19 and 9 import. Needs no stack."""

import json
import re
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
import rules

ROOT = Path(__file__).resolve().parents[2]
COMPILED = [json.loads(line) for line in rules.COMPILED.read_text().splitlines()]
TEMPLATES = ROOT / "assets" / "elasticsearch" / "component_templates"
# Required and optional fields of a rule that the import accepts in 8.19 and in 9.5.
# Source: https://www.elastic.co/docs/api/doc/kibana/operation/operation-importrules
TEXTS = ("rule_id", "name", "description", "type", "language", "query", "severity", "interval", "from", "to", "license", "note",
         "timestamp_override")
LISTS = ("threat", "false_positives", "references", "tags", "author", "exceptions_list", "actions")
NUMBERS = ("version", "risk_score", "max_signals")
OWN = {"query": {"index", "filters"}, "esql": set(), "threshold": {"index", "filters", "threshold"},
       "new_terms": {"index", "filters", "new_terms_fields", "history_window_start"}}
# KQL: a name before a colon, outside of quotes.
KQL_FIELD = re.compile(r"([\w.@]+)\s*:")


def slug(rule: dict) -> str:
    return next(tag.removeprefix("Slug: ") for tag in rule["tags"] if tag.startswith("Slug: "))


def field_types() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}

    def walk(properties: dict, prefix: str) -> None:
        for name, field in properties.items():
            if "properties" in field:
                walk(field["properties"], f"{prefix}{name}.")
            else:
                found.setdefault(prefix + name, set()).add(field["type"])

    for file in TEMPLATES.glob("lastpass-elastic.*.json"):
        walk(json.loads(file.read_text())["template"]["mappings"]["properties"], "")
    return found


def test_the_compiled_file_is_up_to_date():
    done = subprocess.run([sys.executable, ROOT / "scripts" / "rules.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_changed_source_is_reported(tmp_path, monkeypatch, capsys):
    for file in rules.sources():
        (tmp_path / file.name).write_text(file.read_text())
    changed = tmp_path / "failed-logins.toml"
    changed.write_text(changed.read_text().replace("value = 10,", "value = 11,"))
    monkeypatch.setattr(rules, "SOURCES", tmp_path)
    monkeypatch.setattr(sys, "argv", ["rules.py", "--check"])
    assert rules.main() == 1
    assert "is out of date: run `make content`" in capsys.readouterr().err


@pytest.mark.parametrize(("found", "instead", "problem"), [
    ("value = 10,", "value = 10, unit = 1,", "the threshold `failures` must have a value and a reason"),
    ("a person who has forgotten a password gives up or resets it after five or six attempts", " ", "the threshold `failures` must have a value and a reason"),
    ("${failures}", "${failure}", "there is no threshold `failure`"),
    ('value = "${failures}"', "value = 10", "unused thresholds: failures"),
    ("severity", "severty", "missing or unknown fields: severity, severty"),
    ('lookback = "65m"', 'lookback = "5m"', "the look-back must be longer"),
    ('lookback = "65m"', 'lookback = "65"', "`65` is no time"),
    ("[rule]", "[rules]\n[rule]", "unknown tables: rules"),
])
def test_a_wrong_source_is_named_with_its_fault(tmp_path, found, instead, problem):
    file = tmp_path / "failed-logins.toml"
    source = (rules.SOURCES / file.name).read_text()
    assert found in source
    file.write_text(source.replace(found, instead))
    with pytest.raises(rules.InvalidRule, match=re.escape(f"failed-logins.toml: {problem}")):
        rules.load(file)


def test_there_are_enough_rules_and_each_is_named_once():
    assert len(COMPILED) >= 25
    for field in ("rule_id", "name"):
        assert len({rule[field] for rule in COMPILED}) == len(COMPILED)


@pytest.mark.parametrize("rule", COMPILED, ids=slug)
class TestEachRule:
    def test_has_the_fields_of_its_type(self, rule):
        expected = {*TEXTS, *LISTS, *NUMBERS, "enabled", *OWN[rule["type"]]}
        assert rule.keys() == expected
        assert all(isinstance(rule[name], str) and rule[name].strip() for name in TEXTS)
        assert all(isinstance(rule[name], list) for name in LISTS)
        assert all(isinstance(rule[name], int) for name in NUMBERS)

    def test_is_disabled_and_uses_the_time_of_ingestion(self, rule):
        assert rule["enabled"] is False
        assert (rule["timestamp_override"], rule["to"]) == ("event.ingested", "now")
        assert rule["language"] == ("esql" if rule["type"] == "esql" else "kuery")
        assert rule["severity"] in rules.RISK_SCORES and 0 <= rule["risk_score"] <= 100
        assert uuid.UUID(rule["rule_id"])

    def test_says_what_to_do_and_names_a_technique(self, rule):
        assert rule["threat"] and rule["false_positives"]
        assert "What to do at 3 a.m." in rule["note"] and rule["note"].count("```") == 2
        for threat in rule["threat"]:
            assert threat["framework"] == "MITRE ATT&CK" and threat["technique"]

    def test_reads_all_namespaces(self, rule):
        patterns = rule.get("index") or re.findall(r"logs-lastpass\.[\w.*-]+", rule["query"])
        assert patterns
        assert all(re.fullmatch(r"logs-lastpass\.[\w*]+-\*", pattern) for pattern in patterns)

    def test_names_only_fields_of_the_templates(self, rule):
        """The queries in ES|QL are checked by `make content`, which knows its grammar, and on the node."""
        if rule["type"] == "esql":
            pytest.skip("no KQL")
        types = field_types()
        # A colon may also be inside of a quoted value.
        unquoted = re.sub(r'"[^"]*"', '""', rule["query"])
        threshold = rule.get("threshold", {"field": [], "cardinality": []})
        grouped = [*threshold["field"], *(limit["field"] for limit in threshold["cardinality"]), *rule.get("new_terms_fields", [])]
        for name in [*KQL_FIELD.findall(unquoted), *grouped]:
            assert name in types, name
        for name in grouped:
            assert types[name] <= {"keyword", "constant_keyword", "ip", "date"}, name

    def test_an_aggregating_query_looks_for_the_event_since_the_last_run(self, rule):
        """Otherwise it would alert in each run until the event leaves the look-back: Kibana does not recognize it."""
        if rule["type"] != "esql" or slug(rule) in ("stream-silent", "unusual-volume"):
            pytest.skip("reports by the hour, or has no aggregation")
        since = f"NOW() - {rules.minutes(rule['interval']) + rules.OVERLAP_MINUTES} minutes"
        assert since in rule["query"] or "METADATA _id, _index, _version" in rule["query"]
