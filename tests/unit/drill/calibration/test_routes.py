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
