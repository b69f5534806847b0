"""Compiles the detection rules in `detections/rules/` into the file that Kibana imports.

    python3 scripts/rules.py            writes detections/compiled/lastpass-rules.ndjson, and the table in docs/detections.md
    python3 scripts/rules.py --check    fails if one of them is out of date

A rule is one TOML file. `[thresholds]` holds the numbers that a team may want to change, each with its reason; `${name}` is
replaced by such a number, and `${since_last_run}` by the time in which an aggregating ES|QL query has to look for the
event that completes the pattern. `[rule]` holds the rest. Unknown and missing fields are errors.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tomllib
from pathlib import Path

from attacks import STORIES

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "detections" / "rules"
COMPILED = ROOT / "detections" / "compiled" / "lastpass-rules.ndjson"

PAGE = ROOT / "docs" / "detections.md"
TABLE_BEGIN = "<!-- rules: written by scripts/rules.py -->"
TABLE_END = "<!-- rules end -->"

RISK_SCORES = {"low": 21, "medium": 47, "high": 73, "critical": 99}
# The fields of each type, besides the common ones.
OWN_FIELDS = {
    "query": {"index"},
    "threshold": {"index", "threshold"},
    "new_terms": {"index", "new_terms"},
    "esql": set(),
}
COMMON_FIELDS = {
    "id", "version", "name", "type", "severity", "interval", "lookback", "attack", "why", "query", "false_positives",
    "at_3_am", "triage",
}
# A run may be late, and a document is searchable only after a refresh. Without this overlap, an event between two runs
# would be missed; with it, an event in the overlap may be reported twice.
OVERLAP_MINUTES = 1

# Source: https://attack.mitre.org
TACTICS = {
    "TA0001": "Initial Access", "TA0003": "Persistence", "TA0004": "Privilege Escalation", "TA0005": "Defense Evasion",
    "TA0006": "Credential Access", "TA0009": "Collection", "TA0010": "Exfiltration", "TA0040": "Impact",
}
TECHNIQUES = {
    "T1078": "Valid Accounts", "T1098": "Account Manipulation", "T1098.001": "Additional Cloud Credentials",
    "T1098.003": "Additional Cloud Roles", "T1110": "Brute Force", "T1110.001": "Password Guessing",
    "T1110.003": "Password Spraying", "T1213": "Data from Information Repositories", "T1485": "Data Destruction",
    "T1528": "Steal Application Access Token", "T1531": "Account Access Removal", "T1539": "Steal Web Session Cookie",
    "T1555": "Credentials from Password Stores", "T1555.005": "Password Managers",
    "T1556": "Modify Authentication Process", "T1556.006": "Multi-Factor Authentication", "T1562": "Impair Defenses",
    "T1562.001": "Disable or Modify Tools", "T1562.008": "Disable or Modify Cloud Logs",
    "T1567": "Exfiltration Over Web Service", "T1621": "Multi-Factor Authentication Request Generation",
}
MINUTES = {"m": 1, "h": 60, "d": 24 * 60}
PLACEHOLDER = re.compile(r"\$\{(\w+)\}")


class InvalidRule(Exception):
    """A source file is wrong. The text names it and the fault."""


def sources() -> list[Path]:
    return sorted(SOURCES.glob("*.toml"))


def minutes(span: str) -> int:
    """Returns a time such as `5m`, `1h` or `30d` in minutes."""
    if not re.fullmatch(r"[1-9]\d*[mhd]", span):
        raise InvalidRule(f"`{span}` is no time: write for example 5m, 1h or 30d")
    return int(span[:-1]) * MINUTES[span[-1]]


def load(file: Path) -> dict:
    """Returns a rule's source with all placeholders replaced."""
    source = tomllib.loads(file.read_text())
    thresholds, rule = source.get("thresholds", {}), source.get("rule", {})
    try:
        if unknown := source.keys() - {"thresholds", "rule"}:
            raise InvalidRule(f"unknown tables: {', '.join(sorted(unknown))}")
        allowed = COMMON_FIELDS | OWN_FIELDS.get(rule.get("type"), set())
        if wrong := rule.keys() ^ allowed:
            raise InvalidRule(f"missing or unknown fields: {', '.join(sorted(wrong))}")
        for name, threshold in thresholds.items():
            if threshold.keys() != {"value", "reason"} or not threshold["reason"].strip():
                raise InvalidRule(f"the threshold `{name}` must have a value and a reason")
        values = {name: threshold["value"] for name, threshold in thresholds.items()}
        used: set[str] = set()
        values["since_last_run"] = f"{minutes(rule['interval']) + OVERLAP_MINUTES} minutes"
        rule = fill(rule, values, used)
        if unused := thresholds.keys() - used:
            raise InvalidRule(f"unused thresholds: {', '.join(sorted(unused))}")
        if minutes(rule["lookback"]) <= minutes(rule["interval"]):
            raise InvalidRule("the look-back must be longer than the interval, or late documents are missed")
    except InvalidRule as fault:
        raise InvalidRule(f"{file.name}: {fault}") from fault
    return {**rule, "thresholds": thresholds, "slug": file.stem}


