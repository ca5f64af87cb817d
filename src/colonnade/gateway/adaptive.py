"""Shares for `balance = "adaptive"`: each server's weight follows how fast it answers beside the others. Pure.

The gateway draws two servers by weight and takes the one that has less to do (HAProxy's `random`; the power of two
choices, Mitzenmacher 1996). Weights decide who is drawn; who is full is passed over. So a low weight costs a slow
server its requests while others have room, and none of its capacity when it is needed.
Never takes a server out: a part of its weight stays, because only answers can show that it is fast again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import pow

from colonnade.core.histogram import BOUNDS_MS, Histogram

FACTOR_FLOOR = 0.01
"""The slowest still gets a hundredth of its weight: so little that p99 is that of the others, and enough to see it
recover (one answer in three seconds at 100 requests/s and four servers)."""

EXPONENT = 4.0
"""Weight goes by speed to this power: 1 is the share that is best for throughput, but who is only half as fast needs
not work while others idle. In the closed loop of `tests/properties/test_gray_failures.py`, one of four servers that is
five times slower got 3.5 % of 100 requests/s with 1, 0.84 % with 3, and 0.58 % with 4; on a real system (80 requests/s)
it was just above 1 % with 3, and p99 its own."""

ALIKE_RATIO = 1.25
"""Who takes at most so many times as long as the others keeps its whole weight: that is noise."""

STEP_DOWN = 0.5
STEP_UP = 1.5
"""At most so much in one step: two steps of a wrong measurement leave a quarter."""

DEAD_BAND = 0.25
"""A factor that would change by less than this part of itself stays: each change is a command and a line in the log."""

STEP_EVERY_S = 2.0
"""Between two steps. Longer than most answers take, so that each step sees the effect of the one before."""

ANSWERS_MIN = 10
"""For a mean to be compared."""

UNKNOWN_AFTER_S = 30.0
"""A server of which too little has been heard for this long gains weight, a step at a time, until it is heard of."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One server. `factor` is the part of its declared weight that it has now."""

    slot: int
    factor: float
    time_s: float | None
    """Mean time of its recent answers; None when they were fewer than ANSWERS_MIN."""
    unheard_s: float = 0.0
    """For how long they have been."""


def next_factors(servers: Sequence[Measured]) -> Mapping[int, float]:
    """The factors after the next step, by slot. Without enough to compare, they stay as they are."""
    times = sorted(server.time_s for server in servers if server.time_s is not None)
    # The faster middle one. Not the fastest: who fails at once is the fastest of all, and would get everything.
    normal_s = times[(len(times) - 1) // 2] if len(times) > 1 else None
    return {server.slot: _next_factor(server, normal_s) for server in servers}


def mean_s(latency: Histogram) -> float | None:
    """Each answer counted in the middle of its bucket; None with too few of them."""
    total = latency.total()
    if total < ANSWERS_MIN:
        return None
    edges_ms = (0, *BOUNDS_MS, 2 * BOUNDS_MS[-1])
    middles_ms = [(low + high) / 2 for low, high in pairwise(edges_ms)]
    return sum(count * middle for count, middle in zip(latency.counts, middles_ms, strict=True)) / total / 1000


def _next_factor(server: Measured, normal_s: float | None) -> float:
    raised = min(1.0, server.factor * STEP_UP)
    if server.time_s is None or normal_s is None or normal_s <= 0:
        return server.factor if server.unheard_s < UNKNOWN_AFTER_S else raised
    ratio = max(1.0, server.time_s / normal_s / ALIKE_RATIO)
    target = max(FACTOR_FLOOR, 1 / pow(ratio, EXPONENT))
    if FACTOR_FLOOR < target < 1.0 and abs(target - server.factor) < DEAD_BAND * server.factor:
        return server.factor
    return max(target, server.factor * STEP_DOWN) if target < server.factor else min(target, raised)
