"""The answer to "how much will it carry, what breaks first, what does the next step need". Pure.

`answer` puts together what the other modules find; its value is plain data, for tables, JSON and the page alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from colonnade.planning import availability
from colonnade.planning.capacity import Objective, limits, with_replicas
from colonnade.planning.cluster import ClusterNeeds, cluster_needs
from colonnade.planning.declared import STANDBYS
from colonnade.planning.errors import Unstable
from colonnade.planning.limits import Limit
from colonnade.planning.model import Load, SystemModel
from colonnade.planning.over_time import Day, day_of
from colonnade.planning.predict import predict
from colonnade.planning.question import Question
from colonnade.planning.simulated import Simulated, simulated
from colonnade.planning.sizing import Size, size
from colonnade.planning.steps import OneMachine, Step, Times, one_machine, rate_of, steps, times_of, times_or_none
from colonnade.spec.derive import DATABASE

REPLICA = availability.Part(mttf_s=availability.DAY_S, mttr_s=2.0)
"""A replica that dies once a day and serves again two seconds later: pessimistic about applications, and as long as a
Python application takes to start. For the share of time in which enough replicas are there."""

FAILOVER_S = 0.5
"""Seconds without writes when the primary dies; docs/database.md measures 0.3 to 0.5 on two cores."""


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
    cluster: ClusterNeeds | None
    """For the rate asked for, of nodes like this machine."""
    budget: Budget | None
    simulated: Simulated | None
    """The plan at the rate asked for, by simulation; None where it was not wanted, or would take too long."""
    day: Day | None
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
        planned=times_of(planned, load),
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
        steps=tuple(steps(question, here)),
        one_machine=one_machine(question),
        cluster=cluster_needs(
            found.with_spares(), found.cores_busy, memory, question.machine.cores, question.machine.memory_bytes
        ),
        budget=_budget(question),
        simulated=simulated(planned, load, mean_s=prediction.mean_s) if question.is_simulated else None,
        day=day_of(question),
        cost_month=question.prices.month(found.cores, memory or 0),
        assumptions=declared.assumptions,
        warnings=tuple(_warnings(question, found, memory)),
    )


def _sized(model: SystemModel, found: Size) -> SystemModel:
    return replace(with_replicas(model, found.with_spares()), cores=found.cores)


def _times_or_problem(model: SystemModel, load: Load, objective: Objective | None) -> tuple[Times | None, str]:
    try:
        prediction = predict(model, load)
    except Unstable as error:
        return None, str(error)
    times = times_of(model, load)
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
            found.append(Failure(what, rate_of(left, question), times_or_none(left, question.load)))
    return found


def _memory(question: Question, replicas: Mapping[str, int]) -> int | None:
    known = question.declared.memory_bytes
    if not all(name in known for name in replicas):
        return None
    return sum(known[name] * count for name, count in replicas.items())


def _pools(question: Question, replicas: Mapping[str, int]) -> int:
    return sum(question.declared.connections.get(name, 0) * count for name, count in replicas.items())


def _database_busy(model: SystemModel, load: Load) -> float:
    """Connections, at all nodes together."""
    stations = predict(model, load).stations
    nodes = [stations[name] for name in (DATABASE, STANDBYS) if name in stations]
    return math.fsum(each.rate_per_s * (each.held_s + each.wait_s_mean) for each in nodes)


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
