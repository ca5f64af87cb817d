"""Who asks: patience, further attempts, and the budget that keeps these from becoming a load of their own."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from colonnade.planning.model import Call, Route, Station, SystemModel, Work
from colonnade.planning.simulation.arrivals import Recorded, Steady, Trace
from colonnade.planning.simulation.distributions import Constant
from colonnade.planning.simulation.outcome import Outcome
from colonnade.planning.simulation.scenario import Outage, Scenario, Traits, Visitors, of_one
from colonnade.planning.simulation.simulate import simulate

ONE = Station("web", 1, 1, queue_max=0)
SECOND = Work(1.0, 0.0)


def asked(visitors: Visitors, station: Station = ONE, at_s: tuple[float, ...] = (0.0, 0.1)) -> Outcome:
    return simulate(replace(of_one(station, SECOND, Recorded(at_s), 9.0), visitors=visitors), 1)


def test_who_is_refused_tries_again_after_a_pause() -> None:
    outcome = asked(Visitors(attempts_max=3, backoff=Constant(0.5)))
    # Refused at 0.1 and 0.6, served from 1.1 on.
    assert list(outcome.latency_s) == pytest.approx([1.0, 2.0])
    assert (outcome.retries, outcome.lost.total()) == (2, 0)
    assert asked(Visitors(attempts_max=2, backoff=Constant(0.5))).lost == {"refused": 1}


def test_a_budget_bounds_the_retries() -> None:
    times = tuple(number / 100 for number in range(1_000))
    free = asked(Visitors(attempts_max=4), at_s=times)
    bound = asked(Visitors(attempts_max=4, budget_share=0.1, budget_burst=5.0), at_s=times)
    assert free.retries > 2_000
    assert 90 <= bound.retries <= 0.1 * 1_000 + 5
    assert asked(Visitors(attempts_max=4, budget_share=0.0, budget_burst=1.0), at_s=times).retries == 1


def test_who_has_no_patience_left_leaves_the_queue() -> None:
    outcome = asked(Visitors(patience_s=0.5), replace(ONE, queue_max=None), (0.0, 0.1, 0.9))
    assert list(outcome.latency_s) == [math.inf] * 3
    assert outcome.lost == {"gave_up": 3}
    assert outcome.stations["web"].lost == {"abandoned": 1}, (
        "the others were being served, and that was done for nobody"
    )
    assert sum(outcome.stations["web"].answered_by) == 2


def test_a_request_that_was_sent_on_can_still_be_given_up() -> None:
    traits = Traits(outages=(Outage(0, 0.5, 8.0),))
    scenario = of_one(replace(ONE, queue_max=None), SECOND, Recorded((0.0,)), 9.0, traits)
    outcome = simulate(replace(scenario, visitors=Visitors(patience_s=2.0)), 1)
    assert (outcome.lost, outcome.stations["web"].lost) == ({"gave_up": 1}, {"abandoned": 1})
    assert outcome.stations["web"].answered_by == [0]


@pytest.mark.slow
def test_retries_without_a_budget_keep_a_service_down_after_the_burst_is_over() -> None:
    """The metastable failure: work for those who have left holds up those who come. A budget ends it."""
    station = Station("web", 4, 4, queue_max=2_000)
    burst = Trace([100.0] * 20 + [400.0] * 5 + [100.0] * 60, 1.0)
    system = SystemModel(
        (station,),
        (
            Route(
                "all",
                Call("web", Work(0.1)),
            ),
        ),
    )
    storm = Visitors(patience_s=20.0, attempts_max=50, backoff=Constant(0.2))
    late = {}
    for name, visitors, timeout_s in (
        ("none", replace(storm, attempts_max=1), 1.0),
        ("storm", storm, 1.0),
        ("budget", replace(storm, budget_share=0.1), 1.0),
    ):
        scenario = Scenario(
            SystemModel((replace(station, queue_timeout_s=timeout_s),), system.routes), burst, 84.0, {}, visitors
        )
        outcome = simulate(scenario, 1)
        after = [
            latency_s
            for at_s, latency_s in zip(outcome.arrived_s, outcome.latency_s, strict=True)
            if 27.0 <= at_s < 35.0
        ]
        late[name] = sum(latency_s > 2.0 for latency_s in after) / len(after)
    assert late["none"] < 0.01
    assert late["budget"] < 0.05
    assert late["storm"] > 0.2


@pytest.mark.parametrize(
    "make",
    [
        lambda: Visitors(patience_s=0.0),
        lambda: Visitors(attempts_max=0),
        lambda: Visitors(budget_share=-0.1),
        lambda: Visitors(budget_burst=0.0),
    ],
)
def test_what_no_visitor_does_is_refused(make: object) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match="expected patience"):
        make()


def test_a_steady_rate_of_impatience_is_the_same_every_time() -> None:
    scenario = replace(of_one(ONE, Work(0.1), Steady(20.0), 20.0), visitors=Visitors(0.5, 2))
    assert simulate(scenario, 3).lost == simulate(scenario, 3).lost
