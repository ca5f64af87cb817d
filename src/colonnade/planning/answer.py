"""The answer to "how much will it carry, what breaks first, what does the next step need". Pure.

`answer` puts together what the other modules find; its value is plain data, for tables, JSON and the page alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from colonnade.planning import availability
from colonnade.planning.capacity import Objective, limits, rate_within, with_replicas
from colonnade.planning.declared import Declared
from colonnade.planning.errors import Unstable
from colonnade.planning.limits import CORES, Limit
from colonnade.planning.model import Call, Load, Station, SystemModel, Work
from colonnade.planning.predict import predict
from colonnade.planning.sizing import Policy, Size, size
from colonnade.spec.derive import DATABASE

HOURS_PER_MONTH = 730.0

REPLICA = availability.Part(mttf_s=availability.DAY_S, mttr_s=2.0)
"""A replica that dies once a day and serves again two seconds later: pessimistic about applications, and as long as a
Python application takes to start. For the share of time in which enough replicas are there."""

FAILOVER_S = 0.5
"""Seconds without writes when the primary dies; docs/database.md measures 0.3 to 0.5 on two cores."""

MANY = 8
"""Times the replicas that a rate needs: no limit any more, when the question is what the machine's cores carry."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is."""

    cores: float
    memory_bytes: int
    """That replicas may have."""


@dataclass(frozen=True, slots=True)
class Prices:
    core_hour: float | None = None
    memory_gb_hour: float | None = None

    def month(self, cores: float, memory_bytes: float) -> float | None:
        """None where no price is given."""
        if self.core_hour is None and self.memory_gb_hour is None:
            return None
        hour = cores * (self.core_hour or 0.0) + memory_bytes / 1e9 * (self.memory_gb_hour or 0.0)
        return hour * HOURS_PER_MONTH


@dataclass(frozen=True, slots=True)
class Question:
    """Everything that is asked, and what is known."""

    declared: Declared
    load: Load
    objective: Objective | None
    policy: Policy
    machine: Machine
    prices: Prices = Prices()
    connections_max: int = 0
    """Of the database; 0 without one."""
    availability: float | None = None


@dataclass(frozen=True, slots=True)
class Times:
    """Of a request, seconds."""

    mean_s: float
    p50_s: float
    p95_s: float
    p99_s: float


@dataclass(frozen=True, slots=True)
class ServicePlan:
    """One service."""

    name: str
    replicas_now: int
    replicas_needed: int
    """With none to spare."""
    replicas: int
    threads: int
    held_s: float
    """A place is held by one visit, when nobody waits."""
    places_busy: float
    """On average, of `replicas` · `threads`."""
    utilization: float
    """Of places or processors, whichever is higher, with `replicas`."""
    utilization_without_spares: float
    waits_for: str
    wait_s_mean: float
    cores_busy: float
    memory_bytes: int | None
    """Of all its replicas; None where it is not known."""
    enough_share: float
    """Of the time, in which at least `replicas_needed` are there (see REPLICA)."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What is left when something is gone."""

    what: str
    rate_per_s: float
    """Up to which the objective holds (or the queues, without one)."""
    times: Times | None
    """At the rate asked for; None where queues grow."""


@dataclass(frozen=True, slots=True)
class Step:
    """One way to carry more."""

    what: str
    kind: str
    """`horizontal`, `vertical` or `now`."""
    rate_per_s: float
    p99_s: float | None
    """At the rate asked for; None where queues grow."""
    breaks_first: str
    cost_month: float | None


@dataclass(frozen=True, slots=True)
class OneMachine:
    """When this machine is too small, whatever the number of replicas."""

    rate_per_s: float
    because: str
    """`cores` or `memory`."""
    message: str


@dataclass(frozen=True, slots=True)
class Budget:
    """What failovers of the database cost."""

    objective: float
    budget_s: float
    """Of outage in thirty days."""
    failover_s: float
    failovers: float
    """That fit into it, if every request writes."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What `colonnade plan` says. Rates are requests a second."""

    rate_per_s: float
    objective: str
    now: Times | None
    now_problem: str
    """Why what is declared does not carry the rate; empty when it does."""
    now_limits: tuple[Limit, ...]
    planned: Times
    planned_limits: tuple[Limit, ...]
    services: tuple[ServicePlan, ...]
    cores_needed: int
    cores_busy: float
    cores_have: float
    memory_needed_bytes: int | None
    memory_have_bytes: int
    in_flight_mean: float
    """Requests at once, so connections of clients that wait for an answer."""
    database_pools: int
    """Connections that all replicas together may open; 0 without a database."""
    database_busy_mean: float
    database_connections_max: int
    binding: Limit | None
    """Of the plan: what runs out first."""
    failures: tuple[Failure, ...]
    steps: tuple[Step, ...]
    one_machine: OneMachine | None
    budget: Budget | None
    cost_month: float | None
    assumptions: tuple[str, ...]
    warnings: tuple[str, ...]


