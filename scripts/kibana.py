"""Runs compiled detection rules on the local node as Kibana's detection engine runs them.

A rule is a line of `detections/compiled/lastpass-rules.ndjson`. `Engine.run(now)` is one of its scheduled runs, and
returns the new alerts. It follows this behaviour from Kibana's sources (`rule_types/`) and documentation:

- A run reads the documents of [`from`, `to`]. With `timestamp_override`, their time is that field, or `@timestamp` where
  they lack the field (`buildTimeRangeFilter`).
- An alert of a `query` or `new_terms` rule, and of an ES|QL query without `STATS`, has an ID that is made of the document's,
  so overlapping runs do not repeat it. An aggregating ES|QL query has no such ID: every run alerts again
  (`esql/utils/generate_alert_id.ts`).
- ES|QL gets `| limit max_signals + 1` and the range as a filter beside the query (`build_esql_search_request.ts`).
- A `threshold` rule groups the documents by its fields. After an alert, the documents of that group up to the last one
  alerted do not count again (`get_threshold_bucket_filters.ts`).
- A `new_terms` rule alerts for a value of its fields in [`from`, `to`] that is not in [`history_window_start`, `from`).

Aggregations that need Painless, which the local node lacks, are computed here from the documents that the node finds.

Two things differ. `NOW()` in a query is replaced by the time of the run, so that a run can take place in the past. And the
index patterns are narrowed to one namespace, because other tests use the same node.
"""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cluster import Cluster
from company import instant

ROOT = Path(__file__).resolve().parents[1]
COMPILED = ROOT / "detections" / "compiled" / "lastpass-rules.ndjson"
# Most documents of a search. A test has fewer, and a search that finds more is an error.
MOST_DOCUMENTS = 10_000
UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def load_rules() -> dict[str, dict]:
    """Returns the compiled rules by the names of their source files."""
    rules = [json.loads(line) for line in COMPILED.read_text().splitlines()]
    return {slug(rule): rule for rule in rules}


def slug(rule: dict) -> str:
    return next(tag.removeprefix("Slug: ") for tag in rule["tags"] if tag.startswith("Slug: "))


def span(text: str) -> timedelta:
    """Returns the length of `5m`, or of the way back of `now-30d`."""
    text = text.removeprefix("now-")
    return timedelta(**{UNITS[text[-1]]: int(text[:-1])})


