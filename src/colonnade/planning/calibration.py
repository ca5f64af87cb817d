"""What was measured of a running system: the cost of each kind of request, and how far predictions were off. Data, and
the model that follows from it. Pure.

`drill/calibration` measures; this says what it means. A *route* here is one action of the workload (`GET /post/{id}`),
measured. What a mix of them does is predicted, and then measured: the errors are kept beside the figures.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from colonnade.core.errors import SpecError
from colonnade.planning.by_routes import Part, Seen, variety_of
from colonnade.planning.declared import (
    STANDBYS,
    Declared,
    database_station,
    gateway_station,
    pool_size,
    service_station,
)
from colonnade.planning.erlang import SERVERS_MAX
from colonnade.planning.errors import Unstable
from colonnade.planning.idle_cost import factor
from colonnade.planning.model import Call, Load, Route, Station, SystemModel, Work
from colonnade.planning.predict import predict
from colonnade.planning.scalability import Interval
from colonnade.spec.check_plan import GATEWAY
from colonnade.spec.derive import DATABASE
from colonnade.spec.model import Spec

VERSION = 6
"""Of what is remembered: another one is not read."""

VISITORS = "(visitors)"
"""The station of those who ask, where they are on the same machine: the load generator. No service is called so."""

KERNEL = "(kernel)"
"""The station of what the kernel does between processes, packets above all: a request's work, in no process's books. On
two cores 4 to 8 % of what the blog and Django cost."""

CPU_S_MIN = 0.00005
"""A part that uses less of a core for a request has no part in it: below, the clock ticks of the kernel decide."""

WINSORIZED = 0.01
"""Share of the longest latencies that count as the longest of the others: a machine that stalls once a minute says
nothing about how the work varies, and would decide the variance alone."""


@dataclass(frozen=True, slots=True)
class RouteCost:
    """One kind of request: what it costs, alone, at a load at which it hardly ever meets another; and what it takes at
    others (`seen`)."""

    name: str
    kind: str
    """`read` or `write`."""
    weight: float
    """In the declared mix, among those of its kind."""
    count: int
    """Answers that this rests on."""
    rate_per_s: float
    """At which its latency was measured."""
    mean_s: float
    scv: float
    cpu_s: Mapping[str, float]
    """Seconds of a core that one request costs each part, the generator (VISITORS) and the KERNEL included."""
    entry: str
    """The service that it comes to first."""
    utilization: float = 1.0
    """Of the machine, at which it costs and takes that."""
    capacity_per_s: float = 0.0
    """Answers a second, alone of its kind, with as many inside as are let in; 0 when it was not measured."""
    seen: tuple[Seen, ...] = ()
    """Asked slowly, alone of its kind; and among all kinds, in a mix that was not predicted."""


@dataclass(frozen=True, slots=True)
class Contention:
    """The universal scalability law through throughputs at several concurrencies, of the mix."""

    points: tuple[tuple[float, float], ...]
    """(requests at once on average, requests a second)."""
    rate_of_one: Interval | None
    contention: Interval | None
    coherency: Interval | None
    peak_users: float | None
    """From where on more at once is less; None where it never is."""


@dataclass(frozen=True, slots=True)
class Verified:
    """One load, predicted and measured. Times in seconds; None where the prediction says that queues grow."""

    rate_per_s: float
    share_of_capacity: float
    """Of the measured capacity."""
    measured_rate: float
    """Answers a second."""
    measured: Mapping[str, float]
    """`mean`, `p50`, `p95`, `p99`, of the rounds without the slowest and the fastest quarter."""
    theory: Mapping[str, float] | None
    simulated: Mapping[str, float] | None
    failed_share: float
    doubt: str = ""
    """Why the measurement is not to be believed; empty when it is."""
    cpu_s: Mapping[str, float] = field(default_factory=dict)
    """Seconds of a core that one request of the mix cost each part, VISITORS included."""
    cpu_s_predicted: Mapping[str, float] = field(default_factory=dict)
    """The same by the costs of its routes. Where these differ, it is not the queues that were wrong."""
    means_s: tuple[float, ...] = ()
    """Of each round, one after the other."""
    routes: Mapping[str, float] | None = None
    """As `planning/by_routes.py` predicts it, for the system as it runs. `theory` and `simulated` are of the model of
    its parts, which also says what other replicas or cores would do."""

    @property
    def cost_error(self) -> float | None:
        """Of all parts that are predicted, together: (predicted − measured)/measured."""
        predicted_s = math.fsum(self.cpu_s_predicted.values())
        return predicted_s / self.compared_s - 1 if self.compared_s > 0 and predicted_s > 0 else None

    @property
    def compared_s(self) -> float:
        """Seconds of a core that one request cost those parts. The system's upkeep and what costs a request next to
        nothing (CPU_S_MIN) are measured as well, and no station of the model."""
        return math.fsum(self.cpu_s.get(name, 0.0) for name in self.cpu_s_predicted)

    def error(self, of: str, name: str) -> float | None:
        """(predicted − measured)/measured; `of` is `routes`, `theory` or `simulated`."""
        predicted = {"routes": self.routes, "theory": self.theory, "simulated": self.simulated}[of]
        if predicted is None or not self.measured.get(name):
            return None
        return predicted[name] / self.measured[name] - 1


@dataclass(frozen=True, slots=True)
class Calibration:
    """Everything that `plan --measure` found out."""

    at: str
    """When, in the user's time zone."""
    machine: str
    cores: int
    background_cores: float
    """Busy while nobody asks: the system's own upkeep, and everybody else on the machine."""
    write_share: float
    """Of the mix that was verified."""
    routes: tuple[RouteCost, ...]
    memory_bytes: Mapping[str, int]
    contention: Contention | None
    capacity_predicted: float
    capacity_measured: float | None
    verified: tuple[Verified, ...]
    notes: tuple[str, ...] = ()
    cores_apart: float = 0.0
    """As `SystemModel` has it, by how long the routes took on a busy machine."""
    mixing: float = 0.0
    """By which share more a request costs among none but those of other kinds than among its own; what a mix pays of
    it, `mixing_in` says."""
    idle_cost: float = 0.0
    """k of `idle_cost.py`: by which share more a request costs on an idle machine than on a busy one."""
    doubt: str = ""
    """Why the whole is not to be believed, beyond what single loads say; empty when it is."""
    version: int = VERSION

    @property
    def capacity_error(self) -> float | None:
        if self.capacity_measured is None or self.capacity_measured <= 0:
            return None
        return self.capacity_predicted / self.capacity_measured - 1

    def to_data(self) -> dict[str, Any]:
        return asdict(self)


