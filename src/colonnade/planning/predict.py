"""What a load finds in a whole system: times of its requests, how busy everything is. By formulas, in microseconds.

Three things make a request wait at a station: all places are taken; the cores that its replicas can use are shared; the
machine's cores are shared with everybody. Each is a queue of its own by `queues`, as if it were the only one. Of the
three the longest counts, not their sum: who waits for a place does not compete for a core, and when the machine is the
bottleneck it does not matter where the requests stand that wait for it. In heavy traffic that is exact (the bottleneck
decides), in light traffic all three are short. Against simulation the mean is within 10 %, p95 within 16 % and p99
within 24 % up to 80 % of the capacity (`tests/unit/planning/test_against_simulation.py`).

A place is held while others work for its request, but for no longer than they would take alone: their queues are
counted where they are. Percentiles come from transforms (`transform`), waits at different resources taken as
independent, and what one resource takes from a request in all its visits as one draw.

Read next: `capacity` for how much it carries, `sizing` for how many replicas it takes.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from colonnade.planning import transform
from colonnade.planning.erlang import erlang_c, wait_s_mean
from colonnade.planning.holding import held, processors_of
from colonnade.planning.limits import CORES, check_stable
from colonnade.planning.model import Load, Route, Station, SystemModel, Work, walk

LEAST_LOADED = ("least-connections", "adaptive")
"""Policies that send a new request where the fewest are."""

IN_TURN = ("round-robin", "weighted")
"""Policies that send each replica every so-manieth request: what comes to one of them is more even than chance."""

APART = 0.25
"""Who was sent to the least loaded replica stays there, so that replicas are not quite one pool: a quarter of the way
from a pool to queues of their own, as simulations of 2 to 6 replicas at 20 to 90 % have it (within 8 % of the mean)."""


ALIKE = 0.5
"""Of what sharing adds, the part that is the same for all requests of a size, where these are all alike; nothing where
they vary as exponentials do. Between the two in proportion. So that p95 is within a fifth of simulations up to 80 % of
capacity for both."""


TELLING_UTILIZATION = (0.5, 0.85)
"""Of the cores, for a wait to say whether they are apart: below, both answers are short, and chance is longer; above,
a queue has not settled within seconds."""


@dataclass(frozen=True, slots=True)
class Sharing:
    """What a shared resource adds to each second of work on it."""

    utilization: float
    delayed: float
    """Share of the requests that it slows down at all."""
    extra: float
    """Seconds for each second of work: T/S − 1."""


NO_SHARING = Sharing(0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class StationLoad:
    """One station under a load."""

    name: str
    rate_per_s: float
    """Visits a second."""
    held_s: float
    """Seconds that a visit holds its place when nobody waits anywhere."""
    held_scv: float
    utilization: float
    """Share of the places that is taken, on average, by that alone."""
    processors: Sharing
    wait_s_mean: float
    """What a visit waits, or is slowed down, because of others, on average."""
    waits_for: str
    """`places`, `processors` (of the replicas) or `cores` (of the machine): which of the three is longest here."""
    delayed: float
    """Share of the visits that wait for it."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """A whole system under a load. Raises nothing: a load that does not fit has raised Unstable before."""

    load: Load
    stations: Mapping[str, StationLoad]
    cores: Sharing
    cores_busy: float
    times_of: Mapping[str, tuple[float, transform.Transform]]
    """Route → (share, transform of its time)."""
    mean_s_of: Mapping[str, float]

    @property
    def mean_s(self) -> float:
        """Over all routes, from the first byte that comes to the last of the answer."""
        return math.fsum(share * self.mean_s_of[name] for name, (share, _) in self.times_of.items())

    @property
    def present_mean(self) -> float:
        """Requests inside, by Little's law."""
        return self.load.rate_per_s * self.mean_s

    def quantile_s(self, quantile: float) -> float:
        """Over all routes."""
        return transform.quantile_s(transform.mixture(self.times_of.values()), quantile, self.mean_s)

    def share_within(self, time_s: float) -> float:
        """Of all requests, those that take no longer."""
        return 1 - transform.tail(transform.mixture(self.times_of.values()), time_s)


def predict(model: SystemModel, load: Load) -> Prediction:
    """The steady state. Raises Unstable, naming what is too busy and by how much."""
    rate = load.rate_per_s
    check_stable(model, rate)
    cores_busy = rate * math.fsum(model.visits(each.name) * model.work(each.name).cpu_s for each in model.stations)
    cores = between(
        shared(cores_busy, model.cores, load.scv_arrivals),
        one_core(cores_busy, model.cores, load.scv_arrivals),
        model.cores_apart,
    )
    stations = {each.name: _station_load(model, each, load, cores) for each in model.stations}
    shares = model.shares()
    times_of, mean_s_of = {}, {}
    for route in model.routes:
        mean_s_of[route.name], time = _route_time(route, stations, cores)
        times_of[route.name] = (shares[route.name], time)
    return Prediction(load, stations, cores, cores_busy, times_of, mean_s_of)


