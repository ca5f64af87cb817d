"""The load of the next minutes, from the same minutes of earlier days: a floor, never a ceiling. Pure.

A pattern is used only while it proves itself: when over the last hour it was near what came. Two are tried, the mean of
the last days and that of the same day of the last weeks; the better one counts. Demand is kept as busy places (erlangs)
per minute, so that it says the same however many replicas there were.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

MINUTES_KEPT = 15 * 24 * 60
"""Two weeks and a day: the same day twice. About 22,000 figures of a few bytes."""

DAY = 24 * 60
LAGS: Mapping[str, tuple[int, ...]] = {"day": (DAY, 2 * DAY, 3 * DAY), "week": (7 * DAY, 14 * DAY)}
"""Minutes back. Of each pattern those count that are known; one is enough."""

AHEAD_MINUTES = 2
"""A replica takes seconds to start: looking further ahead only keeps replicas that nobody needs yet."""

SMOOTH_MINUTES = 2
"""On either side: what came at 9:00 yesterday may come at 9:01 today."""

PROOF_MINUTES = 60
KNOWN_SHARE_MIN = 0.8
"""Of the minutes of the last hour, known today and in the pattern, or nothing is proved."""

ERROR_MAX = 0.25
"""Mean distance over mean demand. A pattern that is a quarter off is still better than the floor, as it only adds."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """`busy` places at most in the next minutes, by which pattern, and how far it was off in the last hour."""

    busy: float
    pattern: str
    error: float


def forecast(history: Mapping[int, float], minute: int) -> Forecast | None:
    """From the busy places of each minute (counted since the epoch) that is known; `minute` is the present one.
    None without a pattern that has proved itself."""
    proved = [(error, pattern) for pattern in LAGS if (error := error_of(history, minute, pattern)) is not None]
    if not proved:
        return None
    error, pattern = min(proved)
    if error > ERROR_MAX:
        return None
    ahead = [
        value
        for each in range(minute, minute + AHEAD_MINUTES + 1)
        if (value := expected(history, each, pattern)) is not None
    ]
    return Forecast(max(ahead), pattern, error) if ahead else None


def error_of(history: Mapping[int, float], minute: int, pattern: str) -> float | None:
    """Mean distance of the pattern from what came in the hour before `minute`, over what came; None when too little
    is known or nothing came."""
    pairs = [
        (seen, value)
        for each in range(minute - PROOF_MINUTES, minute)
        if (seen := history.get(each)) is not None and (value := expected(history, each, pattern)) is not None
    ]
    came = sum(seen for seen, _ in pairs)
    if len(pairs) < PROOF_MINUTES * KNOWN_SHARE_MIN or came <= 0:
        return None
    return sum(abs(seen - value) for seen, value in pairs) / came


def expected(history: Mapping[int, float], minute: int, pattern: str) -> float | None:
    """The mean over the pattern's days of the minutes around this one; None when none is known."""
    found = list(_around(history, minute, LAGS[pattern]))
    return sum(found) / len(found) if found else None


def _around(history: Mapping[int, float], minute: int, lags: tuple[int, ...]) -> Iterator[float]:
    for lag in lags:
        for each in range(minute - lag - SMOOTH_MINUTES, minute - lag + SMOOTH_MINUTES + 1):
            if (value := history.get(each)) is not None:
                yield value


def with_minute(history: Mapping[int, float], minute: int, busy: float) -> dict[int, float]:
    """The history with one more minute and without those that are too old or lie in the future (a clock set back)."""
    kept = {each: value for each, value in history.items() if minute - MINUTES_KEPT < each < minute}
    return {**kept, minute: round(busy, 3)}