def calibration_from(data: Mapping[str, Any]) -> Calibration:
    """What `to_data` made. Raises ValueError for another version, KeyError or TypeError for something else."""
    if data.get("version") != VERSION:
        raise ValueError(f"version {data.get('version')} of a calibration, and this reads {VERSION}")
    fields = dict(data)
    fields["routes"] = tuple(_route_from(route) for route in data["routes"])
    fields["verified"] = tuple(Verified(**{**each, "means_s": tuple(each["means_s"])}) for each in data["verified"])
    fields["notes"] = tuple(data["notes"])
    if (contention := data["contention"]) is not None:
        intervals = {
            name: None if contention[name] is None else Interval(**contention[name])
            for name in ("rate_of_one", "contention", "coherency")
        }
        points = tuple((float(one), float(other)) for one, other in contention["points"])
        fields["contention"] = Contention(points=points, peak_users=contention["peak_users"], **intervals)
    return Calibration(**fields)


def _route_from(data: Mapping[str, Any]) -> RouteCost:
    seen = tuple(Seen(one["utilization"], one["mean_s"], tuple(one["times_s"])) for one in data["seen"])
    return RouteCost(**{**data, "seen": seen})


@dataclass(frozen=True, slots=True)
class Mix:
    """How often each kind of request comes: shares by route name, 1 in total."""

    shares: Mapping[str, float] = field(default_factory=dict)

    @staticmethod
    def of(routes: Sequence[RouteCost], write_share: float) -> Mix:
        """By the declared weights, with so many writes; all are reads where nothing writes, and the other way round."""
        totals = {kind: math.fsum(each.weight for each in routes if each.kind == kind) for kind in ("read", "write")}
        part = {"read": 1 - write_share, "write": write_share}
        if totals["write"] == 0:
            part = {"read": 1.0, "write": 0.0}
        elif totals["read"] == 0:
            part = {"read": 0.0, "write": 1.0}
        return Mix({each.name: part[each.kind] * each.weight / totals[each.kind] for each in routes})


