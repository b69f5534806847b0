"""Each compiled rule finds its attack and nothing else, on documents that the function made."""

import copy

import pytest

from attacks import plays_of_events
from cluster import ClusterError
from kibana import load_rules

PLAYS = [play.rule for play in plays_of_events()]


def check(stage, rule: dict, slug: str) -> None:
    play, start = stage.plays[slug]
    alerts = stage.alerts(rule, play, start)
    told = "\n".join(f"{alert.at:%H:%M} {alert.content}" for alert in alerts)
    for word in play.finds:
        assert sum(alert.names(word) for alert in alerts) == 1, f"alerts for {word} in:\n{told}"
    assert len(alerts) == len(play.finds), f"a near miss alerts:\n{told}"


@pytest.mark.parametrize("slug", PLAYS)
def test_a_rule_finds_its_attack_once_and_no_near_miss(stage, slug):
    check(stage, stage.rules[slug], slug)


def test_every_rule_has_a_play():
    assert set(load_rules()) == set(PLAYS)
