"""The article's examples by simulation: the same servers, the same rates, event by event. Pure; one seed gives one run.

Read next: `article` for what the article says of them, and what theory does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from colonnade.planning.article import CHAIN_RATES, CHAIN_TIMES_S, RATE, SCALED_RATE, SCALED_SERVERS, SERVERS, TIME_S
from colonnade.planning.model import Route, Station, SystemModel, Work, chain
from colonnade.planning.simulation.arrivals import Steady
from colonnade.planning.simulation.outcome import Outcome
from colonnade.planning.simulation.scenario import Scenario
from colonnade.planning.simulation.simulate import simulate

DURATION_S = 10.0
"""Of a run: long enough for a queue to show, and to be compared with a run on real processes."""

SEED = 1


@dataclass(frozen=True, slots=True)
class SimulatedExample:
    """What became of an example; `name` as in `article.examples`."""

    name: str
    message: str
    figures: dict[str, float]


def simulated_examples() -> tuple[SimulatedExample, ...]:
    """All of them, in the article's order. A tenth of a second."""
    return _overload(), _throughput(), _chain(), _chain_throughput()


def _overload() -> SimulatedExample:
    outcome = _run(_servers(SERVERS), RATE)
    half, whole = waiting_at(outcome, DURATION_S / 2), waiting_at(outcome, DURATION_S)
    grows = (whole - half) / (DURATION_S / 2)
    message = f"{whole} requests wait after {DURATION_S:g} s, and there are {grows:.0f} more every second"
    return SimulatedExample(
        "response time behind a balancer", message, {"waiting": float(whole), "growth_per_s": grows}
    )


def _throughput() -> SimulatedExample:
    rate = answered_rate(_run(_servers(SCALED_SERVERS), SCALED_RATE))
    return SimulatedExample("throughput when scaled out", f"{rate:.1f}/s are answered", {"rate_per_s": rate})


def _chain() -> SimulatedExample:
    answered = _run(_services(), 1.0, duration_s=1_000.0).answered_s()
    mean_s = math.fsum(answered) / len(answered)
    return SimulatedExample(
        "response time of a decomposed system", f"{mean_s:.3f} s through all three", {"mean_s": mean_s}
    )


def _chain_throughput() -> SimulatedExample:
    rate = answered_rate(_run(_services(), 1.5 * min(CHAIN_RATES)))
    message = f"{rate:.0f}/s are answered of {1.5 * min(CHAIN_RATES):g}/s"
    return SimulatedExample("throughput of a decomposed system", message, {"rate_per_s": rate})


def waiting_at(outcome: Outcome, at_s: float) -> int:
    """Requests that had come by then and had no answer."""
    return sum(
        arrived_s <= at_s < arrived_s + latency_s
        for arrived_s, latency_s in zip(outcome.arrived_s, outcome.latency_s, strict=True)
    )


def answered_rate(outcome: Outcome, duration_s: float = DURATION_S) -> float:
    """Answers a second while requests came, the first second left out."""
    ends = (one + other for one, other in zip(outcome.arrived_s, outcome.latency_s, strict=True))
    return sum(1.0 <= each < duration_s for each in ends) / (duration_s - 1.0)


def _run(system: SystemModel, rate: float, duration_s: float = DURATION_S) -> Outcome:
    return simulate(Scenario(system, Steady(rate), duration_s), SEED)


def _servers(count: int) -> SystemModel:
    route = Route("/", chain(("server", Work(TIME_S, 0.0))))
    return SystemModel((Station("server", count, 1),), (route,))


def _services() -> SystemModel:
    """Each with the places that its own rate needs, the time that it waits for those behind it included."""
    stations, steps = [], []
    for index, (time_s, rate) in enumerate(zip(CHAIN_TIMES_S, CHAIN_RATES, strict=True)):
        held_s = math.fsum(CHAIN_TIMES_S[index:])
        name = f"service {index + 1}"
        stations.append(Station(name, 1, max(1, round(rate * held_s))))
        steps.append((name, Work(time_s, 0.0)))
    return SystemModel(tuple(stations), (Route("/", chain(*steps)),))
