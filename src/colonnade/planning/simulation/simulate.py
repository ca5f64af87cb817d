"""Runs a scenario: by the fast engine where it can, else event by event. From the same seed always the same.

Read next: `scenario.py` for what goes in, `outcome.py` for what comes out, `estimate.py` for how certain it is.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping

from colonnade.planning.model import Load, SystemModel
from colonnade.planning.simulation.arrivals import Steady
from colonnade.planning.simulation.estimate import warm_up
from colonnade.planning.simulation.events import run_events
from colonnade.planning.simulation.lanes import is_plain, run_lanes
from colonnade.planning.simulation.outcome import Outcome, rank
from colonnade.planning.simulation.scenario import Scenario
from colonnade.planning.simulation.streams import Streams


def simulate(scenario: Scenario, seed: int) -> Outcome:
    """One run. About 1 µs for each visit where everything is plain, 7 to 11 µs where it is not."""
    run = run_lanes if is_plain(scenario) else run_events
    return run(scenario, Streams(seed))


def replicate(scenario: Scenario, seeds: range) -> list[Outcome]:
    """Runs that know nothing of each other, one for each seed."""
    return [simulate(scenario, seed) for seed in seeds]


def figures(system: SystemModel, load: Load, *, requests: int = 100_000, seed: int = 1) -> Mapping[str, float]:
    """`mean`, `p50`, `p95` and `p99` of the answers in seconds under a steady load, over about so many requests, those
    before it was steady left out. Empty without an answer."""
    arrivals = Steady(load.rate_per_s, load.scv_arrivals)
    answered = simulate(Scenario(system, arrivals, requests / load.rate_per_s), seed).answered_s()
    steady = sorted(answered[warm_up(answered) :]) if answered else []
    if not steady:
        return {}
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    return {"mean": statistics.fmean(steady), **{name: rank(steady, share) for name, share in shares.items()}}
