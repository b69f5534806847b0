"""Records the values of every published detection rule, so that an upgrade can tell a user's changes from ours.

    python3 scripts/published.py    adds the compiled rules to detections/compiled/published.json

The file has, for each rule and field, the digests of all values that were ever published. A value in Kibana whose digest is
not among them was changed by a user. Digests are never removed, because any of these values may be installed somewhere.
`cli/src/content/digest.rs` computes the same digests.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMPILED = ROOT / "detections" / "compiled"
RULES = COMPILED / "lastpass-rules.ndjson"
PUBLISHED = COMPILED / "published.json"
# Fields that belong to the user, and fields that Kibana sets.
NOT_OURS = {"rule_id", "version", "enabled", "actions", "exceptions_list"}
DIGEST_CHARACTERS = 12
EMPTY = (None, [], {}, "")


class Unpublishable(Exception):
    """A rule cannot be published like this. The text says why."""


def plain(value: object) -> object:
    """Returns a value in the form in which values are compared: Kibana adds empty fields, and drops white space."""
    if isinstance(value, dict):
        fields = {key: plain(inner) for key, inner in value.items()}
        return {key: inner for key, inner in fields.items() if inner not in EMPTY[:3]}
    if isinstance(value, list):
        return [plain(entry) for entry in value]
    return value.strip() if isinstance(value, str) else value


def digest(value: object) -> str:
    """Returns the digest of a value. An empty value has the digest of an absent one."""
    compared = plain(value)
    text = json.dumps(None if compared in EMPTY else compared, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_CHARACTERS]


def with_rules(published: dict, rules: list[dict]) -> dict:
    """Returns `published` with the values of these rules."""
    for rule in rules:
        is_new = rule["rule_id"] not in published
        fields = published.setdefault(rule["rule_id"], {})
        for name in sorted((fields.keys() | rule.keys()) - NOT_OURS):
            # An absent field has a digest too: before the field was added to a rule, and after it was removed.
            known = fields.setdefault(name, [] if is_new else [digest(None)])
            known += [found for found in [digest(rule.get(name))] if found not in known]
        if len(fields["type"]) > 1:
            raise Unpublishable(f"the rule {rule['name']} had another type before: Kibana cannot change it, so give the rule a new ID")
    return published


def main() -> int:
    rules = [json.loads(line) for line in RULES.read_text().splitlines()]
    try:
        published = with_rules(json.loads(PUBLISHED.read_text()) if PUBLISHED.exists() else {}, rules)
    except Unpublishable as problem:
        print(problem, file=sys.stderr)
        return 1
    PUBLISHED.write_text(json.dumps(published, indent=1, sort_keys=True) + "\n")
    print(f"==> {PUBLISHED.relative_to(ROOT)}: {len(published)} rules")
    return 0


if __name__ == "__main__":
    sys.exit(main())
