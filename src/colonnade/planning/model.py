"""What is planned: stations with replicas and places, the calls that a request makes of them, and the load. Plain data.

A request of a *route* is a tree of *calls*: it occupies a place of a station, works there, and has other stations work
for it meanwhile. A thread that waits for an answer keeps its place (`Station.holds_place`), which is what makes a slow
database fill the places of those who call it; without that, the stations are a tandem network.

    gateway ──► frontend ──► backend ──► database
                     └─────► backend …

Never computes waiting: `network.py` and `layers.py` do by formulas, `simulation/` does by events.

Symbols, the same in all of `planning`: λ arrivals a second, S seconds of service, c places, a = λ·S erlangs, ρ = a/c.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Balance = Literal["round-robin", "least-connections", "weighted", "consistent-hash", "adaptive"]
"""As `spec` has them; a simulator may know more."""


@dataclass(frozen=True, slots=True)
class Work:
    """How long one visit works at a station when nobody else is there: its service time, never its response time."""

    mean_s: float
    scv: float = 1.0
    """Squared coefficient of variation (variance over squared mean): 0 always alike, 1 exponential, above: bursty."""
    cpu_share: float = 1.0
    """Of `mean_s`, what a processor works; the rest is waiting for what is not modelled (a disk, a clock)."""

    def __post_init__(self) -> None:
        if not 0 <= self.mean_s < math.inf or not 0 <= self.scv < math.inf or not 0 <= self.cpu_share <= 1:
            raise ValueError(f"expected a finite time, an scv of at least 0 and a cpu_share in [0, 1], got {self}")

    @property
    def cpu_s(self) -> float:
        """Seconds of one core."""
        return self.mean_s * self.cpu_share


@dataclass(frozen=True, slots=True)
class Call:
    """A visit to a station with the calls that it makes from there, one after the other."""

    station: str
    work: Work
    count: float = 1.0
    """How often, on average, for each visit of the caller; 1.5 is once, and every other time twice."""
    calls: tuple[Call, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.count < math.inf:
            raise ValueError(f"expected a finite count of at least 0, got {self.count}")


@dataclass(frozen=True, slots=True)
class Route:
    """One kind of request and its share of all."""

    name: str
    call: Call
    share: float = 1.0
    """Relative to the other routes."""

    def __post_init__(self) -> None:
        if not 0 <= self.share < math.inf:
            raise ValueError(f"expected a share of at least 0, got {self.share}")


@dataclass(frozen=True, slots=True)
class Station:
    """Equal replicas behind one queue with a bound: a service, the gateway, or the database's nodes."""

    name: str
    replicas: int = 1
    concurrency: int = 1
    """Places of one replica: requests that it works on at once (`threads`; connections of a database node)."""
    queue_max: int | None = None
    """Requests that may wait for a place; the next is refused. None: no bound."""
    queue_timeout_s: float = math.inf
    """Who has waited longer gets no answer."""
    cores_per_replica: float = math.inf
    """What one replica can use: 1 for a process of CPython, whose threads share one lock. The places of a replica that
    compute at once share these evenly (processor sharing). Infinite: each place has a core of its own."""
    balance: Balance = "least-connections"
    weights: tuple[float, ...] = ()
    """Of the replicas, for `weighted`; empty: all alike."""
    holds_place: bool = True
    """A place stays taken while others work for its request. False: it is left before they begin."""

    def __post_init__(self) -> None:
        if self.replicas < 1 or self.concurrency < 1 or (self.queue_max is not None and self.queue_max < 0):
            raise ValueError(f"expected at least 1 replica and 1 place, and a bound of at least 0: {self}")
        if not self.queue_timeout_s > 0 or not self.cores_per_replica > 0:
            raise ValueError(f"expected a time-out and cores above 0: {self}")
        if self.weights and (len(self.weights) != self.replicas or min(self.weights) < 0 or sum(self.weights) <= 0):
            raise ValueError(f"expected {self.replicas} weights of at least 0, not all of them 0: {self.weights}")

    @property
    def places(self) -> int:
        """c: of all replicas together."""
        return self.replicas * self.concurrency


@dataclass(frozen=True, slots=True)
class SystemModel:
    """All of it. Every call's station is among `stations`."""

    stations: tuple[Station, ...]
    routes: tuple[Route, ...]
    cores: float = math.inf
    """Of the machine that all stations share; infinite: each replica has a machine of its own."""
    cores_apart: float = 0.0
    """How far the cores are from one queue for all (0) to a queue for each (1): an operating system keeps a process
    where it ran last, and moves it later than it could. Measured, or 0."""

    def __post_init__(self) -> None:
        names = [station.name for station in self.stations]
        if len(set(names)) != len(names):
            raise ValueError(f"a station is named twice: {names}")
        called = {call.station for route in self.routes for call, _ in walk(route.call)}
        if missing := called - set(names):
            raise ValueError(f"called, and no station: {sorted(missing)}")
        if not 0 <= self.cores_apart <= 1:
            raise ValueError(f"expected a share in [0, 1] by which cores are apart, got {self.cores_apart}")
        if not self.routes or sum(route.share for route in self.routes) <= 0 or not self.cores > 0:
            raise ValueError("expected a route with a share above 0, and cores above 0")

    def station(self, name: str) -> Station:
        return next(station for station in self.stations if station.name == name)

    def shares(self) -> dict[str, float]:
        """Route → share, 1 in total."""
        total = sum(route.share for route in self.routes)
        return {route.name: route.share / total for route in self.routes}

    def visits(self, station: str) -> float:
        """V: visits to the station for each request of the mix."""
        return sum(count for count, _ in self._works(station))

    def work(self, station: str) -> Work:
        """Of a visit to the station, over the mix: the mean, and the scv that includes how the routes differ."""
        works = self._works(station)
        total = sum(count for count, _ in works)
        if total == 0:
            return Work(0.0)
        mean_s = sum(count * work.mean_s for count, work in works) / total
        square = sum(count * work.mean_s**2 * (1 + work.scv) for count, work in works) / total
        cpu_s = sum(count * work.cpu_s for count, work in works) / total
        if mean_s == 0:
            return Work(0.0)
        return Work(mean_s, max(0.0, square / mean_s**2 - 1), min(1.0, cpu_s / mean_s))

    def demand_s(self, station: str) -> float:
        """D = V·S: seconds of work at the station for each request (service demand law)."""
        return self.visits(station) * self.work(station).mean_s

    def _works(self, station: str) -> list[tuple[float, Work]]:
        shares = self.shares()
        return [
            (shares[route.name] * count, call.work)
            for route in self.routes
            for call, count in walk(route.call)
            if call.station == station
        ]


@dataclass(frozen=True, slots=True)
class Load:
    """What comes: the mix is the routes' shares."""

    rate_per_s: float
    scv_arrivals: float = 1.0
    """Of the times between arrivals: 1 is Poisson, many users who know nothing of each other."""

    def __post_init__(self) -> None:
        if not 0 < self.rate_per_s < math.inf or not 0 <= self.scv_arrivals < math.inf:
            raise ValueError(f"expected a rate above 0 and an scv of at least 0, got {self}")


def walk(call: Call, times: float = 1.0) -> Iterator[tuple[Call, float]]:
    """Every call of the tree, with how often it is made for one request."""
    count = times * call.count
    yield call, count
    for inner in call.calls:
        yield from walk(inner, count)


def chain(*steps: tuple[str, Work]) -> Call:
    """Stations that call each other once, the first from outside."""
    if not steps:
        raise ValueError("expected at least one step")
    (station, work), *rest = steps
    return Call(station, work, calls=(chain(*rest),) if rest else ())
