"""Systems whose answer is known exactly, with the figure that is compared; for the tests and for `bench/simulator.py`.

A hundred of four kinds (M/M/c, M/D/1, M/G/1, Jackson tandems), then others. Intervals are at 99 %: of a hundred right
ones about one does not hold the truth.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from colonnade.planning.erlang import wait_s_quantile
from colonnade.planning.model import Route, Station, SystemModel, Work, chain
from colonnade.planning.network import jackson
from colonnade.planning.queues import (
    md1,
    mg1,
    mg1_wait_s_quantile,
    mm1,
    mm1_response_s_quantile,
    mmc,
    mmc_loss,
    mmck,
    ps,
)
from colonnade.planning.simulation.arrivals import Steady
from colonnade.planning.simulation.distributions import Distribution, Lognormal, Sample
from colonnade.planning.simulation.estimate import Estimate, mean_of, quantile_of
from colonnade.planning.simulation.outcome import Outcome
from colonnade.planning.simulation.scenario import Scenario, Traits, of_one
from colonnade.planning.simulation.simulate import simulate

LEVEL = 0.99
SERVICE_S = 0.02

Figure = Callable[[Outcome], Estimate]


@dataclass(frozen=True, slots=True)
class Known:
    """A system, a figure of it, and the truth."""

    name: str
    scenario: Scenario
    figure: Figure
    truth: float

    def estimate(self, seed: int) -> Estimate:
        return self.figure(simulate(self.scenario, seed))


def wait_s_mean(outcome: Outcome) -> Estimate:
    return mean_of(outcome.stations["web"].wait_s, level=LEVEL)


def wait_s_p99(outcome: Outcome) -> Estimate:
    return quantile_of(outcome.stations["web"].wait_s, 0.99, level=LEVEL)


def response_s_mean(outcome: Outcome) -> Estimate:
    return mean_of(outcome.latency_s, level=LEVEL)


def response_s_p99(outcome: Outcome) -> Estimate:
    return quantile_of(outcome.latency_s, 0.99, level=LEVEL)


def lost_share(outcome: Outcome) -> Estimate:
    return mean_of(array("d", map(math.isinf, outcome.latency_s)), level=LEVEL)


def hundred() -> list[Known]:
    """M/M/c 40, M/D/1 15, M/G/1 25, Jackson 20."""
    return [*_mmc(), *_md1(), *_mg1(), *_tandems()]


def others() -> list[Known]:
    """Losses, percentiles, processor sharing, and random splitting."""
    return [*_losses(), *_percentiles(), *_shared(), *_split()]


def _duration_s(rate: float, utilization: float) -> float:
    """The busier, the longer a queue remembers."""
    return min(400_000, max(60_000, 40_000 / (1 - utilization))) / rate


def _one(
    servers: int, utilization: float, scv: float = 1.0, traits: Traits | None = None, queue_max: int | None = None
) -> Scenario:
    rate = utilization * servers / SERVICE_S
    station = Station("web", 1, servers, queue_max=queue_max)
    return of_one(station, Work(SERVICE_S, scv), Steady(rate), _duration_s(rate, utilization), traits or Traits())


def _mmc() -> Iterator[Known]:
    least = {1: 0.2, 2: 0.2, 3: 0.2, 5: 0.3, 8: 0.4, 16: 0.6, 64: 0.8}
    pairs = [(c, rho / 20) for c, low in least.items() for rho in range(round(low * 20), 19, 2)]
    for servers, utilization in pairs[:40]:
        truth = mmc(utilization * servers / SERVICE_S, SERVICE_S, servers).wait_s_mean
        yield Known(f"M/M/{servers} {utilization:.2f}", _one(servers, utilization), wait_s_mean, truth)


def _md1() -> Iterator[Known]:
    for step in range(15):
        utilization = 0.2 + step * 0.05
        truth = md1(utilization / SERVICE_S, SERVICE_S).wait_s_mean
        yield Known(f"M/D/1 {utilization:.2f}", _one(1, utilization, 0.0), wait_s_mean, truth)


def _mg1() -> Iterator[Known]:
    shapes: list[tuple[str, float, Distribution | None]] = [
        ("gamma", 0.3, None),
        ("gamma", 3.0, None),
        ("lognormal", 0.5, Lognormal(1.0, 0.5)),
        ("lognormal", 2.0, Lognormal(1.0, 2.0)),
        # Nine of ten take 1, the tenth 11: mean 2, variance 9.
        ("sample", 9 / 4, Sample((1.0,) * 9 + (11.0,))),
    ]
    for name, scv, shape in shapes:
        for utilization in (0.3, 0.5, 0.7, 0.8, 0.9):
            truth = mg1(utilization / SERVICE_S, SERVICE_S, scv).wait_s_mean
            scenario = _one(1, utilization, scv, Traits(shape=shape))
            yield Known(f"M/G/1 {name} scv {scv:.2f} {utilization:.2f}", scenario, wait_s_mean, truth)


def _tandems() -> Iterator[Known]:
    chains = ((1, 1), (1, 2, 4), (3, 1), (2, 2, 2, 2), (8, 1, 3))
    for places in chains:
        for utilization in (0.4, 0.6, 0.75, 0.85):
            stations = tuple(Station(f"s{number}", 1, count, holds_place=False) for number, count in enumerate(places))
            # Each a little less busy than the one before it.
            works = [
                (station.name, Work(SERVICE_S * station.concurrency * 0.95**number))
                for number, station in enumerate(stations)
            ]
            system = SystemModel(stations, (Route("all", chain(*works)),))
            rate = utilization / SERVICE_S
            scenario = Scenario(system, Steady(rate), _duration_s(rate, utilization) / 2)
            truth = jackson(system, rate).response_s_mean
            yield Known(f"Jackson {places} {utilization:.2f}", scenario, response_s_mean, truth)


def _losses() -> Iterator[Known]:
    for servers, utilization, extra in ((1, 0.8, 3), (2, 1.2, 2), (5, 0.9, 5), (10, 1.5, 10), (3, 0.7, 1)):
        rate = utilization * servers / SERVICE_S
        truth = mmck(rate, SERVICE_S, servers, servers + extra).lost
        scenario = of_one(Station("web", 1, servers, queue_max=extra), Work(SERVICE_S), Steady(rate), 200_000 / rate)
        yield Known(f"M/M/{servers}/{servers + extra} {utilization:.2f}", scenario, lost_share, truth)
    for servers, utilization, scv in ((1, 0.5, 0.0), (4, 0.8, 2.0), (10, 0.9, 0.5), (30, 1.0, 1.0), (4, 1.5, 0.0)):
        rate = utilization * servers / SERVICE_S
        truth = mmc_loss(rate, SERVICE_S, servers).lost
        scenario = of_one(Station("web", 1, servers, queue_max=0), Work(SERVICE_S, scv), Steady(rate), 200_000 / rate)
        yield Known(f"M/G/{servers}/{servers} scv {scv} {utilization:.2f}", scenario, lost_share, truth)


def _percentiles() -> Iterator[Known]:
    for servers, utilization in ((1, 0.5), (1, 0.8), (4, 0.7), (8, 0.85), (32, 0.9)):
        truth = wait_s_quantile(servers, utilization * servers / SERVICE_S, SERVICE_S, 0.99)
        yield Known(f"M/M/{servers} p99 of the wait {utilization:.2f}", _one(servers, utilization), wait_s_p99, truth)
    for utilization, scv in ((0.5, 0.3), (0.7, 3.0), (0.8, 0.5)):
        truth = mg1_wait_s_quantile(utilization / SERVICE_S, SERVICE_S, scv, 0.99)
        scenario = _one(1, utilization, scv)
        yield Known(f"M/G/1 p99 of the wait scv {scv} {utilization:.2f}", scenario, wait_s_p99, truth)
    for utilization in (0.6, 0.8):
        truth = mm1_response_s_quantile(utilization / SERVICE_S, SERVICE_S, 0.99)
        yield Known(f"M/M/1 p99 {utilization:.2f}", _one(1, utilization), response_s_p99, truth)


def _shared() -> Iterator[Known]:
    for cores, utilization, scv in ((1, 0.5, 0.0), (1, 0.7, 3.0), (2, 0.7, 1.0), (4, 0.8, 1.0), (1, 0.6, 0.5)):
        rate = utilization * cores / SERVICE_S
        station = Station("web", 1, 500, cores_per_replica=cores)
        scenario = of_one(station, Work(SERVICE_S, scv), Steady(rate), 60_000 / rate)
        truth = ps(rate, SERVICE_S, cores).response_s_mean
        yield Known(f"M/G/{cores}-PS scv {scv} {utilization:.2f}", scenario, response_s_mean, truth)


def _split() -> Iterator[Known]:
    for replicas, utilization in ((2, 0.5), (5, 0.7), (10, 0.8), (20, 0.6), (3, 0.85)):
        rate = utilization * replicas / SERVICE_S
        scenario = of_one(
            Station("web", replicas, 1),
            Work(SERVICE_S),
            Steady(rate),
            300_000 / rate,
            Traits("random", "replica"),
        )
        truth = mm1(utilization / SERVICE_S, SERVICE_S).wait_s_mean
        yield Known(f"{replicas} times M/M/1 {utilization:.2f}", scenario, wait_s_mean, truth)
