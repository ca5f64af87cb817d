"""Alerts: each rule on both sides of its bound, their lives, and the one declaration that all go by."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import pytest

from colonnade.observe import alert_rules
from colonnade.observe.alert_rules import BY_NAME, RULES, Unit, seen
from colonnade.observe.alerts import (
    REMEMBERED_S,
    RESOLVED_AFTER_S,
    TRANSITIONS,
    Alert,
    Alerts,
    AlertState,
    alert_from_json,
    alerts_from_json,
    step,
)
from colonnade.observe.burn_rate import DAY_S, Ledger
from colonnade.observe.metrics import BY_SAMPLE_NAME
from colonnade.observe.objectives import Objective, assess
from colonnade.observe.sample import Sample

NOW_S = 1_700_000_000.0


def sample(name: str, value: float, **labels: str) -> Sample:
    return Sample(f"colonnade_{name}", tuple(labels.items()), value)


def interval(latest_age_s: float) -> list[Sample]:
    return [
        sample("backup_latest_timestamp_seconds", NOW_S - latest_age_s),
        sample("backup_interval_seconds", 3600),
    ]


def strength(ready: int, desired: int) -> list[Sample]:
    return [
        sample("service_replicas", ready, service="backend", state="ready"),
        sample("service_replicas", 5, service="backend", state="starting"),
        sample("service_replicas_desired", desired, service="backend"),
    ]


def disk(free: float) -> list[Sample]:
    return [sample("disk_available_bytes", free), sample("disk_size_bytes", 1000)]


CASES: Mapping[str, tuple[list[Sample], list[Sample], str]] = {
    "gateway_down": (
        [sample("gateway_up", 0, gateway="dbgate")],
        [sample("gateway_up", 1, gateway="gateway")],
        "dbgate does not run: nobody is answered",
    ),
    "no_primary": (
        [sample("database_writable", 0)],
        [sample("database_writable", 1)],
        "database: no primary that takes writes",
    ),
    "database_node_missing": (
        [sample("database_node_up", 0, node="b")],
        [sample("database_node_up", 1, node="b")],
        "database node b is not in service: one failure more is survived less",
    ),
    "replication_lag": (
        [sample("database_replication_lag_bytes", 65 * 2**20, node="b")],
        [sample("database_replication_lag_bytes", 64 * 2**20, node="b")],
        "database node b is 65 MiB of WAL behind the primary (limit 64 MiB)",
    ),
    "not_at_full_strength": (strength(2, 3), strength(3, 3), "backend: 1 of 3 replicas are not ready"),
    "crash_loop": (
        [sample("replica_crash_looping", 1, service="backend", replica="backend/2")],
        [sample("replica_crash_looping", 0, service="backend", replica="backend/2")],
        "backend/2: it ends again and again",
    ),
    "disk_space": (disk(99), disk(100), "disk: only 9.9 % is free where the state directory is (limit 10 %)"),
    "backup_too_old": (
        interval(7801),
        interval(7800),
        "backup: the latest one is 2.17 h old (limit 2.17 h)",
    ),
    "archive_waits": (
        [sample("backup_archive_pending_seconds", 901)],
        [sample("backup_archive_pending_seconds", 900)],
        "archive: the oldest WAL that is not archived has waited for 901 s (limit 900 s)",
    ),
    "canary_undone": (
        [sample("deployment_undone", 1)],
        [sample("deployment_undone", 0)],
        "the last deployment: the new version was worse or did not start, and the old one runs",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_rule_holds_on_one_side_of_its_bound_and_says_so_with_the_numbers(name: str) -> None:
    bad, good, sentence = CASES[name]
    rule = BY_NAME[name]
    assert [rule.say(finding) for finding in rule.find(seen(NOW_S, bad))] == [sentence]
    assert list(rule.find(seen(NOW_S, good))) == []
    assert list(rule.find(seen(NOW_S, []))) == []


def kept_of(bad_per_hour: int, hours: int) -> alert_rules.Seen:
    ledger = Ledger(NOW_S - hours * 3600)
    for minute in range(1, hours * 60 + 1):
        ledger.add(NOW_S - hours * 3600 + minute * 60, 1000, bad_per_hour / 60)
    return seen(NOW_S, [], [assess(Objective("backend", "availability", 0.999), ledger, NOW_S)])


@pytest.mark.parametrize(
    ("bad_per_hour", "hours", "expected"),
    [
        (55, 100, ["objective_in_danger"]),  # 8 % left
        (53, 100, []),
        (70, 100, ["slo_burn_slow", "objective_in_danger"]),
        (400, 100, ["slo_burn_medium", "slo_burn_slow", "objective_in_danger"]),
        (900, 100, ["slo_burn_fast", "slo_burn_medium", "slo_burn_slow", "objective_in_danger"]),
        (900, 2, ["slo_burn_fast", "slo_burn_medium", "slo_burn_slow"]),  # too young to speak of a month
    ],
)
def test_budgets_go_off_by_how_fast_they_are_spent(bad_per_hour: int, hours: int, expected: list[str]) -> None:
    what = kept_of(bad_per_hour, hours)
    found = [rule.name for rule in RULES for finding in rule.find(what) if finding.subject == "backend availability"]
    assert found == expected


def test_every_metric_of_a_rule_is_declared() -> None:
    assert BY_SAMPLE_NAME.keys() >= alert_rules.WATCHED


def test_the_labels_of_a_rule_are_its_metrics_labels() -> None:
    for rule in RULES:
        metric = BY_SAMPLE_NAME[next(iter(sorted(name for name in alert_rules.WATCHED if name in rule.expr)))]
        assert set(rule.labels) <= set(metric.labels), rule.name
        assert bool(rule.labels) != bool(rule.whole), rule.name


def test_every_rule_is_tried() -> None:
    others = {"slo_burn_fast", "slo_burn_medium", "slo_burn_slow", "objective_in_danger"}
    assert CASES.keys() | others == BY_NAME.keys()


def follow(holding: list[tuple[float, bool]], rule: str = "no_primary") -> list[tuple[float, str]]:
    """The changes of one rule, each with its second, when it holds or not at these seconds."""
    alerts: Alerts = {}
    told = []
    for second, is_bad in holding:
        bad, good, _ = CASES[rule]
        alerts, changes = step(alerts, seen(NOW_S + second, bad if is_bad else good))
        told += [(second, change.new.state.value if change.new else "forgotten") for change in changes]
    return told


def test_an_alert_lives_from_pending_to_forgotten() -> None:
    seconds = [*((float(s), s < 40) for s in range(100)), (5000.0, False)]
    resolved_s = 39 + RESOLVED_AFTER_S
    assert follow(seconds) == [(0, "pending"), (15, "firing"), (resolved_s, "resolved"), (5000, "forgotten")]


def test_what_is_over_soon_is_told_to_nobody() -> None:
    assert follow([(float(s), s < 14) for s in range(60)]) == [(0, "pending"), (14, "forgotten")]


def test_what_flickers_is_told_once() -> None:
    assert follow([(float(s), s < 20 or s % 10 == 0) for s in range(100)]) == [(0, "pending"), (15, "firing")]


def test_what_comes_back_is_told_again() -> None:
    told = follow([(float(s), not 20 <= s < 60) for s in range(100)])
    assert told == [(0, "pending"), (15, "firing"), (49, "resolved"), (60, "pending"), (75, "firing")]


def test_a_rule_that_waits_for_nothing_fires_at_once() -> None:
    assert follow([(0.0, True), (1.0, False), (40.0, False), (41.0, True)], "crash_loop") == [
        (0, "firing"),
        (40, "resolved"),
        (41, "firing"),
    ]


def test_every_edge_of_the_table_is_taken_by_somebody() -> None:
    taken = set()
    for rule, seconds in (
        ("no_primary", [(float(s), s < 40 or 80 <= s < 90) for s in range(100)]),
        ("no_primary", [(float(s), s < 40) for s in (0, 20, 39, 69, 70 + REMEMBERED_S)]),
        ("crash_loop", [(0.0, True), (40.0, False), (41.0, True)]),
    ):
        states = [None, *(AlertState(state) if state != "forgotten" else None for _, state in follow(seconds, rule))]
        taken |= set(pairwise(states))
    assert taken == TRANSITIONS.keys()


def test_an_alert_comes_back_from_its_json() -> None:
    alerts, _ = step({}, seen(NOW_S, CASES["crash_loop"][0]))
    (alert,) = alerts.values()
    assert alert_from_json(alert.as_json()) == alert
    assert alert.as_json()["severity"] == "page"
    damaged: list[object] = [
        {**alert.as_json(), "rule": "of_another_version"},
        {**alert.as_json(), "rule": ["crash_loop"]},
        {**alert.as_json(), "state": "damaged"},
        {**alert.as_json(), "state": {}},
        {**alert.as_json(), "since_s": None},
        {**alert.as_json(), "value": float("nan")},
        {**alert.as_json(), "held_at_s": 10**400},
        {"rule": "crash_loop"},
        ["crash_loop"],
        None,
    ]
    assert [alert_from_json(each) for each in damaged] == [None] * len(damaged)
    assert alerts_from_json([*damaged, alert.as_json()]) == {alert.key: alert}
    nothing: list[object] = [None, {}, "x", 1]
    assert [alerts_from_json(each) for each in nothing] == [{}] * len(nothing)
    strange = alert_from_json({**alert.as_json(), "subject": "\ud800" + "x" * 10_000})
    assert strange is not None
    assert strange.subject.encode().startswith(b"?xx")
    assert len(strange.subject) <= 2_000


def test_there_are_no_more_alerts_than_may_be() -> None:
    many = [sample("replica_crash_looping", 1, service="s", replica=f"s/{n}") for n in range(700)]
    alerts, _ = step({}, seen(NOW_S, many))
    assert len(alerts) == 500
    assert all(isinstance(alert, Alert) for alert in alerts.values())


@pytest.mark.parametrize(
    ("unit", "value", "text"),
    [
        (Unit.COUNT, 3.0, "3"),
        (Unit.RATIO, 0.0999, "9.99 %"),
        (Unit.BYTES, 2**21, "2 MiB"),
        (Unit.SECONDS, 90, "90 s"),
        (Unit.SECONDS, 2 * DAY_S, "48 h"),
        (Unit.FACTOR, 14.44, "14.4"),
    ],
)
def test_numbers_are_written_by_their_unit(unit: Unit, value: float, text: str) -> None:
    assert unit.text(value) == text