def shared(busy: float, cores: float, scv_arrivals: float = 1.0) -> Sharing:
    """What processor sharing adds when `busy` of the `cores` are busy on average (M/G/c-PS: `queues.ps`); for arrivals
    that are burstier than Poisson more by their part of Allen–Cunneen's factor.

    With a broken number of cores (a part is somebody else's) there are as many as the next whole one, each slower.
    """
    if math.isinf(cores):
        return NO_SHARING
    servers = max(1, math.ceil(cores - 1e-9))
    offered = busy * servers / cores
    delayed = erlang_c(servers, offered)
    return Sharing(busy / cores, delayed, delayed / (servers - offered) * (scv_arrivals + 1) / 2)


def one_core(busy: float, cores: float, scv_arrivals: float = 1.0) -> Sharing:
    """The same if each core had a queue of its own, and an equal part of the requests."""
    return NO_SHARING if math.isinf(cores) else shared(busy / cores, 1.0, scv_arrivals)


def between(pool: Sharing, apart: Sharing, share: float) -> Sharing:
    """A `share` of the way from one queue for all to a queue for each."""
    return Sharing(
        pool.utilization,
        pool.delayed + share * (apart.delayed - pool.delayed),
        pool.extra + share * (apart.extra - pool.extra),
    )


def apart_of(crowds: Sequence[tuple[float, float, float]], cores: float) -> float:
    """`SystemModel.cores_apart` by (cores busy, seconds of a core for each request, seconds waited beside that) of
    several loads: the median over those that are busy enough to tell; 0 without any."""
    found = []
    for busy, cpu_s, waited_s in crowds:
        if TELLING_UTILIZATION[0] <= busy / cores <= TELLING_UTILIZATION[1] and cpu_s > 0:
            pool, apart = shared(busy, cores).extra, one_core(busy, cores).extra
            if apart > pool:
                found.append((waited_s / cpu_s - pool) / (apart - pool))
    return min(1.0, max(0.0, statistics.median(found))) if found else 0.0


def _station_load(model: SystemModel, station: Station, load: Load, cores: Sharing) -> StationLoad:
    rate = load.rate_per_s * model.visits(station.name)
    work, time = model.work(station.name), held(model, station)
    offered = rate * time.mean_s
    processors = _processors(station, rate, work, load.scv_arrivals)
    # Allen–Cunneen: half from the arrivals, which calls from another station are taken to have kept.
    factor = (load.scv_arrivals + time.scv) / 2
    found = {
        "places": (wait_s_mean(station.places, rate, time.mean_s) * factor, erlang_c(station.places, offered)),
        "processors": (work.cpu_s * processors.extra, processors.delayed),
        CORES: (work.cpu_s * cores.extra, cores.delayed),
    }
    longest = max(found, key=lambda name: found[name][0])
    wait_s, delayed = found[longest]
    return StationLoad(
        station.name, rate, time.mean_s, time.scv, offered / station.places, processors, wait_s, longest, delayed
    )


def _processors(station: Station, rate: float, work: Work, scv_arrivals: float) -> Sharing:
    """The replicas' cores: as one pool, as queues of their own, or in between, by the policy."""
    cores = processors_of(station)
    if math.isinf(cores):
        return NO_SHARING
    busy, count = rate * work.cpu_s, station.replicas
    scv = scv_arrivals / count if station.balance in (*IN_TURN, *LEAST_LOADED) else scv_arrivals
    apart = shared(busy / count, cores / count, scv)
    if station.balance not in LEAST_LOADED:
        return apart
    return between(shared(busy, cores, scv_arrivals), apart, APART)


def _route_time(route: Route, stations: Mapping[str, StationLoad], cores: Sharing) -> tuple[float, transform.Transform]:
    """(mean, transform) of the time of a route: its work, and what each resource adds.

    A wait is one draw for the whole request at each resource (it came at a busy moment), but for the part of sharing
    that all meet alike.
    """
    parts: list[transform.Transform] = []
    drawn_s: dict[tuple[str, float], float] = {}
    mean_s = 0.0
    for call, count in walk(route.call):
        station = stations[call.station]
        work, sized = call.work, 0.0
        if station.waits_for == "places":
            resource, added_s = (station.name, station.delayed), station.wait_s_mean
        else:
            sharing = cores if station.waits_for == CORES else station.processors
            resource = (CORES if station.waits_for == CORES else station.name, sharing.delayed)
            sized = ALIKE * max(0.0, 1 - work.scv) * work.cpu_s * sharing.extra
            added_s = work.cpu_s * sharing.extra - sized
        parts.append(transform.repeated(transform.service(work.mean_s + sized, work.scv), count))
        drawn_s[resource] = drawn_s.get(resource, 0.0) + count * added_s
        mean_s += count * (work.mean_s + sized)
    for (_, delayed), added_s in drawn_s.items():
        if added_s > 0 and delayed > 0:
            mean_s += added_s
            parts.append(transform.delayed(delayed, transform.exponential(added_s / delayed)))
    return mean_s, transform.total(parts)
