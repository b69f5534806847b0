"""The moments of a quiet year after which an ES|QL rule can alert.

A year has 35,000 runs of a rule, and in most of them nothing has happened that the rule could report. For each rule there is a
weaker condition than its query, computed from few documents: a run that alerts follows within its interval on one of these
moments.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cluster import Cluster
from company import instant
from kibana import Engine, Hit, values
from quiet_company import DOMAIN

DOCUMENTS_OF_A_PAGE = 5_000
# Before the year, each user logged in at most this long ago.
OLDEST_LOGIN = timedelta(days=60)

LOGIN = 'lastpass.event_report.data.login_type: "lastpass" and event.action: "log in"'
ACTS = ("master password reset by super admin", "employee account deleted", "edit policy", "delete policy", "remove admin",
        "make admin", "enterprise api secret regenerated", "remove user from company")
API = ("reporting", "get user data", "get shared folder data")
SHARES = ("add to shared folder", "created lastpass account", "personal share", "limit shared folder", "update folder permissions")


def one_of(actions: tuple[str, ...]) -> str:
    return "(" + " or ".join(f'event.action: "{action}"' for action in actions) + ")"


@dataclass
class Recorded(Engine):
    """A rule whose documents were read once for the whole time."""

    found_hits: list[Hit] = field(default_factory=list)
    times: list[datetime] = field(default_factory=list)

    def read(self, since: datetime, until: datetime) -> None:
        threshold = self.rule.get("threshold", {"field": [], "cardinality": []})
        needed = [*threshold["field"], *(limit["field"] for limit in threshold["cardinality"]), "user", "event.action", "source"]
        body = {"size": DOCUMENTS_OF_A_PAGE, "query": self.found(since, until), "sort": ["_doc"],
                "_source": ["@timestamp", "event.ingested", *needed]}
        answer = self.cluster.request("POST", f"{self.indices}/_search?scroll=5m&ignore_unavailable=true", body)
        while hits := answer["hits"]["hits"]:
            self.found_hits += [Hit((hit["_id"],), self.time(hit["_source"]), hit["_source"]) for hit in hits]
            answer = self.cluster.request("POST", "_search/scroll", {"scroll": "5m", "scroll_id": answer["_scroll_id"]})
        self.found_hits.sort(key=lambda hit: hit.time)
        self.times = [hit.time for hit in self.found_hits]

    def hits(self, since: datetime, until: datetime) -> list[Hit]:
        return self.found_hits[bisect.bisect_left(self.times, since):bisect.bisect_right(self.times, until)]

    def has_new(self, now: datetime) -> bool:
        return bisect.bisect_right(self.times, now) > bisect.bisect_right(self.times, now - self.interval)


@dataclass
class Moments:
    """The documents of a year and of the history before it."""

    cluster: Cluster
    namespace: str
    begin: datetime
    start: datetime
    end: datetime
    # The logins to LastPass, oldest first.
    logins: list[Hit] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.logins = self.found(LOGIN)

    def of_rules(self) -> dict[str, Callable[[], list[datetime]]]:
        """Returns the functions that find the moments, by the names of the rules."""
        return {
            "access-without-audit-event": self.changes,
            "api-from-new-address": self.api_from_new_address,
            "dormant-account": self.dormant_account,
            "folder-most-users-can-read": self.changes,
            "login-after-failed-logins": self.login_after_failed_logins,
            "login-from-new-country": self.login_from_new_country,
            "logins-from-two-countries": self.logins_from_two_countries,
            "new-administrator-acts": self.new_administrator_acts,
            "outsider-in-folder": self.changes,
            "policy-weakened": self.policy_weakened,
            "reset-then-login-from-same-address": self.reset_then_login_from_same_address,
            "shared-with-outsider": self.shared_with_outsider,
            "unusual-volume": self.unusual_volume,
        }

    def found(self, kql: str, stream: str = "event_report") -> list[Hit]:
        rule = {"query": kql, "filters": [], "index": [f"logs-lastpass.{stream}-*"], "timestamp_override": "event.ingested"}
        engine = Recorded(rule, self.cluster, self.namespace)
        engine.read(self.begin, self.end)
        return engine.found_hits

    def login_after_failed_logins(self) -> list[datetime]:
        failures = self.found('event.action: "failed login attempt"')
        rows = [(values(hit.source, "user.name"), hit.time) for hit in failures]
        many = {(name[0], moment) for name, moment in rows if name}
        latest: dict[str, list[datetime]] = {}
        for name, moment in sorted(many, key=lambda row: row[1]):
            latest.setdefault(name, []).append(moment)
        eighth = {name: times[7:] for name, times in latest.items() if len(times) >= 8}
        return [hit.time for hit in self.logins for time in eighth.get(user(hit), ())
                if timedelta() <= hit.time - time <= timedelta(minutes=90)]

    def login_from_new_country(self) -> list[datetime]:
        seen: dict[str, dict[str, datetime]] = {}
        moments = []
        for hit in self.logins:
            of_user = seen.setdefault(user(hit), {})
            (country,) = values(hit.source, "source.geo.country_iso_code") or ("",)
            recent = {name for name, moment in of_user.items() if hit.time - moment < timedelta(days=31)}
            if recent - {country} and (country not in of_user or hit.time - of_user[country] > timedelta(days=29)):
                moments.append(hit.time)
            of_user[country] = hit.time
        return moments

    def logins_from_two_countries(self) -> list[datetime]:
        last: dict[str, tuple] = {}
        moments = []
        for hit in self.logins:
            country = values(hit.source, "source.geo.country_iso_code")
            earlier, moment = last.get(user(hit), (country, hit.time))
            if country != earlier and hit.time - moment < timedelta(hours=3):
                moments.append(hit.time)
            last[user(hit)] = (country, hit.time)
        return moments

    def dormant_account(self) -> list[datetime]:
        oldest = self.start - OLDEST_LOGIN
        last: dict[str, datetime] = {}
        moments = []
        for hit in self.logins:
            if hit.time - max(last.get(user(hit), oldest), oldest) > timedelta(days=85):
                moments.append(hit.time)
            last[user(hit)] = hit.time
        return moments

    def reset_then_login_from_same_address(self) -> list[datetime]:
        resets: dict[str, list[datetime]] = {}
        for hit in self.found('event.action: "master password reset by super admin"'):
            for name in values(hit.source, "user.target.email"):
                resets.setdefault(name, []).append(hit.time)
        return [hit.time for hit in self.logins for time in resets.get(user(hit), ())
                if timedelta() <= hit.time - time <= timedelta(days=1, hours=1)]

    def new_administrator_acts(self) -> list[datetime]:
        grants = [hit.time for hit in self.found('event.action: "make admin"')]
        return [hit.time for hit in self.found(one_of(ACTS))
                if any(timedelta() <= hit.time - grant <= timedelta(hours=2) for grant in grants)]

    def api_from_new_address(self) -> list[datetime]:
        last: dict[str, datetime] = {}
        moments = []
        for hit in self.found(f"{one_of(API)} and source.ip: *"):
            ip = values(hit.source, "source.ip")[0]
            if ip not in last or hit.time - last[ip] > timedelta(days=29):
                moments.append(hit.time)
            last[ip] = hit.time
        return moments

    def changes(self) -> list[datetime]:
        changes = self.found("event.action: *", "change")
        return [hit.time for hit in changes]

    def policy_weakened(self) -> list[datetime]:
        return [hit.time for hit in self.found(one_of(("edit policy", "delete policy", "update policy users")))]

    def shared_with_outsider(self) -> list[datetime]:
        return [hit.time for hit in self.found(f"{one_of(SHARES)} and not user.target.email: *@{DOMAIN}")]

    def unusual_volume(self) -> list[datetime]:
        """The runs that judge an hour in which a user did something twenty times."""
        query = (f"FROM logs-lastpass.event_report-{self.namespace} | STATS n = COUNT(*) BY user.name, hour = DATE_TRUNC(1 hour, @timestamp)"
                 ' | WHERE n >= 20 AND user.name LIKE "*@*" | STATS users = COUNT(*) BY hour | KEEP hour | LIMIT 10000')
        hours = [instant(row[0]) for row in self.cluster.request("POST", "_query", {"query": query})["values"]]
        return [hour + timedelta(minutes=minutes) for hour in hours for minutes in (90, 150)]


def user(hit: Hit) -> str:
    return values(hit.source, "user.name")[0]
