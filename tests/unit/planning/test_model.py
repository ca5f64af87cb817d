"""What is planned, as data: visits and service times over a tree of calls and a mix of routes."""

from __future__ import annotations

import math

import pytest

from colonnade.planning.model import Call, Load, Route, Station, SystemModel, Work, chain, walk


def blog() -> SystemModel:
    database = Call("database", Work(0.002, 0.0, 0.5), count=3)
    backend = Call("backend", Work(0.01, 1.0), count=2, calls=(database,))
    page = Route("page", Call("frontend", Work(0.02), calls=(backend,)), share=3)
    health = Route("health", Call("frontend", Work(0.004)), share=1)
    return SystemModel((Station("frontend"), Station("backend"), Station("database")), (page, health))


def test_visits_multiply_along_the_tree_and_by_the_share() -> None:
    model = blog()
    assert model.visits("frontend") == pytest.approx(1)
    assert model.visits("backend") == pytest.approx(0.75 * 2)
    assert model.visits("database") == pytest.approx(0.75 * 6)
    assert model.demand_s("database") == pytest.approx(0.75 * 6 * 0.002)


def test_a_mix_of_routes_varies_more_than_each_of_them() -> None:
    work = blog().work("frontend")
    assert work.mean_s == pytest.approx(0.75 * 0.02 + 0.25 * 0.004)
    square = 0.75 * 2 * 0.02**2 + 0.25 * 2 * 0.004**2
    assert work.scv == pytest.approx(square / work.mean_s**2 - 1)
    assert work.scv > 1


def test_a_processors_part_of_the_work_is_kept_over_the_mix() -> None:
    assert blog().work("database").cpu_s == pytest.approx(0.001)


def test_a_chain_calls_each_station_once() -> None:
    calls = [(call.station, count) for call, count in walk(chain(("a", Work(1)), ("b", Work(2)), ("c", Work(3))))]
    assert calls == [("a", 1), ("b", 1), ("c", 1)]


def test_a_station_that_nobody_calls_has_no_work() -> None:
    model = SystemModel((Station("a"), Station("idle")), (Route("r", Call("a", Work(1))),))
    assert (model.visits("idle"), model.work("idle").mean_s) == (0, 0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Work(-1),
        lambda: Work(math.inf),
        lambda: Work(1, cpu_share=1.1),
        lambda: Call("a", Work(1), count=-1),
        lambda: Station("a", replicas=0),
        lambda: Station("a", replicas=2, weights=(1.0,)),
        lambda: Station("a", queue_timeout_s=0),
        lambda: Load(0),
        lambda: Load(math.nan),
        lambda: SystemModel((), (Route("r", Call("a", Work(1))),)),
        lambda: SystemModel((Station("a"), Station("a")), (Route("r", Call("a", Work(1))),)),
        lambda: SystemModel((Station("a"),), ()),
        lambda: chain(),
    ],
)
def test_what_makes_no_sense_is_refused(make: object) -> None:
    with pytest.raises(ValueError, match=r"expected|twice|no station"):
        make()  # type: ignore[operator]
