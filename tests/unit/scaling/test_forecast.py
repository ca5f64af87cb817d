"""Patterns of earlier days, used only while they prove themselves."""

from __future__ import annotations

import math

import pytest

from colonnade.scaling.forecast import DAY, ERROR_MAX, MINUTES_KEPT, error_of, forecast, with_minute

NOW = 30 * DAY + 9 * 60


def daily(minute: int) -> float:
    return 5 + 4 * math.sin(2 * math.pi * minute / DAY)


def weekly(minute: int) -> float:
    return daily(minute) * (3 if minute // DAY % 7 < 2 else 1)


def test_a_daily_pattern_tells_the_next_minutes() -> None:
    history = {minute: daily(minute) for minute in range(NOW - 2 * DAY, NOW)}
    found = forecast(history, NOW)
    assert found is not None
    assert found.pattern == "day"
    assert found.busy == pytest.approx(daily(NOW + 2), rel=0.02)
    assert found.error < 0.02


def test_a_weekly_pattern_is_better_where_days_differ() -> None:
    for day in range(7):
        now = NOW + day * DAY
        history = {minute: weekly(minute) for minute in range(now - 14 * DAY, now)}
        found = forecast(history, now)
        assert found is not None
        assert found.busy == pytest.approx(weekly(now), rel=0.05)


def test_a_pattern_that_failed_in_the_last_hour_is_not_used() -> None:
    history = {minute: daily(minute) for minute in range(NOW - 2 * DAY, NOW)}
    history |= {minute: daily(minute) * 2 for minute in range(NOW - 60, NOW)}
    assert error_of(history, NOW, "day") == pytest.approx(0.5, rel=0.05)
    assert ERROR_MAX < 0.5
    assert forecast(history, NOW) is None


@pytest.mark.parametrize("known", [range(NOW - DAY + 60, NOW), range(NOW - 2 * DAY, NOW - 30), range(NOW, NOW)])
def test_without_enough_to_compare_nothing_is_told(known: range) -> None:
    assert forecast({minute: daily(minute) for minute in known}, NOW) is None


def test_a_service_that_nobody_asks_has_no_pattern() -> None:
    assert forecast(dict.fromkeys(range(NOW - 2 * DAY, NOW), 0.0), NOW) is None


def test_the_history_is_bounded_and_forgets_the_future() -> None:
    history = dict.fromkeys(range(NOW - MINUTES_KEPT - 100, NOW + 50), 1.0)
    kept = with_minute(history, NOW, 2.0004)
    assert len(kept) == MINUTES_KEPT
    assert max(kept) == NOW
    assert kept[NOW] == 2.0