def answer(question: Question) -> Answer:
    """Everything about a load. Raises Impossible for an objective that no size reaches."""
    declared, load = question.declared, question.load
    found = size(declared.model, load, question.objective, question.policy, declared.services)
    planned = _sized(declared.model, found)
    here = replace(declared.model, cores=question.machine.cores)
    now, problem = _times_or_problem(here, load, question.objective)
    memory = _memory(question, found.with_spares())
    planned_limits = limits(planned, question.objective, load.scv_arrivals)
    prediction = predict(planned, load)
    return Answer(
        rate_per_s=load.rate_per_s,
        objective=str(question.objective) if question.objective else "no queue grows",
        now=now,
        now_problem=problem,
        now_limits=limits(here, question.objective, load.scv_arrivals),
        planned=_times(planned, load),
        planned_limits=planned_limits,
        services=tuple(_service(question, found, name) for name in declared.services),
        cores_needed=found.cores,
        cores_busy=found.cores_busy,
        cores_have=question.machine.cores,
        memory_needed_bytes=memory,
        memory_have_bytes=question.machine.memory_bytes,
        in_flight_mean=prediction.present_mean,
        database_pools=_pools(question, found.with_spares()),
        database_busy_mean=_database_busy(planned, load),
        database_connections_max=question.connections_max,
        binding=next((each for each in planned_limits if each.is_hard), None),
        failures=tuple(_failures(question, planned)),
        steps=tuple(_steps(question, here)),
        one_machine=_one_machine(question),
        budget=_budget(question),
        cost_month=question.prices.month(found.cores, memory or 0),
        assumptions=declared.assumptions,
        warnings=tuple(_warnings(question, found, memory)),
    )


def _sized(model: SystemModel, found: Size) -> SystemModel:
    return replace(with_replicas(model, found.with_spares()), cores=found.cores)


def _times(model: SystemModel, load: Load) -> Times:
    prediction = predict(model, load)
    return Times(prediction.mean_s, *(prediction.quantile_s(each) for each in (0.5, 0.95, 0.99)))


def _times_or_none(model: SystemModel, load: Load) -> Times | None:
    try:
        return _times(model, load)
    except Unstable:
        return None


def _times_or_problem(model: SystemModel, load: Load, objective: Objective | None) -> tuple[Times | None, str]:
    try:
        prediction = predict(model, load)
    except Unstable as error:
        return None, str(error)
    times = _times(model, load)
    if objective is not None and prediction.share_within(objective.within_s) < objective.quantile:
        found_s = prediction.quantile_s(objective.quantile)
        return times, f"{objective} does not hold: it is {found_s * 1000:.3g} ms"
    return times, ""


def _service(question: Question, found: Size, name: str) -> ServicePlan:
    declared, load = question.declared, question.load
    needed, count = found.replicas[name], found.replicas[name] + found.spares
    with_all = predict(_sized(declared.model, found), load).stations[name]
    without = predict(_sized(declared.model, replace(found, spares=0)), load).stations[name]
    station = declared.model.station(name)
    each = declared.memory_bytes.get(name)
    return ServicePlan(
        name=name,
        replicas_now=station.replicas,
        replicas_needed=needed,
        replicas=count,
        threads=station.concurrency,
        held_s=with_all.held_s,
        places_busy=with_all.utilization * count * station.concurrency,
        utilization=max(with_all.utilization, with_all.processors.utilization),
        utilization_without_spares=max(without.utilization, without.processors.utilization),
        waits_for=with_all.waits_for,
        wait_s_mean=with_all.wait_s_mean,
        cores_busy=with_all.rate_per_s * declared.model.work(name).cpu_s,
        memory_bytes=None if each is None else each * count,
        enough_share=availability.repaired(needed, count, REPLICA).availability,
    )


def _failures(question: Question, planned: SystemModel) -> list[Failure]:
    found = []
    for name in question.declared.services:
        station = planned.station(name)
        for gone in range(1, min(question.policy.spares + 1, station.replicas - 1) + 1):
            left = with_replicas(planned, {name: station.replicas - gone})
            what = f"one replica of {name} gone" if gone == 1 else f"{gone} replicas of {name} gone"
            found.append(Failure(what, _rate(left, question), _times_or_none(left, question.load)))
    return found


def _rate(model: SystemModel, question: Question) -> float:
    if question.objective is not None:
        return rate_within(model, question.objective, question.load.scv_arrivals)
    return min((each.rate_per_s for each in limits(model)), default=math.inf)


def _steps(question: Question, here: SystemModel) -> list[Step]:
    """From what is declared, on this machine: the same and more of it, next to larger pieces of it."""
    services = question.declared.services
    tight = next((each.subject for each in limits(here) if each.subject in services), services[-1])
    station = here.station(tight)
    threads = replace(station, concurrency=2 * station.concurrency)
    tries = [
        ("as declared", "now", here),
        (f"one more replica of {tight}", "horizontal", with_replicas(here, {tight: station.replicas + 1})),
        (
            "twice the replicas of every service",
            "horizontal",
            with_replicas(here, {name: 2 * here.station(name).replicas for name in services}),
        ),
        (f"twice the threads of {tight}", "vertical", _with_station(here, threads)),
        ("twice the cores", "vertical", replace(here, cores=2 * here.cores)),
        (
            "twice the cores and the replicas",
            "horizontal",
            replace(
                with_replicas(here, {name: 2 * here.station(name).replicas for name in services}), cores=2 * here.cores
            ),
        ),
        ("cores twice as fast", "vertical", faster(here, 2.0)),
    ]
    return [_step(what, kind, model, question) for what, kind, model in tries]


