"""From a declaration, and what is known of the work, to a model of the whole system. Pure.

The gateway is a station of its own, in front of every public service; each service calls what it `uses`; the database
is called last. What nobody has measured or said is taken for the unfavourable case, and each such assumption is told.
Read next: `model` for what comes of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from colonnade.core.errors import SpecError
from colonnade.planning.model import Call, Route, Station, SystemModel, Work
from colonnade.spec.check_database import POOL_SIZE_DEFAULT
from colonnade.spec.check_plan import GATEWAY
from colonnade.spec.derive import DATABASE, queue_timeout_s
from colonnade.spec.model import DatabaseSpec, ServiceSpec, Spec

GATEWAY_WORK = Work(0.0001, 1.0, 1.0)
"""Of a request in HAProxy with our configuration: docs/gateways.md has 39 µs at full speed, 131 µs at 1,000/s."""

DATABASE_VISIT = Work(0.001, 1.0, 0.5)
"""A query of which nothing is known: a millisecond, half of it waiting for a disk. Chosen by feel, and told."""


STANDBYS = "(standbys)"
"""The station of the database's nodes that only read; DATABASE is then the primary alone, with the way to it. Which
request asks whom is seen by where it costs something: writes cost the primary, and the standbys that follow it."""


@dataclass(frozen=True, slots=True)
class PartWork:
    """What is known of one part."""

    work: Work
    calls: Mapping[str, float] = field(default_factory=dict)
    """Once each, of what it uses, where nothing is said."""
    memory_bytes: int | None = None
    """Of one replica."""
    source: str = "given"
    """`given` (by an option or the declaration), `measured` or `assumed`."""


@dataclass(frozen=True, slots=True)
class Declared:
    """A model, and what it rests on."""

    model: SystemModel
    services: tuple[str, ...]
    """Stations that may be given more replicas."""
    assumptions: tuple[str, ...]
    memory_bytes: Mapping[str, int]
    """Of one replica, as far as known."""
    connections: Mapping[str, int]
    """Database connections that one replica's pool may hold."""


def works_of(spec: Spec) -> dict[str, PartWork]:
    """What the table [plan] says."""
    return {
        name: PartWork(Work(work.service_time_s, work.variability, work.cpu), dict(work.calls), work.memory_bytes)
        for name, work in spec.plan.work.items()
    }


def declared_model(spec: Spec, works: Mapping[str, PartWork], *, cores: float = math.inf) -> Declared:
    """The model of a declaration. Raises SpecError for a service that requests reach and of which no time is known."""
    public = [name for name, service in spec.services.items() if service.route]
    if not public:
        raise SpecError(
            "no service is public, so no request comes", hint='give one a route: route = "/"', subject="services"
        )
    reached = _reached(spec, public)
    unknown = [name for name in reached if name in spec.services and name not in works]
    if unknown:
        names = ", ".join(unknown)
        raise SpecError(
            f"the service time of {names} is not known",
            hint=f"`colonnade plan --measure` finds it on the running system; or say it: `--time {unknown[0]}=20ms`",
            subject="plan",
        )
    assumptions: list[str] = []
    services = [name for name in reached if name in spec.services]
    stations = [gateway_station(spec), *(service_station(name, spec.services[name]) for name in services)]
    if DATABASE in reached and spec.database is not None:
        stations.append(database_station(spec.database))
        if DATABASE not in works:
            assumptions.append(
                f"a query takes {DATABASE_VISIT.mean_s * 1000:g} ms, half of it waiting for a disk (nobody said)"
            )
    if GATEWAY not in works:
        assumptions.append(f"the gateway takes {GATEWAY_WORK.mean_s * 1e6:g} µs of a core for a request")
    routes = tuple(
        Route(spec.services[name].route, _from_gateway(name, spec, works), 1.0 / len(public)) for name in public
    )
    if len(public) > 1:
        assumptions.append(f"{' and '.join(public)} get equal shares of the requests")
    memory = {name: works[name].memory_bytes for name in reached if name in works}
    return Declared(
        SystemModel(tuple(stations), routes, cores),
        tuple(name for name in reached if name in spec.services),
        tuple(assumptions),
        {name: size for name, size in memory.items() if size is not None},
        {name: pool_size(spec.services[name]) for name in reached if name in spec.services},
    )


def _reached(spec: Spec, public: list[str]) -> list[str]:
    """The parts that requests come to, callers before what they call."""
    found: list[str] = []

    def visit(name: str) -> None:
        for used in spec.services[name].uses if name in spec.services else ():
            visit(used)
        if name not in found:
            found.append(name)

    for name in public:
        visit(name)
    return [*(name for name in reversed(found) if name != DATABASE), *([DATABASE] if DATABASE in found else [])]


def _from_gateway(name: str, spec: Spec, works: Mapping[str, PartWork]) -> Call:
    return Call(GATEWAY, gateway_work(works), calls=(_call(name, 1.0, spec, works),))


def _call(name: str, count: float, spec: Spec, works: Mapping[str, PartWork]) -> Call:
    if name == DATABASE:
        return Call(name, works[name].work if name in works else DATABASE_VISIT, count)
    known = works[name]
    calls: list[Call] = []
    for used in spec.services[name].uses:
        times = known.calls.get(used, 1.0)
        if used in spec.services:
            # Services reach each other through the gateway, too, which passes on and keeps nothing waiting.
            calls.append(Call(GATEWAY, gateway_work(works), times))
        calls.append(_call(used, times, spec, works))
    return Call(name, known.work, count, tuple(calls))


def gateway_work(works: Mapping[str, PartWork]) -> Work:
    return works[GATEWAY].work if GATEWAY in works else GATEWAY_WORK


def gateway_station(spec: Spec) -> Station:
    """One process with a thread for each core; a request that waits for its service costs it a connection and nothing
    else."""
    return Station(GATEWAY, 1, spec.gateway.connections_max)


def service_station(name: str, service: ServiceSpec) -> Station:
    """A replica is a process of CPython, whose threads share one core. A service that scales by itself has as many as
    it may."""
    return Station(
        name,
        max(1, service.replicas.min if service.replicas.fixed else service.replicas.max),
        service.threads,
        queue_max=service.queue_max,
        queue_timeout_s=queue_timeout_s(service),
        cores_per_replica=1.0,
        balance=service.balance,
        weights=tuple(float(group.weight) for group in service.weights for _ in range(group.replicas)),
    )


def database_station(database: DatabaseSpec) -> Station:
    """All nodes as one: a primary and its standbys, each with a process, and so a core, for each connection."""
    return Station(DATABASE, 1 + (0 if database.url else database.standbys), database.connections_max)


def pool_size(service: ServiceSpec) -> int:
    """Connections that one replica may open; 0 for a service that uses no database."""
    if DATABASE not in service.uses:
        return 0
    given = service.env.get("DATABASE_POOL_SIZE", "")
    return int(given) if given.isascii() and given.isdecimal() else POOL_SIZE_DEFAULT
