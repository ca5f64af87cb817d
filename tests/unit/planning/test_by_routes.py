"""Mixes against queues whose answer is known, where their kinds were seen as those queues have it."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colonnade.planning.by_routes import TIMES_KEPT, Part, Seen, capacity_of, kept, mean_s_at, times_of
from colonnade.planning.errors import Unstable
from colonnade.planning.queues import mmc

LOADS = (0.02, 0.2, 0.4, 0.6, 0.8)


def exponential(mean_s: float) -> tuple[float, ...]:
    """Its quantiles."""
    return kept([-mean_s * math.log(1 - (part + 0.5) / 2_000) for part in range(2_000)])


def part(share: float, capacity_per_s: float, time_s: Callable[[float], float]) -> Part:
    """One kind, seen at LOADS; `time_s`: utilization → mean, times exponential."""
    return Part(share, capacity_per_s, tuple(Seen(u, time_s(u), exponential(time_s(u))) for u in LOADS))


def shared(share: float, service_s: float, waits_s: float = 0.0) -> Part:
    """Of one processor that is shared, with some waiting for something else."""
    return part(share, 1 / service_s, lambda u: waits_s + service_s / (1 - u))


@given(
    long_s=st.floats(0.001, 0.5),
    share=st.floats(0.05, 0.95),
    waits_s=st.floats(0.0, 0.1),
    utilization=st.floats(0.02, 0.95),
)
def test_kinds_that_share_a_processor_take_what_theory_says(
    long_s: float, share: float, waits_s: float, utilization: float
) -> None:
    """M/G/1-PS: whoever needs c takes c/(1 − u), whatever the others need (Kleinrock, Queueing Systems II, 4.4)."""
    mix = [shared(share, 0.01, waits_s), shared(1 - share, long_s)]
    work_s = share * 0.01 + (1 - share) * long_s
    rate = utilization / work_s
    assert capacity_of(mix) == pytest.approx(1 / work_s)
    assert times_of(mix, rate)["mean"] == pytest.approx(share * waits_s + work_s / (1 - utilization))


@pytest.mark.parametrize("servers", [1, 2, 4])
@pytest.mark.parametrize("utilization", [0.2, 0.5, 0.7, 0.9])
def test_one_kind_alone_is_what_was_seen_of_it(servers: int, utilization: float) -> None:
    """M/M/c between and beyond the loads at which it was seen, and exactly there."""

    def time_s(u: float) -> float:
        return mmc(u * servers * 100.0, 0.01, servers).response_s_mean

    seen = part(1.0, servers * 100.0, time_s)
    found = times_of([seen], utilization * servers * 100.0)["mean"]
    assert found == pytest.approx(time_s(utilization), rel=1e-9 if utilization in LOADS else 0.06)


def test_times_are_those_of_each_kind_by_its_share() -> None:
    """Four of five take 10 ms, one takes 100 ms, neither varies: p50 and p95 are one of each."""
    mix = [
        Part(0.8, 100.0, (Seen(0.1, 0.01, (0.01,)),)),
        Part(0.2, 10.0, (Seen(0.1, 0.1, (0.1,)),)),
    ]
    found = times_of(mix, 5.0)
    assert found["mean"] == pytest.approx(0.028)
    assert found["p50"] == pytest.approx(0.01)
    assert found["p95"] == pytest.approx(0.1)


def test_percentiles_of_an_exponential_time() -> None:
    found = times_of([shared(1.0, 0.01)], 40.0)
    assert found["p95"] == pytest.approx(found["mean"] * math.log(20), rel=0.03)
    assert found["p50"] < found["mean"] < found["p95"] < found["p99"]


def test_below_and_beyond_what_was_seen() -> None:
    seen = [Seen(0.1, 0.010, (0.01,)), Seen(0.5, 0.012, (0.01,)), Seen(0.8, 0.024, (0.02,))]
    assert mean_s_at(seen, 0.01) == 0.010
    assert mean_s_at(seen, 0.65) == pytest.approx(0.012 + 0.012 * (0.65 / 0.35 - 1) / 3)
    assert mean_s_at(seen, 0.9) == pytest.approx(0.024 + 0.012 * 5 / 3), "as queues grow"
    assert mean_s_at([*seen[:2], Seen(0.8, 0.011, (0.01,))], 0.9) == 0.011, "less load never takes longer than more"
    assert mean_s_at(seen[:1], 0.9) == 0.010


def test_less_time_when_busier_is_believed_as_a_machine_that_never_sleeps_is_faster() -> None:
    seen = [Seen(0.1, 0.010, (0.01,)), Seen(0.3, 0.008, (0.008,))]
    assert mean_s_at(seen, 0.2) == pytest.approx(0.010 - 0.002 * (0.25 - 1 / 9) / (3 / 7 - 1 / 9))


def test_more_than_is_ever_answered_is_refused() -> None:
    with pytest.raises(Unstable, match="at most 100/s can be served"):
        times_of([shared(1.0, 0.01)], 101.0)


def test_few_times_are_kept_as_they_are_and_many_by_their_quantiles() -> None:
    assert kept([3.0, 1.0, 2.0]) == (1.0, 2.0, 3.0)
    values = [float(value) for value in range(10_000)]
    Random(1).shuffle(values)
    many = kept(values)
    assert len(many) == TIMES_KEPT
    assert many[TIMES_KEPT // 2] == pytest.approx(5_000, abs=50)
