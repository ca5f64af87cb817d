"""Budgets and burn rates: what is counted, over which windows, and when an alarm goes off."""

from __future__ import annotations

import pytest

from colonnade.core.histogram import BUCKETS_COUNT, Histogram
from colonnade.observe.burn_rate import ALARMS, BAD_MIN, DAY_S, HOUR_S, Ledger, Spent, burn_rate, is_burning
from colonnade.observe.objectives import (
    BUDGET_LEFT,
    BURN_RATE,
    Objective,
    assess,
    count_samples,
    objectives_of,
    standing_samples,
)

AVAILABILITY = Objective("backend", "availability", 0.999)


def test_objectives_come_from_what_is_declared() -> None:
    services: list[dict[str, object]] = [
        {"name": "a", "slo": {"p99_s": 0.25, "availability": 0.9995}},
        {"name": "b", "slo": {"p99_s": None, "availability": 0.9}},
        {"name": "c", "slo": None},
        {"name": "d"},
    ]
    assert list(objectives_of(services)) == [
        Objective("a", "availability", 0.9995),
        Objective("a", "latency", 0.99, 0.25),
        Objective("b", "availability", 0.9),
    ]


def test_bad_requests_are_errors_or_those_that_took_longer() -> None:
    # 90 below 1 ms, 10 between 175 and 300 ms: of these, 250 ms divide 75 to 50.
    counts = [0] * BUCKETS_COUNT
    counts[0], counts[10] = 90, 10
    latency = Histogram(tuple(counts))
    values = [sample.value for sample in count_samples(AVAILABILITY, 200, 3, latency)]
    assert values == [200, 3, 0.999]
    total, bad, target = (
        sample.value for sample in count_samples(Objective("b", "latency", 0.99, 0.25), 200, 3, latency)
    )
    assert (total, target) == (100, 0.99)
    assert bad == pytest.approx(4)


def test_nothing_counted_is_nothing_bad() -> None:
    assert [each.value for each in count_samples(Objective("b", "latency", 0.99, 0.25), 0, 0, Histogram())][:2] == [
        0,
        0,
    ]


def test_windows_are_those_of_the_workbook() -> None:
    assert [(alarm.factor, alarm.long_s / HOUR_S, alarm.short_s / HOUR_S) for alarm in ALARMS] == [
        (14.4, 1, pytest.approx(1 / 12)),
        (6, 6, 0.5),
        (1, 72, 6),
    ]
    # What goes at this rate for the long window is the share of a month's budget that the text names.
    assert [f"{alarm.factor * alarm.long_s / (30 * DAY_S):.0%}" for alarm in ALARMS] == ["2%", "5%", "10%"]


@pytest.mark.parametrize(
    ("long", "short", "expected"),
    [
        (Spent(3600, 10_000, 145), Spent(300, 800, 12), True),
        (Spent(3600, 10_000, 144), Spent(300, 800, 12), False),  # exactly at the factor
        (Spent(3600, 10_000, 145), Spent(300, 800, 11), False),  # it is over already
        (Spent(3600, 100, BAD_MIN - 1), Spent(300, 10, 9), False),  # too few to mean anything
        (Spent(3600, 0, 0), Spent(300, 0, 0), False),
        (Spent(3600, 10_000, 145), Spent(300, 0, 0), False),
    ],
)
def test_an_alarm_needs_both_windows_and_more_than_a_few(long: Spent, short: Spent, expected: bool) -> None:
    assert is_burning(ALARMS[0], 0.999, long, short) is expected


def test_a_burn_rate_of_one_spends_the_budget_in_the_window() -> None:
    assert burn_rate(Spent(1, 1000, 1), 0.999) == pytest.approx(1)
    assert burn_rate(Spent(1, 0, 0), 0.999) is None


def test_an_outage_of_an_hour_ago_is_in_the_long_window_alone() -> None:
    ledger = Ledger(0.0)
    for second in range(10, 5 * 3600, 10):
        is_out = 4 * 3600 <= second < 4 * 3600 + 600
        ledger.add(second, 100, 100 if is_out else 0)
    kept = assess(AVAILABILITY, ledger, 5 * 3600)
    spent = kept.burn_rates["fast"]
    assert spent["long"].bad == pytest.approx(6000, rel=0.02)
    assert spent["short"].bad == 0
    assert kept.bad == 6000
    assert kept.covered_s == 5 * 3600
    assert kept.budget_left == pytest.approx(1 - 6000 / (0.001 * kept.requests))


def test_a_budget_says_how_much_of_its_window_there_is() -> None:
    kept = assess(AVAILABILITY, Ledger(1000.0), 1500.0)
    assert (kept.window_s, kept.covered_s, kept.budget_left) == (30 * DAY_S, 500.0, None)
    assert {sample.name for sample in standing_samples([kept])}.isdisjoint({BUDGET_LEFT, BURN_RATE})
    assert kept.as_json()["good_ratio"] is None


def test_a_month_is_remembered_and_no_more() -> None:
    ledger = Ledger(0.0)
    for minute in range(1, 40 * 24 * 6):  # forty days by ten minutes
        ledger.add(minute * 600.0, 600, 1)
    whole = ledger.spent(40 * DAY_S, 30 * DAY_S)
    assert whole.requests == pytest.approx(600 * 30 * 144, rel=0.001)
    assert whole.covered_s == pytest.approx(30 * DAY_S, rel=0.001)
    assert len(ledger._coarse._times_s) < 31 * 144 + 250