def rfc3339_ms(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"


def values(document: dict, name: str) -> list[str]:
    """Returns the values of a field of a document's source."""
    found: object = document
    for part in name.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found if isinstance(found, list) else [] if found is None else [found]


@dataclass(frozen=True)
class Alert:
    """An alert: the time of the run, and what Kibana stores in it."""

    at: datetime
    content: str

    def names(self, entity: str) -> bool:
        return entity.lower() in self.content.lower()


@dataclass
class Hit:
    """A document that a rule's KQL query found, with its time for the rule."""

    key: tuple
    time: datetime
    source: dict


@dataclass
class Engine:
    """A rule and the state of its earlier runs."""

    rule: dict
    cluster: Cluster
    namespace: str
    alerted: set = field(default_factory=set)
    # Of a threshold rule: the group's values → the time of the last document that was alerted.
    last_alerted: dict[tuple, datetime] = field(default_factory=dict)

    @property
    def interval(self) -> timedelta:
        return span(self.rule["interval"])

    @property
    def look_back(self) -> timedelta:
        return span(self.rule["from"])

    def run(self, now: datetime) -> list[Alert]:
        contents = {
            "esql": self._esql, "query": self._query, "threshold": self._threshold, "new_terms": self._new_terms,
        }[self.rule["type"]](now)
        return [Alert(now, content) for content in contents[: self.rule["max_signals"]]]

    def _esql(self, now: datetime) -> list[str]:
        rows = []
        for row in self.rows(self.rule["query"], now - self.look_back, now, now):
            if "_id" in row:
                key = (row["_id"], row.get("_index"), row.get("_version"))
                if key in self.alerted:
                    continue
                self.alerted.add(key)
            rows.append(json.dumps(row, ensure_ascii=False))
        return rows

    def _query(self, now: datetime) -> list[str]:
        new = [hit for hit in self.hits(now - self.look_back, now) if hit.key not in self.alerted]
        self.alerted.update(hit.key for hit in new)
        return [json.dumps(hit.source, ensure_ascii=False) for hit in new]

    def _threshold(self, now: datetime) -> list[str]:
        threshold = self.rule["threshold"]
        groups: dict[tuple, list[Hit]] = {}
        for hit in self.hits(now - self.look_back, now):
            for group in itertools.product(*(dict.fromkeys(values(hit.source, name)) for name in threshold["field"])):
                last = self.last_alerted.get(group)
                if last is None or hit.time > last:
                    groups.setdefault(group, []).append(hit)
        found = []
        for group, hits in groups.items():
            counts = {limit["field"]: len({value for hit in hits for value in values(hit.source, limit["field"])})
                      for limit in threshold["cardinality"]}
            enough = all(counts[limit["field"]] >= limit["value"] for limit in threshold["cardinality"])
            if len(hits) >= threshold["value"] and enough:
                self.last_alerted[group] = max(hit.time for hit in hits)
                found.append(json.dumps({**dict(zip(threshold["field"], group)), "count": len(hits), **counts},
                                        ensure_ascii=False))
        return found

    def _new_terms(self, now: datetime) -> list[str]:
        since = now - self.look_back
        names = self.rule["new_terms_fields"]
        known = self.terms(now - span(self.rule["history_window_start"]), since - timedelta(milliseconds=1))
        new = self.terms(since, now) - known - self.alerted
        self.alerted.update(new)
        return [json.dumps(dict(zip(names, term)), ensure_ascii=False) for term in sorted(new)]

    # --- the node ---

    def rows(self, query: str, since: datetime, until: datetime, now: datetime) -> list[dict]:
        """Returns the rows of an ES|QL query over the documents of a time."""
        query = re.sub(r"\bNOW\(\)", f'TO_DATETIME("{rfc3339_ms(now)}")', self.narrowed(query))
        body = {"query": f"{query} | limit {self.rule['max_signals'] + 1}", "filter": self.within(since, until)}
        answer = self.cluster.request("POST", "_query?drop_null_columns=true", body)
        names = [column["name"] for column in answer["columns"]]
        return [dict(zip(names, row)) for row in answer["values"]]

    def hits(self, since: datetime, until: datetime) -> list[Hit]:
        """Returns the documents of a time that the rule's KQL query finds, oldest first."""
        body = {"size": MOST_DOCUMENTS, "version": True, "query": self.found(since, until), "sort": [{"@timestamp": "asc"}]}
        found = self.cluster.request("POST", f"{self.indices}/_search?ignore_unavailable=true", body)["hits"]["hits"]
        if len(found) == MOST_DOCUMENTS:
            raise AssertionError(f"{slug(self.rule)}: more than {MOST_DOCUMENTS} documents in one run")
        return [Hit((hit["_id"], hit["_index"], hit["_version"]), self.time(hit["_source"]), hit["_source"]) for hit in found]

    def terms(self, since: datetime, until: datetime) -> set[tuple]:
        """Returns the values of a new_terms rule's fields in a time."""
        sources = [{name: {"terms": {"field": name}}} for name in self.rule["new_terms_fields"]]
        terms: set[tuple] = set()
        after: dict = {}
        while True:
            composite = {"sources": sources, "size": MOST_DOCUMENTS, **after}
            body = {"size": 0, "query": self.found(since, until), "aggs": {"terms": {"composite": composite}}}
            answer = self.cluster.request("POST", f"{self.indices}/_search?ignore_unavailable=true", body)
            found = answer.get("aggregations", {}).get("terms", {"buckets": []})
            terms.update(tuple(bucket["key"].values()) for bucket in found["buckets"])
            if "after_key" not in found:
                return terms
            after = {"after": found["after_key"]}

    def found(self, since: datetime, until: datetime) -> dict:
        """Returns the rule's KQL query with its filters and the range of a run."""
        kql = {"kql": {"query": self.rule["query"]}}
        return {"bool": {"filter": [kql, self.within(since, until), *self.rule["filters"]]}}

    def within(self, since: datetime, until: datetime) -> dict:
        primary = self.rule["timestamp_override"]
        limits = {"gte": rfc3339_ms(since), "lte": rfc3339_ms(until), "format": "strict_date_optional_time"}
        lacks = {"bool": {"must_not": {"exists": {"field": primary}}}}
        fallback = {"bool": {"filter": [{"range": {"@timestamp": limits}}, lacks]}}
        return {"bool": {"should": [{"range": {primary: limits}}, fallback], "minimum_should_match": 1}}

    def time(self, source: dict) -> datetime:
        overriding = values(source, self.rule["timestamp_override"])
        return instant(overriding[0] if overriding else source["@timestamp"])

    def narrowed(self, text: str) -> str:
        return re.sub(r"(logs-lastpass\.[\w*]+)-\*", rf"\1-{self.namespace}", text)

    @property
    def indices(self) -> str:
        return self.narrowed(",".join(self.rule["index"]))
