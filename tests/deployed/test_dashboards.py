"""Every panel of every dashboard on the real node, with a company that the deployed function has copied."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime

import panels
import pytest
from cluster import Cluster
from collected import OUTSIDERS, OUTSIDERS_FOLDERS, collected, shared
from company import Company, users_of
from stacks import name

PANELS = {f"{panel.dashboard.removeprefix('lastpass-elastic-')}: {panel.title} ({panel.kind})": panel for panel in panels.queries()}
SPANS = {dashboard.id: dashboard.span for dashboard in panels.dashboards()}
NUMBERS = {"integer", "long", "unsigned_long", "double"}


@dataclass
class Copied:
    """The company, and the node with its copy."""

    company: Company
    cluster: Cluster
    namespace: str

    def run(self, title: str, *filters: dict) -> panels.Result:
        """Runs the query of a panel with the dashboard's filter by namespace."""
        return self.run_in_all_namespaces(title, {"term": {"data_stream.namespace": self.namespace}}, *filters)

    def run_in_all_namespaces(self, title: str, *filters: dict) -> panels.Result:
        """Runs the query of a panel on every namespace whose name begins as this one's does. The data streams of other
        tests on this node may have contradicting mappings, or closed backing indices.
        """
        panel = PANELS[title]
        query = re.sub(r"(logs-lastpass\.\w+)-\*", rf"\1-{self.namespace}*", panel.query)
        query = re.sub(r"logs-lastpass\.\*(?![-\w])", f"logs-lastpass.*-{self.namespace}*", query)
        assert query.count(self.namespace) == panel.query.count("logs-lastpass."), query
        end = datetime.now(UTC)
        return panels.run(self.cluster, query, end - SPANS[panel.dashboard], end, list(filters))

    def number(self, title: str) -> int:
        [[number]] = self.run(f"{title} (metric)").rows
        return number


@pytest.fixture(scope="module")
def copied(simulator, bootstrap, cluster):
    if not cluster.version.startswith("8."):
        pytest.skip("ES|QL is not published for this version of Elasticsearch")
    namespace = name("dash").replace("-", "_")
    with collected(simulator, bootstrap, cluster, namespace, name("dashboards")) as company:
        yield Copied(company, cluster, namespace)


def is_set(flag) -> bool:
    """LastPass spells a flag as a boolean, a number or a text."""
    return str(flag).lower() in ("true", "1", "yes")


@pytest.mark.parametrize("title", PANELS)
def test_the_query_of_a_panel_finds_rows_with_the_columns_of_the_panel(copied, title):
    result = copied.run(title)
    assert result.rows
    for column in PANELS[title].columns:
        assert column.field in result.names
        assert not column.is_metric or result.types[column.field] in NUMBERS
        assert column.is_date == (result.types[column.field] == "date"), column
        assert any(value is not None for value in result.values(column.field)), column


def test_the_numbers_are_those_of_the_company(copied):
    begin = datetime.now(UTC) - SPANS["lastpass-elastic-activity"]
    recent = [json.loads(event.text) for event in copied.company.events() if event.instant >= begin]
    failed = [record for record in recent if record.get("Action", "").lower() == "failed login attempt"]
    # An event at the very beginning of the range may be in or out.
    assert abs(copied.number("activity: Failed logins") - len(failed)) <= 1
    users = copied.company.by_key("users").values()
    # The snapshot before the last change is in the range, too.
    assert copied.number("access: Users") - sum(not is_set(user.get("disabled")) for user in users) in (0, 1, 2)
    assert copied.number("collector: Duplicates") == 0
    assert copied.number("collector: Dead letters") == 0
    assert copied.number("collector: Records not mapped in full") == 1


def test_outsiders_are_those_without_an_account(copied):
    outsiders = copied.run("access: Outsiders (datatable)")
    assert set(outsiders.values("user.email")) == set(OUTSIDERS)
    assert sum(outsiders.values("folders")) == OUTSIDERS_FOLDERS
    assert copied.number("access: Outsiders with access") == len(OUTSIDERS)


def test_the_readers_of_a_folder_are_those_of_the_company(copied):
    table = copied.run("access: Shared folders (datatable)")
    readers = dict(zip(table.values("lastpass.detailed_shared_folder.shared_folder.id"), table.values("readers")))
    for key, folder in shared(copied.company).items():
        # A folder that lost a reader has that reader in the earlier snapshot.
        assert readers[key] - len({user["username"] for user in users_of(folder)}) in (0, 1), key


def test_filters_by_user_and_folder_work_on_every_dashboard_that_shows_them(copied):
    by_folder = copied.run("access: Shared folders (datatable)")
    folder = {"term": {"lastpass.shared_folder_name": by_folder.values("lastpass.shared_folder_name")[0]}}
    seen = copied.run("access: Who can read what (datatable)", folder)
    assert set(seen.values("lastpass.shared_folder_name")) == {folder["term"]["lastpass.shared_folder_name"]}
    user = {"term": {"related.user": OUTSIDERS[0]}}
    assert set(copied.run("access: Who can read what (datatable)", user).values("user.email")) == {OUTSIDERS[0]}
    assert "data export" in copied.run("activity: Actions (datatable)", user).values("event.action")
    events = copied.run("activity: Shared folders with the most events (datatable)")
    name_of_one = events.values("lastpass.shared_folder_name")[0]
    one = copied.run("activity: Shared folders with the most events (datatable)", {"term": {"lastpass.shared_folder_name": name_of_one}})
    assert one.values("lastpass.shared_folder_name") == [name_of_one]


def test_namespaces_and_organizations_are_kept_apart(copied):
    panel = "collector: Data streams (datatable)"
    other = f"{copied.namespace}_other"
    event = {
        "@timestamp": datetime.now(UTC).isoformat(),
        "data_stream": {"type": "logs", "dataset": "lastpass.event_report", "namespace": other},
        "organization": {"name": "another company"},
    }
    copied.cluster.request("POST", f"logs-lastpass.event_report-{other}/_doc?refresh=true", event)
    assert set(copied.run_in_all_namespaces(panel).values("data_stream.namespace")) == {copied.namespace, other}
    assert set(copied.run(panel).values("data_stream.namespace")) == {copied.namespace}
    by_name = {"term": {"organization.name": "another company"}}
    assert copied.run_in_all_namespaces(panel, by_name).values("data_stream.namespace") == [other]
    assert copied.run(panel, by_name).rows == []
