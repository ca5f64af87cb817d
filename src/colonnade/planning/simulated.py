"""What a steady load finds by simulation: the same question as `predict` answers by formulas, with its uncertainty.

Here are no approximations of how queues at several resources add up, of percentiles or of bounded queues; only chance,
for which there is an interval, and the model itself. Pure: the randomness comes from the seed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from colonnade.planning.model import Load, SystemModel
from colonnade.planning.simulation.arrivals import Steady
from colonnade.planning.simulation.estimate import mean_of, quantile_of
from colonnade.planning.simulation.scenario import Scenario
from colonnade.planning.simulation.simulate import simulate
from colonnade.planning.steps import Times

REQUESTS = 20_000
"""Of one run: the mean is then known to some per cent up to a utilization of 0.9, in a second or two."""

REQUESTS_MAX = 200_000
TURNS = 20
"""Times that the requests inside are renewed: a run that only fills an empty system says nothing."""

SEED = 1


@dataclass(frozen=True, slots=True)
class Simulated:
    """Of the requests that were answered. Half widths of intervals are of 95 % confidence."""

    times: Times
    mean_half_width_s: float
    p99_half_width_s: float
    lost_share: float
    """Without an answer: refused, or given up."""
    is_settled: bool
    """False where the run was too short for its load: then all of it looks better than it is."""


def simulated(
    model: SystemModel, load: Load, *, mean_s: float, requests: int = REQUESTS, seed: int = SEED
) -> Simulated | None:
    """`mean_s` is what a request takes by formulas, which says how long a run must be. None when hardly anybody got an
    answer, and where so much is inside at once that a run would take minutes."""
    needed = max(requests, math.ceil(TURNS * load.rate_per_s * mean_s))
    if needed > REQUESTS_MAX:
        return None
    scenario = Scenario(model, Steady(load.rate_per_s, load.scv_arrivals), needed / load.rate_per_s)
    outcome = simulate(scenario, seed)
    answered = outcome.answered_s()
    if len(answered) < needed // 100:
        return None
    mean, p99 = mean_of(answered), quantile_of(answered, 0.99)
    times = Times(mean.value, quantile_of(answered, 0.5).value, quantile_of(answered, 0.95).value, p99.value)
    lost_share = 1 - len(answered) / max(1, len(outcome.latency_s))
    return Simulated(times, mean.half_width, p99.half_width, lost_share, mean.is_settled)
