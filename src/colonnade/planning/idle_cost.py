"""What a request costs on a machine that is half asleep, and on one that never rests. Pure.

A core that sleeps between two requests has to be woken, and finds its caches cold; one that is never idle does the same
in less time. Read at a third of the load the blog's pages took 6.3 ms of a core, at two thirds 4.4 ms. So a cost that
was read at one load is neither the capacity's nor that of an idle hour. Taken for linear in the utilization u:

    c(u) = c(1) · (1 + k·(1 − u))

which is a fit through two loads and no theory; `drill/calibration` finds k for each machine and application.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

IDLE_COST_MAX = 3.0
"""k at most: four times as much when idle. Two readings close to each other would say anything. A short request gains
most: FastAPI's costs 0.89 ms on two cores that are a quarter busy, 0.36 ms where they are at nine tenths."""


def factor(idle_cost: float, utilization: float) -> float:
    """c(u)/c(1); `idle_cost` is k, `utilization` in [0, 1]."""
    return 1 + idle_cost * (1 - min(1.0, max(0.0, utilization)))


def idle_cost_of(readings: Sequence[tuple[tuple[float, float], tuple[float, float]]]) -> float:
    """k by pairs of readings (utilization, cost), the less busy one first: the median over the pairs, within bounds;
    0 without any."""
    found = [_of_pair(*less, *more) for less, more in readings if less[0] < more[0] and less[1] > 0 and more[1] > 0]
    return statistics.median(found) if found else 0.0


def _of_pair(less_u: float, less_cost: float, more_u: float, more_cost: float) -> float:
    ratio = less_cost / more_cost
    if ratio <= 1:
        return 0.0
    slope = (1 - less_u) - ratio * (1 - more_u)
    return min(IDLE_COST_MAX, (ratio - 1) / slope) if slope > 0 else IDLE_COST_MAX


def utilization_at(idle_cost: float, share_of_capacity: float) -> float:
    """How busy the machine is at a share of its capacity: more than that share, as each request costs more than there.
    Solves u = s·(1 + k·(1 − u))."""
    return min(1.0, share_of_capacity * (1 + idle_cost) / (1 + idle_cost * share_of_capacity))