def _step(what: str, kind: str, model: SystemModel, question: Question) -> Step:
    times = _times_or_none(model, question.load)
    first = next((each for each in limits(model, question.objective) if each.is_hard), None)
    memory = sum(
        question.declared.memory_bytes.get(name, 0) * model.station(name).replicas
        for name in question.declared.services
    )
    return Step(
        what,
        kind,
        _rate(model, question),
        times.p99_s if times else None,
        f"{first.kind} of {first.subject}" if first else "",
        question.prices.month(model.cores, memory) if what != "cores twice as fast" else None,
    )


def _with_station(model: SystemModel, station: Station) -> SystemModel:
    return replace(model, stations=tuple(station if each.name == station.name else each for each in model.stations))


def faster(model: SystemModel, times: float) -> SystemModel:
    """The same system on cores that do everything in a part of the time; what does not compute stays as long."""

    def quicker(call: Call) -> Call:
        cpu_s, rest_s = call.work.cpu_s / times, call.work.mean_s - call.work.cpu_s
        mean_s = cpu_s + rest_s
        work = Work(mean_s, call.work.scv, cpu_s / mean_s if mean_s else 1.0)
        return replace(call, work=work, calls=tuple(map(quicker, call.calls)))

    return replace(model, routes=tuple(replace(route, call=quicker(route.call)) for route in model.routes))


def _one_machine(question: Question) -> OneMachine | None:
    """The rate from which on this machine is too small, by its cores or its memory."""
    model, declared = question.declared.model, question.declared
    cpu_s = math.fsum(model.visits(each.name) * model.work(each.name).cpu_s for each in model.stations)
    if cpu_s == 0:
        return None
    by_use = question.machine.cores * question.policy.utilization_max / cpu_s
    many = {name: MANY * (1 + math.ceil(by_use * cpu_s)) for name in declared.services}
    wide = replace(with_replicas(model, many), cores=question.machine.cores)
    rate = by_use
    if question.objective is not None:
        rate = min(rate, rate_within(wide, question.objective, question.load.scv_arrivals))
    found = OneMachine(
        rate,
        CORES,
        f"beyond {rate:.4g}/s its {question.machine.cores:.3g} cores are too few, whatever the number of replicas "
        f"({cpu_s * 1000:.3g} ms of a core for each request)",
    )
    per_rate = math.fsum(
        size_bytes
        * max(
            model.visits(name) * model.work(name).mean_s / model.station(name).concurrency,
            model.visits(name) * model.work(name).cpu_s / min(model.station(name).cores_per_replica, 1e9),
        )
        / question.policy.utilization_max
        for name, size_bytes in declared.memory_bytes.items()
        if name in declared.services
    )
    by_memory = question.machine.memory_bytes / per_rate if per_rate > 0 else math.inf
    if by_memory < rate:
        return OneMachine(by_memory, "memory", f"beyond {by_memory:.4g}/s its memory does not hold the replicas")
    return found


def _memory(question: Question, replicas: Mapping[str, int]) -> int | None:
    known = question.declared.memory_bytes
    if not all(name in known for name in replicas):
        return None
    return sum(known[name] * count for name, count in replicas.items())


def _pools(question: Question, replicas: Mapping[str, int]) -> int:
    return sum(question.declared.connections.get(name, 0) * count for name, count in replicas.items())


def _database_busy(model: SystemModel, load: Load) -> float:
    if not any(each.name == DATABASE for each in model.stations):
        return 0.0
    station = predict(model, load).stations[DATABASE]
    return station.rate_per_s * (station.held_s + station.wait_s_mean)


def _budget(question: Question) -> Budget | None:
    if question.availability is None or question.connections_max == 0:
        return None
    left_s = availability.budget_s(question.availability)
    return Budget(question.availability, left_s, FAILOVER_S, left_s / FAILOVER_S)


def _warnings(question: Question, found: Size, memory: int | None) -> list[str]:
    told = []
    pools = _pools(question, found.with_spares())
    if question.connections_max and pools > question.connections_max:
        told.append(
            f"the pools of all replicas may open {pools} connections, and database.connections_max is "
            f"{question.connections_max}"
        )
    if found.cores > question.machine.cores:
        told.append(
            f"{found.cores} cores are needed, and this machine has {question.machine.cores:g}: a larger one, or several"
        )
    if memory is not None and memory > question.machine.memory_bytes:
        told.append(
            f"the replicas take {memory / 1e6:.0f} MB, and {question.machine.memory_bytes / 1e6:.0f} MB are free"
        )
    return told