def fill(value: object, values: dict, used: set[str]) -> object:
    """Replaces the placeholders in all texts. A text that is only a placeholder becomes the value itself."""
    if isinstance(value, dict):
        return {key: fill(item, values, used) for key, item in value.items()}
    if isinstance(value, list):
        return [fill(item, values, used) for item in value]
    if not isinstance(value, str):
        return value
    names = PLACEHOLDER.findall(value)
    if missing := set(names) - values.keys():
        raise InvalidRule(f"there is no threshold `{missing.pop()}`")
    used.update(names)
    if len(names) == 1 and value == f"${{{names[0]}}}":
        return values[names[0]]
    return PLACEHOLDER.sub(lambda found: str(values[found[1]]), value)


def threat(attack: list[str]) -> list[dict]:
    """Returns `TA0006:T1110.001` in Kibana's form."""
    threats = []
    for entry in attack:
        tactic, _, technique = entry.partition(":")
        main, _, sub = technique.partition(".")
        if tactic not in TACTICS or main not in TECHNIQUES or technique not in TECHNIQUES:
            raise InvalidRule(f"`{entry}` is no tactic and technique in scripts/rules.py")
        named = {"id": main, "name": TECHNIQUES[main], "reference": f"https://attack.mitre.org/techniques/{main}/"}
        if sub:
            reference = f"https://attack.mitre.org/techniques/{main}/{sub}/"
            named["subtechnique"] = [{"id": technique, "name": TECHNIQUES[technique], "reference": reference}]
        reference = f"https://attack.mitre.org/tactics/{tactic}/"
        threats.append({
            "framework": "MITRE ATT&CK",
            "tactic": {"id": tactic, "name": TACTICS[tactic], "reference": reference},
            "technique": [named],
        })
    return threats


def note(rule: dict) -> str:
    """Returns the investigation guide in Markdown."""
    parts = ["## What to do at 3 a.m.", rule["at_3_am"].strip(), "## Triage", "Run this ES|QL query in Discover or a timeline,"
             " with the names in capitals replaced by the values of the alert:", f"```\n{rule['triage'].strip()}\n```"]
    if rule["thresholds"]:
        # A bar would end the cell of the table.
        rows = [f"| `{name}` | {str(threshold['value']).replace('|', ' / ')} | {threshold['reason']} |"
                for name, threshold in rule["thresholds"].items()]
        parts += ["## Thresholds", "\n".join(["| threshold | value | why |", "| --- | --- | --- |", *rows])]
    return "\n\n".join(parts)


