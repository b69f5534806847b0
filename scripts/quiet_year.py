"""Counts the alerts of all rules in a year in which nothing bad happens: `make quiet-year`.

The simulator serves the events of `quiet_company.py`, the deployed function copies them by a backfill, and each rule runs
over them at its interval as in Kibana (`kibana.py`). Runs that cannot alert, because no document that the rule needs is in
their time, are left out. The history before the year has all rare events, but few of the ordinary ones.

Users are copied once. The snapshots of the year are that snapshot with other times and last logins, on every second day.
The changes of the year follow from its events, as a comparison of daily snapshots would find them. `stream-silent` is left
out, because a year of runs of the collector cannot be simulated.
"""

from __future__ import annotations

import argparse
import bisect
import json
import math
import sys
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cluster import Cluster, ClusterError
from company import Company, CompanyError, Size, instant, rfc3339
from demo import DemoFailed, set_up, step, table, tell, until_complete
from deployment import SCHEDULES_OFF, TARGET, Deployment, DeploymentError, FunctionError
from kibana import Alert, Engine, load_rules, slug, span, rfc3339_ms, values
from quiet_company import COUNTRIES, DAYS_OF_YEAR, EVENTS_OF_YEAR, QuietCompany, USERS
from quiet_moments import Moments, OLDEST_LOGIN, Recorded

SEED = 20_261_129
HISTORY_DAYS = 90
HISTORY_SESSIONS = 0.05
SNAPSHOT_EVERY = timedelta(days=2)
SNAPSHOT_HOUR = 3
# The schedule of a rule has no relation to the times of events.
FIRST_RUN = timedelta(minutes=3)
EVENTS_OF_A_REQUEST = 50_000
DOCUMENTS_OF_A_BULK = 5_000
MOST_ALERTS_A_DAY = 1.0
# Runs of rules at the same time.
THREADS = 2

@dataclass
class Year:
    cluster: Cluster
    namespace: str
    start: datetime
    end: datetime
    moments: Moments

    def alerts(self, rule: dict) -> list[Alert]:
        began = time.monotonic()
        found = {"esql": self._esql, "new_terms": self._new_terms}.get(rule["type"], self._documents)(rule)
        tell(f"{slug(rule)}: {len(found)} alerts, after {time.monotonic() - began:.0f} s")
        return found

    def _runs(self, rule: dict) -> list[datetime]:
        interval = span(rule["interval"])
        return [self.start + FIRST_RUN + interval * number for number in range(int((self.end - self.start) / interval))]

    def _documents(self, rule: dict) -> list[Alert]:
        engine = Recorded(rule, self.cluster, self.namespace)
        engine.read(self.start - engine.look_back, self.end)
        return [alert for now in self._runs(rule) if engine.has_new(now) for alert in engine.run(now)]

    def _new_terms(self, rule: dict) -> list[Alert]:
        """A value is new if it is in a run's time and not in the history before. Times are rounded to a minute."""
        engine = Engine(rule, self.cluster, self.namespace)
        history = span(rule["history_window_start"])
        seen = self._minutes(engine, rule["new_terms_fields"], self.start - history)
        alerts = []
        for term, times in seen.items():
            for earlier, later in zip([None, *times], times):
                if later >= self.start and (earlier is None or later - earlier > history):
                    alerts.append(Alert(later, json.dumps(term)))
        return alerts

    def _minutes(self, engine: Engine, names: list[str], since: datetime) -> dict[tuple, list[datetime]]:
        day = {"day": {"date_histogram": {"field": "@timestamp", "fixed_interval": "1d"}}}
        sources = [*({name: {"terms": {"field": name}}} for name in names), day]
        seen: dict[tuple, list[datetime]] = {}
        for bucket in self._buckets(engine.indices, engine.found(since, self.end), sources):
            *term, _ = bucket["key"].values()
            # The first of the day decides whether the value is new, and the last when it was seen last.
            seen.setdefault(tuple(term), []).extend(instant(bucket[name]["value_as_string"]) for name in ("first", "last"))
        return {term: sorted(times) for term, times in seen.items()}

    def _buckets(self, indices: str, query: dict, sources: list[dict]) -> list[dict]:
        found, after = [], {}
        while True:
            ends = {"first": {"min": {"field": "@timestamp"}}, "last": {"max": {"field": "@timestamp"}}}
            composite = {"composite": {"sources": sources, "size": 10_000, **after}, "aggs": ends}
            answer = self.cluster.request("POST", f"{indices}/_search?ignore_unavailable=true", {"size": 0, "query": query, "aggs": {"all": composite}})
            part = answer.get("aggregations", {}).get("all", {"buckets": []})
            found += part["buckets"]
            if "after_key" not in part:
                return found
            after = {"after": part["after_key"]}

    def _esql(self, rule: dict) -> list[Alert]:
        engine = Engine(rule, self.cluster, self.namespace)
        moments = sorted(self.moments.of_rules()[slug(rule)]())
        alerts = []
        for now in self._runs(rule):
            # A minute more than the interval, as in the rules.
            since = now - engine.interval - timedelta(minutes=1)
            if bisect.bisect_right(moments, now) > bisect.bisect_left(moments, since):
                alerts += engine.run(now)
        return alerts

