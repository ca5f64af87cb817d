"""How fast an error budget is spent, over several windows at once. Pure.

A burn rate of 1 spends the budget of the whole window exactly in the window. An alarm goes by a long window, so that
it means something, and by a short one, so that it ends soon after the trouble does: Beyer et al., Site Reliability
Workbook (2018), chapter 5, "Multiwindow, Multi-Burn-Rate Alerts", table 5-8, from which the figures are.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from dataclasses import dataclass

HOUR_S = 3600.0
DAY_S = 24 * HOUR_S


@dataclass(frozen=True, slots=True)
class Alarm:
    """Burning `factor` times as fast as allowed, over the long window and over the short one."""

    name: str
    factor: float
    long_s: float
    short_s: float
    long_text: str
    """As PromQL writes it."""
    short_text: str
    spends: str
    """How much of a budget of 30 days is gone when it goes off."""


ALARMS = (
    Alarm("fast", 14.4, HOUR_S, HOUR_S / 12, "1h", "5m", "2 %"),
    Alarm("medium", 6.0, 6 * HOUR_S, HOUR_S / 2, "6h", "30m", "5 %"),
    Alarm("slow", 1.0, 3 * DAY_S, 6 * HOUR_S, "3d", "6h", "10 %"),
)

BAD_MIN = 10
"""With fewer bad requests than this in the long window there is no alarm: of ten requests in a quiet hour one is 200
times the budget of 99.95 %, and no reason to wake anybody. Chosen by feel."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What there was in a window: `covered_s` seconds of it, so many requests, so many of them bad."""

    covered_s: float
    requests: float
    bad: float


def burn_rate(spent: Spent, target: float) -> float | None:
    """How many times faster than allowed; None without any request. `target` below 1."""
    return spent.bad / spent.requests / (1 - target) if spent.requests > 0 else None


def is_burning(alarm: Alarm, target: float, long: Spent, short: Spent) -> bool:
    rates = burn_rate(long, target), burn_rate(short, target)
    return long.bad >= BAD_MIN and all(rate is not None and rate > alarm.factor for rate in rates)


FINE_STEP_S, FINE_KEPT_S = 10.0, 7 * HOUR_S
COARSE_STEP_S, COARSE_KEPT_S = 600.0, 31 * DAY_S
"""Ten seconds are fine enough for a window of five minutes, ten minutes for one of three days. Together 7000 entries of
24 bytes for each objective."""


class _Track:
    """Sums so far at rising times, one for each step; the oldest go when they are older than `kept_s`."""

    def __init__(self, step_s: float, kept_s: float) -> None:
        self._step_s = step_s
        self._kept_s = kept_s
        self._times_s, self._requests, self._bad = array("d"), array("d"), array("d")

    def set(self, at_s: float, requests: float, bad: float) -> None:
        times_s = self._times_s
        # The first is where everything begins, and stays as it is.
        if len(times_s) > 1 and times_s[-1] // self._step_s == at_s // self._step_s:
            times_s[-1], self._requests[-1], self._bad[-1] = at_s, requests, bad
            return
        times_s.append(at_s)
        self._requests.append(requests)
        self._bad.append(bad)
        # In one go of many, since taking from the front moves all the rest.
        expired = bisect_right(times_s, at_s - self._kept_s - 100 * self._step_s)
        if expired > 100:
            keep_from = bisect_right(times_s, at_s - self._kept_s) - 1
            for column in (self._times_s, self._requests, self._bad):
                del column[:keep_from]

    def at(self, at_s: float) -> tuple[float, float, float]:
        """(since when, requests, bad) at the last entry that is not later; the first entry when all are."""
        place = max(0, bisect_right(self._times_s, at_s) - 1)
        return self._times_s[place], self._requests[place], self._bad[place]


class Ledger:
    """Requests of one objective, added up over a month: fine for the last hours, coarse for the rest. Sums so far are
    kept rather than what came in each step, so a window is a difference, and leaving entries out loses nothing."""

    def __init__(self, begin_s: float) -> None:
        self._last = (begin_s, 0.0, 0.0)
        self._fine = _Track(FINE_STEP_S, FINE_KEPT_S)
        self._coarse = _Track(COARSE_STEP_S, COARSE_KEPT_S)
        for track in (self._fine, self._coarse):
            track.set(*self._last)

    def add(self, at_s: float, requests: float, bad: float) -> None:
        """So many more, not negative, up to `at_s`. A time that is not later than the last one counts as that one."""
        last_s, sum_requests, sum_bad = self._last
        self._last = max(at_s, last_s), sum_requests + requests, sum_bad + bad
        for track in (self._fine, self._coarse):
            track.set(*self._last)

    def spent(self, now_s: float, window_s: float) -> Spent:
        """In the last `window_s` seconds, rounded up to a step; less where less is known."""
        track = self._fine if window_s <= FINE_KEPT_S - HOUR_S else self._coarse
        since_s, requests, bad = track.at(now_s - window_s)
        _, all_requests, all_bad = self._last
        return Spent(max(0.0, now_s - since_s), all_requests - requests, all_bad - bad)