def compile_rule(rule: dict) -> dict:
    """Returns a rule as Kibana imports it: the form of `POST /api/detection_engine/rules/_import`.

    Source: https://www.elastic.co/docs/api/doc/kibana/operation/operation-importrules
    """
    compiled = {
        "rule_id": rule["id"],
        "version": rule["version"],
        "name": rule["name"],
        "description": rule["why"].strip(),
        "type": rule["type"],
        "language": "esql" if rule["type"] == "esql" else "kuery",
        "query": rule["query"].strip(),
        "severity": rule["severity"],
        "risk_score": RISK_SCORES[rule["severity"]],
        "enabled": False,
        "interval": rule["interval"],
        "from": f"now-{rule['lookback']}",
        "to": "now",
        "timestamp_override": "event.ingested",
        "max_signals": 100,
        "threat": threat(rule["attack"]),
        "false_positives": rule["false_positives"],
        "note": note(rule),
        "references": [],
        "tags": ["Data Source: LastPass", "Domain: Identity", f"Slug: {rule['slug']}",
                 *sorted({f"Tactic: {TACTICS[entry[:6]]}" for entry in rule["attack"]})],
        "author": ["lastpass-elastic"],
        "license": "Apache-2.0",
        "exceptions_list": [],
        "actions": [],
    }
    if rule["type"] != "esql":
        compiled |= {"index": rule["index"], "filters": []}
    if rule["type"] == "threshold":
        threshold = rule["threshold"]
        cardinality = [threshold["cardinality"]] if "cardinality" in threshold else []
        compiled["threshold"] = {"field": threshold["field"], "value": threshold["value"], "cardinality": cardinality}
    if rule["type"] == "new_terms":
        compiled["new_terms_fields"] = rule["new_terms"]["fields"]
        compiled["history_window_start"] = f"now-{rule['new_terms']['history']}"
    return compiled


def load_all() -> list[dict]:
    rules = [load(file) for file in sources()]
    for field in ("id", "name"):
        values = [rule[field] for rule in rules]
        if repeated := {value for value in values if values.count(value) > 1}:
            raise InvalidRule(f"two rules have the same {field}: {repeated.pop()}")
    return rules


def compiled(rules: list[dict]) -> str:
    return "".join(json.dumps(compile_rule(rule), ensure_ascii=False) + "\n" for rule in rules)


def page(rules: list[dict]) -> str:
    """Returns the page with the current table of rules."""
    before, _, rest = PAGE.read_text().partition(TABLE_BEGIN)
    _, _, after = rest.partition(TABLE_END)
    rows = ["| rule | severity | ATT&CK | thresholds | every | its attack in the tests | what it must not find |",
            "| --- | --- | --- | --- | --- | --- | --- |"]
    for rule in rules:
        attack, near = STORIES[rule["slug"]]
        # The texts of the policies are too long for a cell.
        values = {name: threshold["value"] for name, threshold in rule["thresholds"].items() if len(str(threshold["value"])) < 30}
        thresholds = ", ".join(f"`{name}` {value}" for name, value in values.items())
        link = f"[{rule['slug']}](../detections/rules/{rule['slug']}.toml)"
        techniques = ", ".join(dict.fromkeys(entry.partition(":")[2] for entry in rule["attack"]))
        name = rule["name"].removeprefix("LastPass: ")
        rows.append(f"| {link}: {name} | {rule['severity']} | {techniques} | {thresholds} | {rule['interval']} | {attack} | {near} |")
    return f"{before}{TABLE_BEGIN}\n\n" + "\n".join(rows) + f"\n\n{TABLE_END}{after}"


def main() -> int:
    parser = argparse.ArgumentParser(description="Compiles the detection rules.")
    parser.add_argument("--check", action="store_true", help="fail if the compiled file is out of date; write nothing")
    options = parser.parse_args()
    try:
        rules = load_all()
        texts = {COMPILED: compiled(rules), PAGE: page(rules)}
    except InvalidRule as fault:
        print(fault, file=sys.stderr)
        return 1
    code = 0
    for file, text in texts.items():
        if not options.check:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        elif not file.exists() or file.read_text() != text:
            print(f"{file.relative_to(ROOT)} is out of date: run `make content`", file=sys.stderr)
            code = 1
    if not options.check:
        print(f"==> {COMPILED.relative_to(ROOT)}: {len(rules)} rules")
    return code


if __name__ == "__main__":
    sys.exit(main())