def main() -> int:
    parser = argparse.ArgumentParser(description="Counts the alerts of a quiet year.")
    parser.add_argument("--events", type=int, default=EVENTS_OF_YEAR, help="events of the year; fewer make it shorter")
    options = parser.parse_args()
    try:
        return quiet_year(options.events)
    except FunctionError as error:
        print(f"\nThe function answered with the error {error.error_type}: {error.message}", file=sys.stderr)
    except (DemoFailed, ClusterError, CompanyError, DeploymentError) as error:
        print(f"\n{error}", file=sys.stderr)
    return 1


def quiet_year(events: int) -> int:
    days = max(2, round(DAYS_OF_YEAR * events / EVENTS_OF_YEAR))
    end = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    start = end - timedelta(days=days)
    cluster, namespace = Cluster(), f"quiet_{uuid.uuid4().hex[:8]}"
    step(f"{days} quiet days of a company with {USERS:,} users, and the {HISTORY_DAYS} days before")
    history = QuietCompany(SEED, start - timedelta(days=HISTORY_DAYS), HISTORY_DAYS).events(HISTORY_SESSIONS)
    year = QuietCompany(SEED, start, days).events()
    tell(f"{len(year):,} events, and {len(history):,} before")
    copy(cluster, namespace, [*history, *year], (start - timedelta(days=HISTORY_DAYS), end))
    step("The snapshots of users")
    restamp_users(cluster, namespace, [*history, *year], start, end)
    step("The changes between the snapshots")
    write_changes(cluster, namespace, year)
    step("Running the rules")
    moments = Moments(cluster, namespace, start - timedelta(days=HISTORY_DAYS), start, end)
    tell(f"{len(moments.logins):,} logins to LastPass")
    rules = {name: rule for name, rule in load_rules().items() if rule["type"] != "esql" or name in moments.of_rules()}
    scene = Year(cluster, namespace, start, end, moments)
    with ThreadPoolExecutor(THREADS) as pool:
        alerts = dict(zip(rules, pool.map(scene.alerts, rules.values())))
    return report(alerts, days)


def report(alerts: dict[str, list[Alert]], days: int) -> int:
    step("Alerts")
    rows = [(name, len(found), f"{len(found) / days:.3f}", max(Counter(alert.at.date() for alert in found).values(), default=0))
            for name, found in sorted(alerts.items(), key=lambda item: (-len(item[1]), item[0]))]
    of_day = Counter(alert.at.date() for found in alerts.values() for alert in found)
    total = sum(of_day.values())
    rows.append(("all rules", total, f"{total / days:.3f}", max(of_day.values(), default=0)))
    table(("", "alerts", "a day", "most on a day"), rows)
    tell(f"days without an alert: {days - len(of_day)} of {days}")
    for day, count in of_day.most_common(3):
        names = Counter(name for name, found in alerts.items() for alert in found if alert.at.date() == day)
        tell(f"{day}: {count} alerts: {', '.join(f'{name} {n}' for name, n in names.items())}")
    # A few days may have more by chance: three standard deviations.
    by_chance = 3 * math.sqrt(MOST_ALERTS_A_DAY * days) if days < DAYS_OF_YEAR else 0
    if total > MOST_ALERTS_A_DAY * days + by_chance:
        print(f"\nMore than {MOST_ALERTS_A_DAY:.0f} alert a day.", file=sys.stderr)
        return 1
    return 0