def mixing_in(routes: Sequence[RouteCost], mix: Mix, mixing: float) -> float:
    """By which share more a request of this mix costs than alone, on average: nothing where all are of one kind."""
    if mixing == 0:  # also of what was not measured alone, and has no capacity to reckon with
        return 0.0
    return mixing * variety_of({each.name: each.capacity_per_s for each in routes}, mix.shares)


def measured_mix(routes: Sequence[RouteCost], mix: Mix, mixing: float = 0.0) -> tuple[Part, ...]:
    """What `planning/by_routes.py` needs; empty where a route that is asked for was not measured that way. `mixing`: as
    `Calibration` has it."""
    wanted = [each for each in routes if mix.shares.get(each.name, 0.0) > 0 and each.seen]
    if {each.name for each in wanted} != {name for name, share in mix.shares.items() if share > 0}:
        return ()
    dearer = mixing_in(wanted, mix, mixing)
    return tuple(Part(mix.shares[each.name], each.capacity_per_s / (1 + dearer), each.seen) for each in wanted)


def costs_at(
    routes: Sequence[RouteCost], idle_cost: float, utilization: float, dearer: float = 0.0
) -> tuple[RouteCost, ...]:
    """What the routes cost when the machine is that busy, in a mix in which they are `dearer` by that share
    (`mixing_in`). What takes less of a core is done as much earlier."""
    found = []
    for route in routes:
        change = (1 + dearer) * factor(idle_cost, utilization) / factor(idle_cost, route.utilization)
        cpu_s = {name: value * change for name, value in route.cpu_s.items()}
        computing_s = min(route.mean_s, math.fsum(route.cpu_s.values()))
        mean_s = route.mean_s + computing_s * (change - 1)
        found.append(replace(route, cpu_s=cpu_s, mean_s=mean_s, utilization=utilization))
    return tuple(found)


def measured_model(
    spec: Spec,
    routes: Sequence[RouteCost],
    mix: Mix,
    *,
    cores: float,
    replicas: Mapping[str, int],
    visitors: bool,
    cores_apart: float = 0.0,
) -> Declared:
    """The model that the measured costs make, as they are (`costs_at` for another load): of each route its processor
    time at each part, and what is left of its latency as waiting for what does not compute, at its last part.

    `replicas`: those that run; other services as declared. `visitors`: the load generator shares the machine.
    """
    calls = {route.name: _way(spec, route, visitors=visitors) for route in routes}
    used = {call for each in calls.values() for call in _stations_of(each)}
    stations: list[Station] = [Station(VISITORS, 1, SERVERS_MAX)] if visitors else []
    if KERNEL in used:
        stations.append(Station(KERNEL, 1, SERVERS_MAX))
    stations.append(gateway_station(spec))
    names = [name for name in spec.services if name in used]
    for name in names:
        station = service_station(name, spec.services[name])
        stations.append(replace(station, replicas=replicas[name], weights=()) if replicas.get(name) else station)
    if spec.database is not None:
        whole = database_station(spec.database)
        nodes = {DATABASE: 1 if STANDBYS in used else whole.replicas, STANDBYS: max(1, whole.replicas - 1)}
        stations += [replace(whole, name=name, replicas=count) for name, count in nodes.items() if name in used]
    wanted = [Route(route.name, calls[route.name], mix.shares.get(route.name, 0.0)) for route in routes]
    model = SystemModel(tuple(stations), tuple(each for each in wanted if each.share > 0), cores, cores_apart)
    return Declared(model, tuple(names), (), {}, {name: pool_size(spec.services[name]) for name in names})


