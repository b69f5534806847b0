"""Each compiled rule finds its attack and nothing else, on documents that the function made."""

from datetime import timedelta

import pytest

from attacks import plays_of_events, plays_of_snapshots
from cluster import ClusterError
from kibana import Engine, load_rules

PLAYS = [play.rule for play in (*plays_of_events(), *plays_of_snapshots())]


def check(stage, rule: dict, slug: str) -> None:
    play, start = stage.plays[slug]
    alerts = stage.alerts(rule, play, start)
    listed = "\n".join(f"{alert.at:%H:%M} {alert.content}" for alert in alerts)
    for word in play.finds:
        assert sum(alert.names(word) for alert in alerts) == 1, f"alerts for {word} in:\n{listed}"
    assert len(alerts) == len(play.finds), f"a near miss alerts:\n{listed}"


@pytest.mark.parametrize("slug", PLAYS)
def test_a_rule_finds_its_attack_once_and_no_near_miss(stage, slug):
    check(stage, stage.rules[slug], slug)


def test_an_event_that_arrives_late_is_found_when_it_arrives(stage):
    """A live run sets `event.ingested`, which decides instead of the time of the event."""
    engine = Engine(stage.rules["vault-exported"], stage.cluster, stage.namespace)
    _, now = stage.plays["dormant-account"]
    assert not any(alert.names("latecomer") for alert in engine.run(now - timedelta(hours=3) + timedelta(minutes=3)))
    assert [alert.names("latecomer") for alert in engine.run(now + timedelta(minutes=3))] == [True]
    assert engine.run(now + timedelta(minutes=8)) == []


def test_a_stream_that_stays_silent_alerts_in_the_first_two_hours_and_then_daily(stage):
    engine = Engine(stage.rules["stream-silent"], stage.cluster, stage.namespace)
    _, now = stage.plays["dormant-account"]
    hours: dict[str, list[int]] = {}
    for hour in range(60):
        for alert in engine.run(now + timedelta(hours=hour, minutes=3)):
            for stream in ("event_report", "user", "detailed_shared_folder"):
                if alert.names(f'"lastpass.{stream}"'):
                    hours.setdefault(stream, []).append(hour)
    assert hours["event_report"] == [2, 3, 26, 27, 50, 51]
    # The next snapshot is due after a day.
    assert hours["user"] == hours["detailed_shared_folder"] == [26, 27, 50, 51]


@pytest.mark.parametrize("slug", load_rules())
def test_the_triage_query_runs(stage, slug):
    """The query is in the note of the rule, for the person who investigates the alert."""
    rule = stage.rules[slug]
    query = rule["note"].split("```")[1]
    replaced = {"ADDRESS": "203.0.113.66", "USER": "ann@example.com", "DOMAIN": "example.com"}
    for name, value in replaced.items():
        query = query.replace(f'{name}"', f'{value}"')
    engine = Engine(rule, stage.cluster, stage.namespace)
    _, now = stage.plays["dormant-account"]
    engine.rows(query.strip(), now - timedelta(days=30), now, now)


def test_every_rule_has_a_play():
    assert set(load_rules()) == {*PLAYS, "stream-silent"}


def broken(slug: str, **changes: object) -> tuple:
    return pytest.param(slug, changes, id=f"{slug}-{'-'.join(changes)}")


@pytest.mark.parametrize(("slug", "changes"), [
    # The rule no longer finds its attack.
    broken("failed-logins", query='event.action: "failed login attempts"'),
    broken("failed-logins", threshold={"field": ["user.name"], "value": 16, "cardinality": []}),
    broken("failed-logins", index=["logs-lastpass.user-*"]),
    broken("failed-logins", **{"from": "now-6m"}),
    broken("vault-exported", query='event.action: "Data export"'),
    broken("action-never-seen", new_terms_fields=["user.name"]),
    # The rule also finds a near miss.
    broken("failed-logins", threshold={"field": ["user.name"], "value": 9, "cardinality": []}),
    broken("failed-logins", **{"from": "now-2h"}),
    broken("password-spray", threshold={"field": ["source.ip"], "value": 10, "cardinality": []}),
    broken("administrator-added", query='event.action: "make admin" or event.action: "remove admin"'),
    broken("action-never-seen", history_window_start="now-30d"),
    # The query is invalid.
    broken("vault-exported", query='event.action: "data export'),
    broken("policy-weakened", query="FROM logs-lastpass.event_report-* | WHERE event.actoin == \"delete policy\""),
])
def test_a_broken_rule_fails(stage, slug, changes):
    with pytest.raises((AssertionError, ClusterError)):
        check(stage, stage.rules[slug] | changes, slug)


@pytest.mark.parametrize(("slug", "found", "instead"), [
    ("login-after-failed-logins", ">= 8", ">= 7"),
    ("login-after-failed-logins", ">= 8", ">= 9"),
    ("logins-from-two-countries", "+ 60 minutes", "+ 62 minutes"),
    ("new-administrator-acts", "+ 60 minutes", "+ 70 minutes"),
    ("dormant-account", "- 90 days", "- 92 days"),
    ("dormant-account", "- 90 days", "- 88 days"),
    # An aggregating query that does not look for the event since the last run alerts in every run.
    ("reset-then-login-from-same-address", "NOW() - 16 minutes", "NOW() - 40 minutes"),
    ("shared-with-outsider", "employees < 3", "employees < 1000"),
])
def test_a_broken_query_fails(stage, slug, found, instead):
    rule = stage.rules[slug]
    assert found in rule["query"]
    with pytest.raises(AssertionError):
        check(stage, rule | {"query": rule["query"].replace(found, instead)}, slug)
