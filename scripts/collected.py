"""A company whose documents the deployed function has copied to the local node, with something for every panel of the
dashboards: outsiders, administrators, changes between two snapshots, and a record that cannot be mapped.

    with collected(simulator, bootstrap, Cluster(), "demo", "dashboards") as company:
        ...
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cluster import Cluster
from company import Company, Size, rfc3339, users_of
from deployment import SCHEDULES_OFF, Deployment, set_up

SIZE = Size(events=5_000, days=14, twins=0.05, users=150, folders=30, users_of_a_folder=15)
SEED = 20_261_102
# Readers of shared folders who have no account in the company.
OUTSIDERS = ("auditor@audit-partner.example", "kim@agency.example")
OUTSIDERS_FOLDERS = 4
CHANGED_FOLDERS = 12
# Most repetitions of a request until it is complete.
MAX_ATTEMPTS = 20


class NotCollected(Exception):
    """The company could not be copied. The text is for the user."""


@contextlib.contextmanager
def collected(simulator: Path, bootstrap: Path, cluster: Cluster, namespace: str, stack_name: str) -> Iterator[Company]:
    """Deploys the function, and copies all streams of a company into `namespace`: two snapshots, and 14 days of events."""
    end = datetime.now(UTC).replace(microsecond=0)
    parameters = {"ElasticsearchUrl": cluster.url, "Namespace": namespace, **SCHEDULES_OFF}
    with Company.start(simulator, SIZE, SEED, end, reporting_events=True) as company:
        invite_outsiders(company)
        company.add_events([
            {"instant": rfc3339(end - timedelta(days=1)), "raw": {"Time": "yesterday", "Action": "Log in"}},
            {"instant": rfc3339(end - timedelta(hours=7)), "username": OUTSIDERS[0], "action": "Data export", "data": ""},
        ])
        with Deployment.create(stack_name, parameters | {"LastPassUrl": company.url}, bootstrap) as deployment:
            set_up(deployment, company, cluster)
            snapshots(deployment, end - timedelta(days=1))
            change(company)
            snapshots(deployment, end)
            until_complete(deployment, {"action": "collect", "stream": "event_report"})
            span = {"from": rfc3339(end - timedelta(days=SIZE.days)), "to": rfc3339(end)}
            until_complete(deployment, {"action": "backfill", "stream": "event_report", **span})
            cluster.request("POST", f"logs-lastpass.*-{namespace}/_refresh")
            yield company


def snapshots(deployment: Deployment, scheduled: datetime) -> None:
    for stream in ("user", "detailed_shared_folder"):
        until_complete(deployment, {"action": "collect", "stream": stream, "scheduled_time": rfc3339(scheduled)})


def until_complete(deployment: Deployment, request: dict) -> None:
    """Repeats a request until it is complete, as every caller must."""
    for _ in range(MAX_ATTEMPTS):
        answer = deployment.invoke(request)
        if answer["status"] == "complete":
            return
    raise NotCollected(f"{json.dumps(request)} was not complete after {MAX_ATTEMPTS} attempts")


def shared(company: Company) -> dict[str, dict]:
    """Returns the shared folders that have users and are not deleted."""
    folders = company.by_key("folders")
    return {key: folder for key, folder in folders.items() if users_of(folder) and str(folder.get("deleted")) not in ("1", "True")}


def invite_outsiders(company: Company) -> None:
    """Gives the outsiders access to some folders, with the rights of a user who is there already."""
    changed = {}
    for number, (key, folder) in enumerate(list(shared(company).items())[:OUTSIDERS_FOLDERS]):
        outsider = {**users_of(folder)[0], "username": OUTSIDERS[number % len(OUTSIDERS)]}
        changed[key] = {**folder, "users": [*users_of(folder), outsider]}
    company.change_folders(changed)


def change(company: Company) -> None:
    """Changes what a company changes from one day to the next."""
    users = company.by_key("users")
    keys = list(users)
    leaver, joiner, promoted, disabled = keys[3], keys[7], keys[11], keys[17]
    company.change_users({
        leaver: None,
        "900001": {**users[joiner], "username": "new.colleague@example.com"},
        promoted: {**users[promoted], "admin": True},
        disabled: {**users[disabled], "disabled": True},
    })
    changed = {}
    for number, (key, folder) in enumerate(list(shared(company).items())[:CHANGED_FOLDERS]):
        present = users_of(folder)
        newcomer = {**present[0], "username": users[keys[40 + number]]["username"]}
        # Every third folder also loses a reader.
        changed[key] = {**folder, "users": [*(present[1:] if number % 3 == 0 else present), newcomer]}
    company.change_folders(changed)
