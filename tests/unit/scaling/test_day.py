"""A day in simulation, with wide margins; `bench/day.py` has the figures, and other rules beside."""

from __future__ import annotations

import math
from random import Random

import pytest

from colonnade.planning.erlang import wait_s_quantile
from colonnade.planning.model import Station, Work
from colonnade.planning.simulation.arrivals import Trace
from colonnade.planning.simulation.distributions import Sample
from colonnade.planning.simulation.outcome import Outcome
from colonnade.planning.simulation.scenario import Scaling, Traits, of_one
from colonnade.planning.simulation.simulate import simulate
from colonnade.scaling.simulated import SimulatedScaling
from colonnade.scaling.state import ScalingPolicy

SERVICE_S, THREADS, OBJECTIVE_S, PEAK_PER_S = 0.2, 2, 1.0, 50.0
POLICY = ScalingPolicy("web", 2, 20, THREADS, 0.75, OBJECTIVE_S, 60.0)
MINUTE_S = 15.0
"""The day passes four times as fast as life, which is harder to follow."""


def day(random: Random) -> Trace:
    """Quiet at night, a hill by day, noise on every minute, and three bursts to twice as much for five minutes."""
    rates = [
        PEAK_PER_S * (0.08 + 0.92 * max(0.0, math.sin(math.pi * (minute / 60 - 6) / 16))) * random.gauss(1.0, 0.05)
        for minute in range(24 * 60 + 1)
    ]
    for begin in (9 * 60, 13 * 60 + 30, 19 * 60):
        for minute in range(begin, begin + 5):
            rates[minute] *= 2
    return Trace([max(0.0, rate) for rate in rates], MINUTE_S)


def fewest(rate: float) -> int:
    """Replicas that hold the objective at this rate for ever, by the exact model."""
    for count in range(POLICY.replicas_min, POLICY.replicas_max):
        wait_s = wait_s_quantile(count * THREADS, rate, SERVICE_S, 0.99, scv_service=0.0)
        if wait_s + SERVICE_S <= OBJECTIVE_S:
            return count
    return POLICY.replicas_max


@pytest.fixture(scope="module")
def lived() -> tuple[Trace, Outcome]:
    trace = day(Random(11))
    station = Station("web", 2, THREADS, queue_max=2_000, queue_timeout_s=10.0)
    starts = Sample((0.8, 1.1, 1.4, 1.7, 2.0))
    traits = Traits(scaling=Scaling(lambda: SimulatedScaling(POLICY, 1.4), starts))
    return trace, simulate(of_one(station, Work(SERVICE_S, 0.0), trace, trace.duration_s, traits), 11)


@pytest.mark.slow
def test_the_objective_is_met_nearly_all_of_the_day(lived: tuple[Trace, Outcome]) -> None:
    _, outcome = lived
    minutes = outcome.quantile_by_interval(MINUTE_S, 0.99)
    assert len(minutes) == 24 * 60
    assert sum(latency_s <= OBJECTIVE_S for latency_s in minutes) / len(minutes) > 0.97
    assert outcome.lost.total() == 0


@pytest.mark.slow
def test_a_day_costs_little_more_than_to_somebody_who_knew_it(lived: tuple[Trace, Outcome]) -> None:
    trace, outcome = lived
    known_s = sum(
        max(fewest(rate), fewest(next_rate)) * MINUTE_S
        for rate, next_rate in zip(trace.rates, trace.rates[1:], strict=False)
    )
    most_s = max(fewest(rate) for rate in trace.rates) * trace.duration_s
    paid_s = outcome.stations["web"].replica_s
    assert paid_s < 1.6 * known_s
    assert paid_s < 0.7 * most_s
