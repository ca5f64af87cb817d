"""What the stretches of a calibration say together: costs, what mixing adds, and every load as predicted and as it was.

Pure. Read next: `measure.py`, which sends the load, and `planning/by_routes.py`, by which mixes are predicted.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from colonnade.drill.calibration.routes import ANSWERS_MIN, LOW_UTILIZATION, Alone, contention_of, route_of
from colonnade.drill.calibration.shot import Shot, usual, usual_rate
from colonnade.drill.calibration.verify import Simulate, change_of, verified_load
from colonnade.planning.by_routes import Part, Seen, capacity_of, kept, mixing_of
from colonnade.planning.calibration import (
    Contention,
    Mix,
    RouteCost,
    Verified,
    costs_at,
    measured_mix,
    measured_model,
    mixing_in,
    without_waiting,
)
from colonnade.planning.idle_cost import idle_cost_of, utilization_at
from colonnade.planning.model import SystemModel
from colonnade.planning.predict import apart_of
from colonnade.spec.model import Spec

FEW_INSIDE = 2
"""Of a kind at once, which keep the machine about half busy: the second point of what idleness costs."""


@dataclass(slots=True)
class Observed:
    """All that was seen so far."""

    spec: Spec
    replicas: Mapping[str, int]
    write_share: float
    """Of the mix that is to be predicted."""
    free_cores: float
    """Cores that nobody used while nobody asked."""
    alone: dict[str, Alone] = field(default_factory=dict)
    even: list[Shot] = field(default_factory=list)
    """All routes, each as much work as every other, of each round."""
    even_shares: dict[str, float] = field(default_factory=dict)
    """How often each of them came then."""
    even_loads: dict[float, list[Shot]] = field(default_factory=dict)
    """Share of its capacity as it was known by then → that mix, of each round."""
    full: list[Shot] = field(default_factory=list)
    """The mix with as many inside as any route had, of each round."""
    loads: dict[float, list[Shot]] = field(default_factory=dict)
    """Share of the capacity as it was known by then → the mix, of each round."""

    @property
    def even_capacity(self) -> float:
        """Of that mix, answers a second."""
        return usual_rate(self.even)

    @property
    def capacity(self) -> float:
        """Of the mix, answers a second, as it was measured."""
        return usual_rate(self.full)

    @property
    def change(self) -> float:
        """By which share more was answered in the last third of the rounds than in the first."""
        return change_of(
            [
                {"": full.ok_rate} | {name: alone.full[index].ok_rate for name, alone in self.alone.items()}
                for index, full in enumerate(self.full)
            ]
        )


@dataclass(frozen=True, slots=True)
class Known:
    """What the routes say together."""

    routes: tuple[RouteCost, ...]
    mixing: float
    idle_cost: float
    cores_apart: float
    mix: tuple[Part, ...]
    notes: tuple[str, ...]


def known_of(seen: Observed, names: Sequence[str]) -> Known:
    """`names`: of the routes, in the order in which they are told."""
    found = [seen.alone[name] for name in names]
    routes = [
        route_of(seen.spec, each, usual(each.full).utilization(seen.free_cores), _in_company(seen, each))
        for each in found
    ]
    few = [each.crowds[FEW_INSIDE] for each in found]
    idle_cost = idle_cost_of(
        [
            ((less.utilization(seen.free_cores), less.cost_s), (route.utilization, math.fsum(route.cpu_s.values())))
            for less, route in zip(few, routes, strict=True)
        ]
    )
    # Latencies are those of the slow stretches already; costs were read in the busy ones.
    slow = [
        replace(each, mean_s=route.mean_s)
        for route, each in zip(routes, costs_at(routes, idle_cost, LOW_UTILIZATION), strict=True)
    ]
    known, waiting = without_waiting(seen.spec, slow, cores=seen.free_cores, replicas=seen.replicas)
    mixing = _mixing(seen)
    mix = measured_mix(known, Mix.of(known, seen.write_share), mixing)
    rare = [
        f"{route.name} had fewer than {ANSWERS_MIN} answers at some loads: what it takes there follows from the others"
        for route in known
        if sum(each.utilization > LOW_UTILIZATION for each in route.seen) < len(seen.even_loads)
    ]
    cores_apart = _apart(known, idle_cost, mixing_in(known, Mix(seen.even_shares), mixing), seen.free_cores)
    return Known(known, mixing, idle_cost, cores_apart, mix, (*waiting, *rare))


def _in_company(seen: Observed, alone: Alone) -> tuple[Seen, ...]:
    """How long one kind took among all of them at the loads of the even mix; and asked slowly, where that is less of a
    load, or all there is."""
    found = []
    for _, shots in sorted(seen.even_loads.items()):
        shot = usual(shots)
        times_s = shot.by_action_s.get(alone.action.name, ())
        if len(times_s) >= ANSWERS_MIN:
            found.append(Seen(shot.rate_per_s / seen.even_capacity, statistics.fmean(times_s), kept(times_s)))
    slow = Seen(alone.slow.rate_per_s / alone.capacity_per_s, alone.slow.mean_s, kept(alone.slow.latencies_s))
    if not found or slow.utilization < found[0].utilization:
        found.insert(0, slow)
    return tuple(found)


def _mixing(seen: Observed) -> float:
    alone = {name: each.capacity_per_s for name, each in seen.alone.items()}
    return mixing_of(alone, seen.even_shares, seen.even_capacity)


def _apart(routes: Sequence[RouteCost], idle_cost: float, dearer: float, free_cores: float) -> float:
    """How far the cores are from one queue, by how long each route waited at the loads of the even mix. `dearer`: by
    which share a request of that mix costs more than alone."""
    waits = []
    for route in routes:
        for load in (each for each in route.seen if each.utilization > LOW_UTILIZATION):
            busy = utilization_at(idle_cost, load.utilization)
            (alone,), (among,) = costs_at([route], idle_cost, busy), costs_at([route], idle_cost, busy, dearer)
            cores_busy = load.utilization * route.capacity_per_s * math.fsum(alone.cpu_s.values())
            waits.append((cores_busy, math.fsum(among.cpu_s.values()), load.mean_s - among.mean_s))
    return apart_of(waits, free_cores)


def verified_of(seen: Observed, known: Known, simulate: Simulate | None) -> Iterator[Verified]:
    """Each load of the mix, the lowest first."""
    for _, shots in sorted(seen.loads.items()):
        rate = usual(shots).rate_per_s
        model = _model_of(seen, known, utilization_at(known.idle_cost, min(1.0, rate / capacity_of(known.mix))))
        yield verified_load(model, known.mix, rate / seen.capacity, shots, simulate)


def distance_of(seen: Observed, known: Known) -> float:
    """Which share of the requests of the mix would have to be of other kinds to make it the one that was measured for
    it (total variation). With 0 a prediction is no more than a repetition."""
    wanted = Mix.of(known.routes, seen.write_share).shares
    return math.fsum(abs(share - wanted.get(name, 0.0)) for name, share in seen.even_shares.items()) / 2


def contention_in(seen: Observed, known: Known) -> Contention | None:
    """Of the mix."""
    shares = Mix.of(known.routes, seen.write_share).shares
    names = [route.name for route in known.routes if shares.get(route.name, 0.0) > 0]
    return contention_of([(part.share, seen.alone[name]) for part, name in zip(known.mix, names, strict=True)])


def _model_of(seen: Observed, known: Known, utilization: float) -> SystemModel:
    mix = Mix.of(known.routes, seen.write_share)
    routes = costs_at(known.routes, known.idle_cost, utilization, mixing_in(known.routes, mix, known.mixing))
    return measured_model(
        seen.spec,
        routes,
        mix,
        cores=seen.free_cores,
        replicas=seen.replicas,
        visitors=True,
        cores_apart=known.cores_apart,
    ).model
