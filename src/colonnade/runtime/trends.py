"""What is about to fail, from how it has gone so far: memory, latency beside the peers', and lifetimes. Pure.

A replica that grows steadily towards a bound is replaced before it gets there, while it can still finish what it has.
Steady means: over the whole time that is known the level below which it does not fall again goes up, and not more
slowly of late. A saw-tooth (garbage collection) falls again, a warm-up becomes slower, and noise does neither.
Never looks at a replica's peers for what it does now: that is `outliers.py`.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from colonnade.runtime.state import ReplicaId

SAMPLES_MAX = 240
FINE_S = 2.0
COARSE_S = 60.0
"""Each value is kept at two paces: the last eight minutes, for what goes wrong now, and the last four hours, for what
creeps, and to know whether it has been this high before."""

BLOCKS = 8
SAMPLES_PER_BLOCK_MIN = 3
"""A series is judged in eight parts, each by its lowest value; with fewer samples nothing is said."""

RISES_SHARE = 0.9
"""Of all pairs of parts the later one must be higher in this share (Kendall 1938): by chance once in some thousand
series without a trend."""

SLOWING_SHARE = 0.75
"""The later half must grow at least at this part of the pace of the earlier one, or it is a warm-up that ends."""

AS_HIGH_SHARE = 0.9
FALLEN_SHARE = 0.8
"""A level that came near the present one and fell by a fifth: the top of a saw-tooth, seen once a minute."""

HORIZON_S = 600.0
"""Acted upon is what would happen within ten minutes: a replacement takes seconds, and what is further away may yet
turn."""

NEAR_SHARE = 0.8
"""Of the bound: before, there is time to see whether it goes on."""

URGENT_S = 60.0
URGENT_SHARE = 0.5
"""What grows so fast that it arrives within a minute is not waited for until it is near."""

MOST_SHARE = 0.5
"""Of the machine's growth, to be the one to replace."""

LIFETIMES_MIN = 3
LIFETIMES_KEPT = 5
LIFETIME_S_MIN = 60.0
LIFETIME_SPREAD = 0.2
LIFETIME_SHARE = 0.9
"""A replica that died three times at nearly the same age (within a fifth of the median, a minute at least) is expected
to do so again, and replaced at nine tenths of the shortest. Shorter lives are a crash loop's (`restart.py`)."""


@dataclass(frozen=True, slots=True)
class Series:
    """The newest values at one pace, oldest first."""

    interval_s: float
    samples: tuple[tuple[float, float], ...] = ()
    """(monotonic seconds, value)"""

    def with_sample(self, at_s: float, value: float) -> Series:
        # A hair less than the pace, so that a look that comes a little early is not lost.
        if self.samples and at_s - self.samples[-1][0] < 0.9 * self.interval_s:
            return self
        return Series(self.interval_s, (*self.samples, (at_s, value))[-SAMPLES_MAX:])


@dataclass(frozen=True, slots=True)
class History:
    """One value over time, at both paces."""

    fine: Series = Series(FINE_S)
    coarse: Series = Series(COARSE_S)

    def with_sample(self, at_s: float, value: float) -> History:
        return History(self.fine.with_sample(at_s, value), self.coarse.with_sample(at_s, value))


@dataclass(frozen=True, slots=True)
class Growth:
    """A steady one, as of the last sample."""

    value: float
    per_s: float
    observed_s: float


def growth_of(history: History) -> Growth | None:
    """What goes on now, or else what creeps; None when it was as high before and came down again by itself."""
    growth = steady_growth(history.fine) or steady_growth(history.coarse)
    return None if growth is None or has_come_down(history.coarse, growth.value) else growth


def has_come_down(series: Series, value: float) -> bool:
    """It was about as high as `value` once, and much lower after that."""
    peak = 0.0
    for _, seen in series.samples:
        peak = max(peak, seen)
        if peak >= AS_HIGH_SHARE * value and seen <= FALLEN_SHARE * peak:
            return True
    return False


def steady_growth(series: Series) -> Growth | None:
    """None unless the series goes up, and keeps going up, over all of its time."""
    samples = series.samples
    size = len(samples) // BLOCKS
    if size < SAMPLES_PER_BLOCK_MIN:
        return None
    # The newest count most, so what does not divide evenly is left away at the beginning.
    recent = samples[len(samples) - BLOCKS * size :]
    floors = [min(recent[at : at + size], key=lambda sample: sample[1]) for at in range(0, len(recent), size)]
    rises = [late[1] > early[1] for early, late in combinations(floors, 2)]
    if sum(rises) < RISES_SHARE * len(rises):
        return None
    half = BLOCKS // 2
    early, late = median_slope(floors[: half + 1]), median_slope(floors[half - 1 :])
    if late <= 0 or late < SLOWING_SHARE * early:
        return None
    return Growth(samples[-1][1], late, samples[-1][0] - recent[0][0])


