"""Ways to carry more: more replicas, more of the machine, a faster one; and when this machine is too small.

All of them start from what is declared on this machine. Pure; by the formulas of `predict`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from colonnade.planning.capacity import limits, rate_within, with_replicas
from colonnade.planning.errors import Unstable
from colonnade.planning.limits import CORES
from colonnade.planning.model import Call, Load, Station, SystemModel, Work
from colonnade.planning.predict import predict
from colonnade.planning.question import Question

MANY = 8
"""Times the replicas that a rate needs: no limit any more, when the question is what the machine's cores carry."""


@dataclass(frozen=True, slots=True)
class Times:
    """Of a request, seconds."""

    mean_s: float
    p50_s: float
    p95_s: float
    p99_s: float


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


def steps(question: Question, here: SystemModel) -> list[Step]:
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
    times = times_or_none(model, question.load)
    first = next((each for each in limits(model, question.objective) if each.is_hard), None)
    memory = sum(
        question.declared.memory_bytes.get(name, 0) * model.station(name).replicas
        for name in question.declared.services
    )
    return Step(
        what,
        kind,
        rate_of(model, question),
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


def one_machine(question: Question) -> OneMachine | None:
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


def rate_of(model: SystemModel, question: Question) -> float:
    if question.objective is not None:
        return rate_within(model, question.objective, question.load.scv_arrivals)
    return min((each.rate_per_s for each in limits(model)), default=math.inf)


def times_of(model: SystemModel, load: Load) -> Times:
    prediction = predict(model, load)
    return Times(prediction.mean_s, *(prediction.quantile_s(each) for each in (0.5, 0.95, 0.99)))


def times_or_none(model: SystemModel, load: Load) -> Times | None:
    try:
        return times_of(model, load)
    except Unstable:
        return None
