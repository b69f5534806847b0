"""Writes the table of fields in docs/documents.md from the component templates in assets/.

    python3 scripts/field_table.py            print the table
    python3 scripts/field_table.py --write    put it into docs/documents.md
"""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "documents.md"
TEMPLATES = ROOT / "assets" / "elasticsearch" / "component_templates"
STREAMS = ["event_report", "user", "detailed_shared_folder", "change", "dead_letter"]
BEGIN, END = "<!-- fields: written by scripts/field_table.py -->", "<!-- fields end -->"


def fields_of(properties: dict, parent: str = "") -> dict[str, str]:
    """Returns every field below `properties` by its full name, with its Elasticsearch type."""
    fields = {}
    for name, mapping in properties.items():
        if "properties" in mapping:
            fields |= fields_of(mapping["properties"], f"{parent}{name}.")
        else:
            fields[parent + name] = mapping["type"]
    return fields


def table() -> str:
    """Returns the table: one row for each field, with its type and a mark for each stream that maps it."""
    by_stream = {}
    for stream in STREAMS:
        template = json.loads((TEMPLATES / f"lastpass-elastic.{stream}.json").read_text())
        by_stream[stream] = fields_of(template["template"]["mappings"]["properties"])
    rows = ["| field | type | " + " | ".join(f"`{stream}`" for stream in STREAMS) + " |",
            "| --- | --- | " + " | ".join(":-:" for _ in STREAMS) + " |"]
    for name in sorted({name for fields in by_stream.values() for name in fields}):
        types = dict.fromkeys(fields[name] for fields in by_stream.values() if name in fields)
        marks = " | ".join("x" if name in by_stream[stream] else "" for stream in STREAMS)
        rows.append(f"| `{name}` | {', '.join(types)} | {marks} |")
    return "\n".join(rows)


def page_with_table(page: str) -> str:
    """Returns `page` with the table between its two marks."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        PAGE.write_text(page_with_table(PAGE.read_text()))
    else:
        print(table())