def median_slope(floors: Sequence[tuple[float, float]]) -> float:
    """Of all lines through two of the points (Theil 1950, Sen 1968): a few odd values do not move it."""
    return statistics.median((late[1] - early[1]) / (late[0] - early[0]) for early, late in combinations(floors, 2))


def time_left_s(growth: Growth, bound: float) -> float | None:
    """When the bound is reached, if something should be done about it now; None otherwise."""
    if bound <= 0:
        return None
    left_s = max(0.0, bound - growth.value) / growth.per_s
    share = growth.value / bound
    is_near = share >= NEAR_SHARE and left_s <= HORIZON_S
    is_urgent = share >= URGENT_SHARE and left_s <= URGENT_S
    # Nobody can look further ahead than back.
    return left_s if (is_near or is_urgent) and left_s <= growth.observed_s else None


@dataclass(frozen=True, slots=True)
class Expectation:
    """A replica that is going to fail. `reason` is stable, `message` has the numbers."""

    id: ReplicaId
    left_s: float
    reason: str
    message: str


def expect_out_of_memory(replica: ReplicaId, history: History, bound_bytes: float) -> Expectation | None:
    """Towards `memory_max`: `history` is of the address space of its largest process, because that is what is bounded
    (RLIMIT_AS), and an allocation fails when it is used up, however little of it is in memory."""
    growth = growth_of(history)
    left_s = time_left_s(growth, bound_bytes) if growth is not None else None
    if growth is None or left_s is None:
        return None
    return Expectation(
        replica,
        left_s,
        "memory_grows",
        f"{replica} has an address space of {_mb(growth.value)} and grows by {_mb(60 * growth.per_s)} a minute, for "
        f"{_span(growth.observed_s)} now: it reaches memory_max ({_mb(bound_bytes)}) in {_span(left_s)}",
    )


def expect_machine_full(used: History, total_bytes: float, replicas: Mapping[ReplicaId, History]) -> Expectation | None:
    """Towards the end of the machine's memory: the replica that grows fastest, if it is most of the growth. `used` is
    everybody's, `replicas` has what each replica alone holds."""
    growth = growth_of(used)
    left_s = time_left_s(growth, total_bytes) if growth is not None else None
    if growth is None or left_s is None:
        return None
    found = {replica: own for replica, history in replicas.items() if (own := growth_of(history)) is not None}
    if not found:
        return None
    replica = max(found, key=lambda one: found[one].per_s)
    own = found[replica]
    if own.per_s < MOST_SHARE * growth.per_s:
        return None
    return Expectation(
        replica,
        left_s,
        "memory_grows",
        f"{replica} has {_mb(own.value)} and grows by {_mb(60 * own.per_s)} a minute, for {_span(own.observed_s)} now: "
        f"the machine's last {_mb(total_bytes - growth.value)} are used up in {_span(left_s)}",
    )


def expect_slowness(replica: ReplicaId, ratios: History, limit: float) -> Expectation | None:
    """`ratios`: its latency beside the median of its peers; at `limit` it would count as slow."""
    growth = growth_of(ratios)
    if growth is None or growth.value < 1.0:
        return None
    # What is above its peers grows, so that is what has a bound.
    above = Growth(growth.value - 1.0, growth.per_s, growth.observed_s)
    left_s = time_left_s(above, limit - 1.0)
    if left_s is None:
        return None
    return Expectation(
        replica,
        left_s,
        "latency_creeps",
        f"{replica} takes {growth.value:.1f} times as long as its peers, rising steadily since "
        f"{_span(growth.observed_s)}: {limit:.1f} times in {_span(left_s)}",
    )


def expect_death(replica: ReplicaId, lifetimes_s: Sequence[float], age_s: float) -> Expectation | None:
    """From how long its predecessors under this number lived, newest last; only deaths that nobody asked for."""
    recent = lifetimes_s[-LIFETIMES_MIN:]
    if len(recent) < LIFETIMES_MIN or min(recent) < LIFETIME_S_MIN:
        return None
    middle_s = statistics.median(recent)
    shortest_s = min(recent)
    if any(abs(life_s - middle_s) > LIFETIME_SPREAD * middle_s for life_s in recent):
        return None
    if not LIFETIME_SHARE * shortest_s <= age_s <= shortest_s:
        return None
    lives = ", ".join(_span(life_s) for life_s in recent)
    return Expectation(
        replica,
        shortest_s - age_s,
        "dies_at_this_age",
        f"{replica} ended by itself {len(recent)} times after {lives}; it runs for {_span(age_s)} now",
    )


def _mb(size: float) -> str:
    return f"{size / 1e6:,.0f} MB"


def _span(duration_s: float) -> str:
    return f"{duration_s:.0f} s" if duration_s < 120 else f"{duration_s / 60:.0f} min"