def copy(cluster: Cluster, namespace: str, events: list[dict], time_span: tuple[datetime, datetime]) -> None:
    parameters = {"ElasticsearchUrl": cluster.url, "Namespace": namespace, **SCHEDULES_OFF}
    nobody = Size(events=0, days=1, twins=0, users=1, folders=0, users_of_a_folder=1)
    with Company.start(TARGET / "debug" / "lastpass-simulator", nobody, 1, time_span[1]) as company:
        for first in range(0, len(events), EVENTS_OF_A_REQUEST):
            company.add_events(events[first:first + EVENTS_OF_A_REQUEST])
        company.change_users({str(1000 + number): {
            "username": f"user{number}@example.com", "fullname": f"User {number}", "mpstrength": "80", "disabled": False,
            "admin": number < 10, "multifactor": "lastpassauth", "neverloggedin": False} for number in range(USERS)})
        with Deployment.create(f"quiet-{namespace[-8:]}", {**parameters, "LastPassUrl": company.url},
                               TARGET / "release" / "bootstrap") as deployment:
            set_up(deployment, company, cluster)
            cluster.add_countries(namespace, COUNTRIES)
            until_complete(deployment, {"action": "collect", "stream": "user"}, "The users")
            request = {"action": "backfill", "stream": "event_report", "from": rfc3339(time_span[0]), "to": rfc3339(time_span[1])}
            until_complete(deployment, request, "The events, by a backfill")
    cluster.count(f"logs-lastpass.event_report-{namespace}")


def restamp_users(cluster: Cluster, namespace: str, events: list[dict], start: datetime, end: datetime) -> None:
    data_stream = f"logs-lastpass.user-{namespace}"
    documents = [document for document in cluster.documents(data_stream) if "@" in str(values(document, "user.email"))]
    # The history has too few logins to know the last one of each user.
    logins = {document["user"]["email"]: rfc3339_ms(start - OLDEST_LOGIN * (number % 60) / 60 - SNAPSHOT_EVERY)
              for number, document in enumerate(documents)}
    events = [event for event in events if event["instant"] >= rfc3339_ms(start - SNAPSHOT_EVERY)]
    position, moment = 0, start - SNAPSHOT_EVERY
    while moment < end:
        while position < len(events) and events[position]["instant"] < rfc3339_ms(moment):
            event = events[position]
            if event["action"] == "Log in" and event["data"].startswith("LastPass via"):
                logins[event["username"]] = event["instant"]
            position += 1
        cluster.bulk(data_stream, [{
            **document, "@timestamp": rfc3339_ms(moment),
            "event": {**document["event"], "created": rfc3339_ms(moment), "ingested": rfc3339_ms(moment)},
            "lastpass": {"user": {**document["lastpass"]["user"], "last_login": logins[document["user"]["email"]]}},
        } for document in documents])
        moment += SNAPSHOT_EVERY
    tell(f"{cluster.count(data_stream):,} documents")


def write_changes(cluster: Cluster, namespace: str, events: list[dict]) -> None:
    """Writes what a comparison of daily snapshots finds after these events."""
    data_stream, documents = f"logs-lastpass.change-{namespace}", []
    readers: Counter[str] = Counter()

    def change(event: dict, action: str, email: str, name: str | None = None) -> None:
        day = instant(event["instant"]).replace(hour=SNAPSHOT_HOUR, minute=0, second=0)
        moment = rfc3339_ms(day + timedelta(days=1) if instant(event["instant"]) >= day else day)
        details: dict = {"snapshot": {"current": moment}}
        if name:
            granted = action == "share-granted"
            details["shared_folder"] = {"name": name, "users": readers[name] + granted, "previous_users": readers[name]}
            details["rights"] = {"read_only": True, "super_admin": False}
            readers[name] += 1 if granted else -1
        documents.append({
            "@timestamp": moment, "event": {"action": action, "ingested": moment, "kind": "event"},
            "data_stream": {"type": "logs", "dataset": "lastpass.change", "namespace": namespace},
            "user": {"target": {"email": email}}, "lastpass": {"change": details}})

    for event in events:
        words = event["data"].split("'")
        match event["action"]:
            case "Add to Shared Folder":
                change(event, "share-granted", words[3], words[1])
            case "Removed from Shared Folder" if readers[words[1]]:
                change(event, "share-revoked", words[3], words[1])
            case "Created LastPass Account":
                email, _, name = event["data"].partition("-Shared-")
                change(event, "user-created", email)
                change(event, "share-granted", email, name)
            case "Adding User to Group":
                change(event, "share-granted", event["data"].partition(" ")[0], "Support")
            case "Employee Account Deleted":
                change(event, "user-deleted", event["data"])
    for first in range(0, len(documents), DOCUMENTS_OF_A_BULK):
        cluster.bulk(data_stream, documents[first:first + DOCUMENTS_OF_A_BULK])
    tell(f"{cluster.count(data_stream):,} documents")


if __name__ == "__main__":
    sys.exit(main())
