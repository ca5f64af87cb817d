"""How many replicas of each service, and how many cores, a load needs to keep its objective. Pure.

The fewest by utilisation first; then, as long as the objective does not hold, one more of what shortens it most; then
`spares` more of each service, so that it still holds with so many of them gone.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from colonnade.planning.capacity import NEARLY_IDLE, Objective, holds, with_replicas
from colonnade.planning.errors import Impossible
from colonnade.planning.holding import held
from colonnade.planning.limits import capacity
from colonnade.planning.model import Load, SystemModel
from colonnade.planning.predict import predict

STEPS_MAX = 5_000
"""Replicas and cores that are added one by one after the first guess, which is by utilisation and close."""

LEAST_GAIN = 1e-9
"""Of the share of requests within the objective: less is rounding."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What a size has to keep besides the objective."""

    utilization_max: float = 0.75
    """Of places, processors and cores on average; the rest is for bursts (as `scaling.target_utilization`)."""
    spares: int = 1
    """Replicas of each service that may be gone: N + k."""

    def __post_init__(self) -> None:
        if not 0 < self.utilization_max <= 1 or self.spares < 0:
            raise ValueError(f"not a policy: {self}")


@dataclass(frozen=True, slots=True)
class Size:
    """What is needed. `replicas` without the spares; `cores` of the whole machine, a whole number."""

    replicas: Mapping[str, int]
    spares: int
    cores: int
    cores_busy: float

    def with_spares(self) -> dict[str, int]:
        return {name: count + self.spares for name, count in self.replicas.items()}


def size(
    model: SystemModel, load: Load, objective: Objective | None, policy: Policy, services: Collection[str]
) -> Size:
    """The smallest that is found for `services`; the other stations stay as they are.

    Raises Impossible when the work alone takes longer than the objective, or when a station that cannot grow is too
    small.
    """
    if objective is not None:
        check_possible(model, objective)
    busy = load.rate_per_s * math.fsum(model.visits(each.name) * model.work(each.name).cpu_s for each in model.stations)
    cores = max(1, math.ceil(busy / policy.utilization_max - 1e-9))
    replicas = {each.name: _by_utilization(model, each.name, load, policy) for each in model.stations}
    for station in model.stations:
        if station.name not in services:
            _check_fixed(model, station.name, replicas[station.name], load)
            del replicas[station.name]
    for _ in range(STEPS_MAX):
        tried = replace(with_replicas(model, replicas), cores=cores)
        if objective is None or holds(tried, load, objective):
            return Size(replicas, policy.spares, cores, busy)
        better = _best_addition(model, replicas, cores, load, objective)
        if better is None:
            break
        replicas, cores = better
    raise Impossible(
        f"{objective} is not reached by more replicas or cores: what is left is waiting for what cannot grow",
        hint="`colonnade plan --json` shows where requests wait; shorten the work there, or take a longer objective",
    )


def check_possible(model: SystemModel, objective: Objective) -> None:
    """Raises Impossible when even a request that meets nobody takes longer than the objective."""
    top = capacity(model)
    if math.isinf(top):
        return
    alone = predict(replace(model, cores=math.inf), Load(top * NEARLY_IDLE))
    found_s = alone.quantile_s(objective.quantile)
    if found_s > objective.within_s:
        raise Impossible(
            f"{objective} cannot be reached: with nobody else there a request takes {alone.mean_s * 1000:.3g} ms on "
            f"average and {found_s * 1000:.3g} ms at p{objective.quantile * 100:g}, whatever the number of replicas",
            hint="shorten the work itself (queries, calls one after the other), or take a longer objective",
        )


def _by_utilization(model: SystemModel, name: str, load: Load, policy: Policy) -> int:
    station = model.station(name)
    rate = load.rate_per_s * model.visits(name)
    busy = rate * held(model, station).mean_s / station.concurrency
    if station.cores_per_replica < station.concurrency:
        busy = max(busy, rate * model.work(name).cpu_s / station.cores_per_replica)
    return max(1, math.ceil(busy / policy.utilization_max - 1e-9))


def _check_fixed(model: SystemModel, name: str, needed: int, load: Load) -> None:
    station = model.station(name)
    if needed > station.replicas:
        raise Impossible(
            f"{load.rate_per_s:g}/s are too much for {name}: {needed} of it would be needed, there are "
            f"{station.replicas}, with {station.concurrency} places each",
            hint=f"shorten the time that a request keeps a place of {name}, or call it less often",
        )


def _best_addition(
    model: SystemModel, replicas: dict[str, int], cores: int, load: Load, objective: Objective
) -> tuple[dict[str, int], int] | None:
    """One more of what brings most requests within the objective; one more of everything where nothing alone does
    (replicas and cores may be equally short); None when not even that does."""

    def share(each: tuple[dict[str, int], int]) -> float:
        tried = replace(with_replicas(model, each[0]), cores=each[1])
        return predict(tried, load).share_within(objective.within_s)

    before = share((replicas, cores))
    alone = [*(({**replicas, name: replicas[name] + 1}, cores) for name in replicas), (replicas, cores + 1)]
    best, reached = max(((each, share(each)) for each in alone), key=lambda each: each[1])
    if reached > before + LEAST_GAIN:
        return best
    all_of_them = ({name: count + 1 for name, count in replicas.items()}, cores + 1)
    return all_of_them if share(all_of_them) > before + LEAST_GAIN else None
