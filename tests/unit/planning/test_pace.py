"""Paces against chains whose answer is known: M/M/1, M/M/c, a closed form by hand, and what Little says."""

from __future__ import annotations

import math

import pytest

from colonnade.planning.errors import Unstable
from colonnade.planning.pace import TIMES_KEPT, Pace, Paced, answer_s, capacity_of, kept, paced
from colonnade.planning.queues import mmc

COUNTS = (1, 2, 3, 4, 16, 64)
"""Each up to the largest number of servers, so that nothing lies between."""


def exponential(mean_s: float) -> tuple[float, ...]:
    """Its quantiles."""
    return kept([-mean_s * math.log(1 - (part + 0.5) / 2_000) for part in range(2_000)])


def server(rate: float, servers: int, share: float = 1.0, factor_alone: float = 1.0) -> Paced:
    """`servers` of `rate` each behind one queue, each request `factor_alone` times as long when asked slowly."""
    crowd = tuple(
        Pace(count, rate * min(count, servers), exponential(count / (rate * min(count, servers)))) for count in COUNTS
    )
    return Paced(share, Pace(0.01, 0.01 * rate / factor_alone, exponential(factor_alone / rate)), crowd)


@pytest.mark.parametrize("servers", [1, 2, 4])
@pytest.mark.parametrize("utilization", [0.2, 0.5, 0.8, 0.95])
def test_a_pace_that_grows_to_a_number_of_servers_is_their_queue(servers: int, utilization: float) -> None:
    """X(n) = μ·min(n, c) is the birth–death chain of M/M/c (Kleinrock, Queueing Systems I, 3.5)."""
    rate = utilization * servers * 100.0
    exact = mmc(rate, 0.01, servers)
    found = paced([server(100.0, servers)], rate)
    assert found.times_s["mean"] == pytest.approx(exact.response_s_mean, rel=1e-6)
    assert found.present_mean == pytest.approx(rate * exact.response_s_mean, rel=1e-6)


def test_percentiles_of_one_server_are_near_those_of_its_queue() -> None:
    """M/M/1 in turns: exponential, p95 = T·ln 20. Shared, as paces have it, the tail is longer: by hand
    Σ 2^−(n+1)·exp(−t/(n+1)) is 0.05 at t = 7 services."""
    found = paced([server(100.0, 1)], 50.0)
    assert found.times_s["p95"] == pytest.approx(0.07, rel=0.03)
    assert found.times_s["p95"] > 0.02 * math.log(20)
    assert found.times_s["p50"] < found.times_s["mean"] < found.times_s["p95"] < found.times_s["p99"]


def test_a_mix_takes_its_shares_of_each_kind() -> None:
    """By hand: 1/X = 0.8/100 + 0.2/50 = 0.012; two kinds of one server are M/M/1 of 83.3/s."""
    mix = [server(100.0, 1, 0.8), server(50.0, 1, 0.2)]
    assert capacity_of(mix) == pytest.approx(1 / 0.012)
    assert paced(mix, 40.0).times_s["mean"] == pytest.approx(1 / (1 / 0.012 - 40))


def test_who_is_alone_on_a_system_that_sleeps_takes_as_long_as_asked_slowly() -> None:
    slow = server(100.0, 2, factor_alone=2.0)
    assert paced([slow], 0.1).times_s["mean"] == pytest.approx(0.02, rel=0.01)
    busy = paced([slow], 190.0).times_s["mean"]
    assert busy == pytest.approx(paced([server(100.0, 2)], 190.0).times_s["mean"], rel=0.01)


def test_between_what_was_measured_a_pace_grows_as_the_logarithm_and_beyond_it_stays() -> None:
    paces = (Pace(0.9, 90.0), Pace(2.0, 150.0), Pace(8.0, 170.0))
    assert answer_s(paces, 1) == pytest.approx(0.01), "0.9 inside on average, 10 ms each"
    assert 1 / answer_s(paces, 4) == pytest.approx(160)
    assert 1 / answer_s(paces, 1_000) == pytest.approx(170)


def test_more_than_is_ever_answered_is_refused() -> None:
    with pytest.raises(Unstable, match="at most 200/s can be served"):
        paced([server(100.0, 2)], 201.0)


def test_few_times_are_kept_as_they_are_and_many_by_their_quantiles() -> None:
    assert kept([3.0, 1.0, 2.0]) == (1.0, 2.0, 3.0)
    many = kept([float(value) for value in range(10_000)])
    assert len(many) == TIMES_KEPT
    assert many[TIMES_KEPT // 2] == pytest.approx(5_000, abs=50)


def test_more_load_makes_it_slower() -> None:
    means = [paced([server(100.0, 2)], rate).times_s["mean"] for rate in (20.0, 80.0, 140.0, 180.0)]
    assert means == sorted(means)
