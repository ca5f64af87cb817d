"""What follows from the stretches of a route, and of several."""

from __future__ import annotations

from dataclasses import replace

import pytest

from colonnade.drill.calibration.routes import INSIDE, Alone, contention_of
from colonnade.drill.calibration.shot import Shot
from colonnade.drill.load.ledger import Kind
from colonnade.drill.load.workload import Action

from .shots import CALM

PAGE = Action("GET /", Kind.READ, "GET", "/")


def alone(rate_of_one: float, contention: float) -> Alone:
    """One kind that obeys the universal scalability law, with so many inside."""

    def crowd(count: int) -> Shot:
        rate = rate_of_one * count / (1 + contention * (count - 1))
        return replace(CALM, ok_rate=rate, latencies_s=(count / rate,))

    return Alone(PAGE, CALM, {count: crowd(count) for count in INSIDE})


def test_routes_that_contend_say_so_of_their_mix() -> None:
    found = contention_of([(0.75, alone(100.0, 0.1)), (0.25, alone(100.0, 0.1))])
    assert found is not None
    assert found.contention is not None
    assert found.contention.value == pytest.approx(0.1)
    assert [round(users) for users, _ in found.points] == list(INSIDE)


def test_too_few_crowds_say_nothing() -> None:
    one = alone(100.0, 0.1)
    one.crowds = {count: replace(shot, ok_rate=0.0) if count > 2 else shot for count, shot in one.crowds.items()}
    assert contention_of([(1.0, one)]) is None


def test_what_was_seen_is_of_the_usual_rounds_and_by_the_capacity_of_all() -> None:
    one = alone(100.0, 0.1)
    one.full = [replace(CALM, ok_rate=180.0), replace(CALM, ok_rate=220.0)]
    half = [replace(CALM, rate_per_s=90.0, latencies_s=times_s) for times_s in ((0.5,), (0.02, 0.04), (0.03,), (0.01,))]
    one.loads = {0.5: half, 0.8: [replace(CALM, rate_per_s=160.0, latencies_s=())]}
    assert one.capacity_per_s == pytest.approx(200)
    slow, busy = one.seen()
    assert (slow.utilization, slow.mean_s) == pytest.approx((0.5, 0.01))
    assert (busy.utilization, busy.mean_s) == pytest.approx((0.45, 0.03))
    assert busy.times_s == (0.02, 0.03, 0.04)
