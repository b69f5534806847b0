"""Checks the ES|QL queries of all compiled rules against the grammar of several versions, and their fields against the index
templates. Needs Python 3.12 or later and PyPI's `detection-rules-esql-py`: `make content` installs it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import esql

from field_table import TEMPLATES, fields_of

ROOT = Path(__file__).resolve().parent.parent
VERSIONS = ("8.19.0", "9.0.0", "9.1.0", "9.2.0", "9.3.0", "9.4.0", "9.5.0")
COMPILED = ROOT / "detections" / "compiled" / "lastpass-rules.ndjson"


def fields() -> dict[str, str]:
    found: dict[str, str] = {}
    for file in sorted(TEMPLATES.glob("lastpass-elastic.*.json")):
        found |= fields_of(json.loads(file.read_text())["template"]["mappings"]["properties"])
    return found


def main() -> int:
    schema = esql.Schema(fields())
    faults = 0
    rules = [json.loads(line) for line in COMPILED.read_text().splitlines()]
    queries = [(rule["name"], rule["query"]) for rule in rules if rule["type"] == "esql"]
    # ES|QL accepts only an IP address in place of ADDRESS.
    triage = ((rule["name"], rule["note"].split("```")[1].strip().replace("ADDRESS", "203.0.113.7")) for rule in rules)
    queries += [(f"triage of {name}", query) for name, query in triage]
    for version in VERSIONS:
        for name, query in queries:
            try:
                with esql.ParserConfig(schema=schema, min_stack_version=version):
                    esql.parse_query(query)
            except Exception as fault:  # the errors of the tool have no common class
                faults += 1
                print(f"{version}: {name}: {fault}", file=sys.stderr)
    print(f"==> {len(queries)} ES|QL queries checked for {', '.join(VERSIONS)}: {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