def without_waiting(
    spec: Spec, routes: Sequence[RouteCost], *, cores: float, replicas: Mapping[str, int]
) -> tuple[tuple[RouteCost, ...], tuple[str, ...]]:
    """The same routes with what they waited even at their low load taken off, as the model reckons it; and notes on
    those that stay as they are: costs on an idle machine are reckoned, and by too much of them the model's queues grow
    at a load that was measured without trouble."""
    found, notes = [], []
    for route in routes:
        model = measured_model(
            spec, [route], Mix({route.name: 1.0}), cores=cores, replicas=replicas, visitors=True
        ).model
        try:
            waited_s = predict(model, Load(route.rate_per_s)).mean_s - route.mean_s
        except Unstable as error:
            notes.append(
                f"{route.name}: by what it should cost on an idle machine {error.subject} would be too busy at "
                f"{route.rate_per_s:.3g}/s already, at which it was answered: what it waited there is left in its time"
            )
            found.append(route)
            continue
        least_s = math.fsum(route.cpu_s.values())
        found.append(replace(route, mean_s=max(min(route.mean_s, least_s), route.mean_s - max(0.0, waited_s))))
    return tuple(found), tuple(notes)


def winsorized(latencies_s: Sequence[float]) -> tuple[float, float]:
    """(mean, scv) with the longest WINSORIZED of them cut to the longest of the rest."""
    ascending = sorted(latencies_s)
    if not ascending:
        raise SpecError("no request was answered", subject="plan --measure", hint="look at `colonnade status`")
    highest = ascending[max(0, math.ceil(len(ascending) * (1 - WINSORIZED)) - 1)]
    values = [min(each, highest) for each in ascending]
    mean_s = math.fsum(values) / len(values)
    variance = math.fsum((each - mean_s) ** 2 for each in values) / len(values)
    return mean_s, variance / mean_s**2 if mean_s > 0 else 0.0


def _way(spec: Spec, route: RouteCost, *, visitors: bool) -> Call:
    """From the visitor through the gateway and the services that it costs something to the nodes of the database. What
    is left of its latency it waits at the last of these: of the database's nodes, a read at those that it costs most, a
    write at the primary, as the standbys follow when it has been committed."""
    way = [GATEWAY, *_services_on(spec, route)]
    if route.cpu_s.get(KERNEL, 0.0) > 0:
        way.insert(0, KERNEL)
    if visitors:
        way.insert(0, VISITORS)
    nodes = [name for name in (DATABASE, STANDBYS) if route.cpu_s.get(name, 0.0) > CPU_S_MIN and spec.database]
    nodes.sort(key=lambda name: (route.kind == "write" and name == DATABASE, route.cpu_s[name]))
    cpu_s = {name: route.cpu_s.get(name, 0.0) for name in (*way, *nodes)}
    rest_s = max(0.0, route.mean_s - math.fsum(route.cpu_s.get(name, 0.0) for name in {*cpu_s, VISITORS}))
    works = {name: Work(value, 0.0, 1.0) for name, value in cpu_s.items()}
    last = (*way, *nodes)[-1]
    last_s = cpu_s[last] + rest_s
    works[last] = Work(last_s, 0.0, cpu_s[last] / last_s if last_s > 0 else 1.0)
    squares = math.fsum(each.mean_s**2 for each in works.values())
    scv = route.scv * route.mean_s**2 / squares if squares > 0 else 0.0
    calls = tuple(Call(name, replace(works[name], scv=scv)) for name in nodes)
    for name in reversed(way):
        calls = (Call(name, replace(works[name], scv=scv), calls=calls),)
    return calls[0]


def _services_on(spec: Spec, route: RouteCost) -> list[str]:
    """The entry and, along `uses`, those that the route costs something, callers first."""
    found: list[str] = []

    def visit(name: str) -> None:
        if name in found or name not in spec.services:
            return
        if name == route.entry or route.cpu_s.get(name, 0.0) > CPU_S_MIN:
            found.append(name)
        for used in spec.services[name].uses:
            visit(used)

    visit(route.entry)
    return found


def _stations_of(call: Call) -> set[str]:
    return {call.station, *(name for inner in call.calls for name in _stations_of(inner))}
