"""What the simulator says where the truth is known."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import pytest
from tests.unit.planning.simulation.exact import Known, hundred, others

from colonnade.planning.model import Station, Work
from colonnade.planning.simulation.arrivals import Steady
from colonnade.planning.simulation.policies import Policy
from colonnade.planning.simulation.scenario import Traits, of_one
from colonnade.planning.simulation.simulate import simulate


@pytest.mark.slow
@pytest.mark.parametrize("systems", [pytest.param(hundred(), id="hundred"), pytest.param(others(), id="others")])
def test_the_truth_is_within_the_interval_in_95_of_100_systems(systems: Sequence[Known]) -> None:
    """Each system has a seed of its own: with the same arrivals everywhere, all would be off in the same direction."""
    outside, widths = [], []
    for seed, known in enumerate(systems):
        estimate = known.estimate(seed)
        widths.append(estimate.half_width / known.truth)
        if not estimate.holds(known.truth):
            outside.append(f"{known.name}: {known.truth:.6g} is not {estimate.value:.6g} ± {estimate.half_width:.2g}")
    assert len(outside) <= 0.05 * len(systems), "\n".join(outside)
    assert sorted(widths)[len(widths) // 2] < 0.08, "an interval that holds everything says nothing"


def test_there_are_a_hundred_of_them() -> None:
    assert len(hundred()) == 100
    assert len({known.name for known in (*hundred(), *others())}) == 130


BUSY, CROWD = 0.9, 400


@pytest.mark.slow
def test_the_power_of_two_choices_is_as_its_fixed_point_says() -> None:
    """Of many replicas the share with at least i inside is ρ^(2^i − 1), so T = S·Σ ρ^(2^i − 2) (Mitzenmacher 1996)."""
    truth = sum(BUSY ** (2**i - 2) for i in range(1, 12))
    assert crowded("power-of-two") == pytest.approx(truth, rel=0.02)


@pytest.mark.slow
def test_round_robin_gives_each_of_many_replicas_regular_arrivals() -> None:
    """Every n-th of a Poisson stream: E_n/M/1, T = S/(1 − σ) with σ the transform of the times between arrivals at
    (1 − σ)/S (Gross and Harris, 5.3)."""
    sigma = 0.5
    for _ in range(500):
        sigma = (1 + (1 - sigma) / (CROWD * BUSY)) ** -CROWD
    assert crowded("round-robin") == pytest.approx(1 / (1 - sigma), rel=0.02)


def crowded(policy: Policy) -> float:
    """Mean response of many replicas with a second of work for each request, and a queue at each."""
    scenario = of_one(
        Station("web", CROWD, 1), Work(1.0), Steady(BUSY * CROWD), 1_200_000 / CROWD, Traits(policy, "replica")
    )
    latencies = simulate(scenario, 1).latency_s
    return statistics.fmean(latencies[len(latencies) // 5 :])
