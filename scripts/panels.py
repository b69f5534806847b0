"""The panels of the dashboards in `dashboards/`, and their results on a node with ES|QL: for the tests and the pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

import yaml

from cluster import Cluster
from company import rfc3339
from dashboards import sources
from kibana import span


@dataclass(frozen=True)
class Column:
    """A column of a panel: the field of the query's result, and its heading."""

    field: str
    label: str
    is_metric: bool
    is_date: bool = False

    @classmethod
    def of(cls, entry: dict, is_metric: bool) -> Column:
        return cls(entry["field"], entry.get("label", entry["field"]), is_metric, entry.get("data_type") == "date")


@dataclass(frozen=True)
class Result:
    """The rows of a query, by column."""

    names: list[str]
    types: dict[str, str]
    rows: list[list]

    def values(self, field: str) -> list:
        position = self.names.index(field)
        return [row[position] for row in self.rows]


@dataclass(frozen=True)
class Panel:
    """One panel of a dashboard. `query` is empty if it only links."""

    dashboard: str
    source: dict

    @property
    def title(self) -> str:
        return self.source["title"]

    @property
    def is_title_hidden(self) -> bool:
        return self.source.get("hide_title", False)

    @property
    def place(self) -> tuple[int, int, int, int]:
        """The position and size in the 48 columns of a dashboard."""
        position, size = self.source["position"], self.source["size"]
        return position["x"], position["y"], size["w"], size["h"]

    @property
    def kind(self) -> str:
        return self.source["esql"]["type"] if "esql" in self.source else "links"

    @property
    def query(self) -> str:
        return self.source["esql"]["query"] if "esql" in self.source else ""

    @cached_property
    def columns(self) -> list[Column]:
        """The columns that the panel shows, in their order."""
        chart = self.source.get("esql", {})
        dimensions = [*filter(None, [chart.get("dimension"), chart.get("breakdown")]), *chart.get("breakdowns", [])]
        metrics = [*filter(None, [chart.get("primary")]), *chart.get("metrics", [])]
        return [*(Column.of(entry, False) for entry in dimensions), *(Column.of(entry, True) for entry in metrics)]


@dataclass(frozen=True)
class Dashboard:
    """One dashboard."""

    source: dict

    @property
    def id(self) -> str:
        return self.source["id"]

    @property
    def title(self) -> str:
        return self.source["name"]

    @property
    def controls(self) -> list[str]:
        return [control["label"] for control in self.source["controls"]]

    @property
    def span(self) -> timedelta:
        """The length of its default time range, which ends now."""
        return span(self.source["time_range"]["from"])

    @property
    def panels(self) -> list[Panel]:
        return [Panel(self.id, source) for source in self.source["panels"]]


def dashboards() -> list[Dashboard]:
    return [Dashboard(entry) for file in sources() for entry in yaml.safe_load(file.read_text())["dashboards"]]


def queries() -> Iterator[Panel]:
    """Yields the panels that have a query."""
    return (panel for dashboard in dashboards() for panel in dashboard.panels if panel.query)


def run(cluster: Cluster, query: str, begin: datetime, end: datetime, filters: list[dict]) -> Result:
    """Runs the query of a panel as Kibana does: with the time range and the filters beside it."""
    times = {"gte": rfc3339(begin), "lte": rfc3339(end)}
    body = {"query": query, "filter": {"bool": {"filter": [{"range": {"@timestamp": times}}, *filters]}}}
    if "?_tstart" in query:
        body["params"] = [{"_tstart": times["gte"]}, {"_tend": times["lte"]}]
    answer = cluster.request("POST", "_query", body)
    types = {column["name"]: column["type"] for column in answer["columns"]}
    return Result(list(types), types, answer["values"])
