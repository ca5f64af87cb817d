"""The formulas of whole systems against simulation: as far off as they say they are, and no farther."""

from __future__ import annotations

from dataclasses import replace

import pytest

from colonnade.planning.article_simulated import simulated_examples
from colonnade.planning.limits import capacity
from colonnade.planning.model import Call, Load, Route, Station, SystemModel, Work
from colonnade.planning.predict import predict
from colonnade.planning.simulated import simulated

MEAN_OFF, P95_OFF, P99_OFF = 0.10, 0.16, 0.24
"""As docs/plan.md has it, up to 80 % of the capacity."""


def site(scv: float, *, balance: str = "least-connections", replicas: int = 3, cores: float = 8) -> SystemModel:
    """Two services of Python and a database, each call made one to three times."""
    query = Call("database", Work(0.002, scv, 0.5), count=3)
    page = Call("frontend", Work(0.005, scv), calls=(Call("backend", Work(0.01, scv), calls=(query,)),))
    stations = (
        Station("frontend", replicas - 1, 8, cores_per_replica=1, balance=balance),  # type: ignore[arg-type]
        Station("backend", replicas, 8, cores_per_replica=1, balance=balance),  # type: ignore[arg-type]
        Station("database", 1, 50),
    )
    return SystemModel(stations, (Route("/", page),), cores)


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.4, 0.8])
@pytest.mark.parametrize(
    "model",
    [
        site(1.0),
        site(1.0, balance="round-robin"),
        site(1.0, cores=2),
        site(0.1, cores=2),
        site(1.0, replicas=6, cores=4),
    ],
    ids=["replicas bind", "round robin", "the machine binds", "nearly constant", "many replicas"],
)
def test_formulas_are_as_near_as_the_documents_say(model: SystemModel, share: float) -> None:
    load = Load(share * capacity(model))
    theory = predict(model, load)
    found = simulated(model, load, mean_s=theory.mean_s, requests=40_000)
    assert found is not None
    # What chance may do to the simulated figures comes on top.
    by_chance = found.mean_half_width_s / found.times.mean_s
    assert theory.mean_s == pytest.approx(found.times.mean_s, rel=MEAN_OFF + by_chance)
    assert theory.quantile_s(0.95) == pytest.approx(found.times.p95_s, rel=P95_OFF + 2 * by_chance)
    assert theory.quantile_s(0.99) == pytest.approx(found.times.p99_s, rel=P99_OFF + 2 * by_chance)


def test_the_article_s_examples_go_as_theory_says() -> None:
    figures = {each.name: each.figures for each in simulated_examples()}
    assert figures["response time behind a balancer"]["growth_per_s"] == pytest.approx(50, rel=0.25)
    assert figures["throughput when scaled out"]["rate_per_s"] == pytest.approx(50, rel=0.02)
    assert figures["response time of a decomposed system"]["mean_s"] == pytest.approx(0.35, rel=0.01)
    assert figures["throughput of a decomposed system"]["rate_per_s"] == pytest.approx(200, rel=0.05)


def test_a_bounded_queue_loses_what_it_has_no_room_for() -> None:
    station = Station("web", 1, 1, queue_max=5)
    model = SystemModel((station,), (Route("/", Call("web", Work(0.01, 0.0))),))
    found = simulated(model, Load(200), mean_s=0.05, requests=5_000)
    assert found is not None
    assert found.lost_share == pytest.approx(0.5, abs=0.05)


def test_what_would_take_minutes_is_not_simulated() -> None:
    model = site(1.0, replicas=200, cores=200)
    assert simulated(replace(model), Load(1_000_000), mean_s=0.02) is None
