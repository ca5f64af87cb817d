"""How much a system carries: each thing that runs out, and at which rate. The first is what breaks first.

Two kinds of limits. *Hard*: from there on a queue grows without bound (places, processors, cores). *Soft*: from there
on a promise is broken although everything still flows (the objective). Pure; by the formulas of `predict`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from colonnade.planning.errors import Unstable
from colonnade.planning.limits import Limit, capacity, hard_limits
from colonnade.planning.model import Load, SystemModel
from colonnade.planning.predict import predict

SEARCH_STEPS = 40
"""Halvings of the interval in which an objective's rate lies: to 1e−12 of it, where 1e−4 would do."""

NEARLY_IDLE = 1e-6
"""Of the capacity: a load at which nobody meets anybody."""


@dataclass(frozen=True, slots=True)
class Objective:
    """`p99=250ms`: the share `quantile` of all requests takes no longer than `within_s`."""

    quantile: float
    within_s: float

    def __post_init__(self) -> None:
        if not 0 < self.quantile < 1 or not 0 < self.within_s < math.inf:
            raise ValueError(f"not an objective: {self}")

    def __str__(self) -> str:
        return f"p{self.quantile * 100:g} ≤ {self.within_s * 1000:g} ms"


def limits(model: SystemModel, objective: Objective | None = None, scv_arrivals: float = 1.0) -> tuple[Limit, ...]:
    """Everything that runs out, ascending by its rate; infinite ones are left out."""
    found = list(hard_limits(model))
    if objective is not None:
        rate = rate_within(model, objective, scv_arrivals)
        found.append(Limit("objective", str(objective), rate, f"{objective} no longer holds"))
    return tuple(sorted((each for each in found if math.isfinite(each.rate_per_s)), key=lambda each: each.rate_per_s))


def rate_within(model: SystemModel, objective: Objective, scv_arrivals: float = 1.0) -> float:
    """The highest rate at which the objective holds; 0 when it does not even without load."""
    top = capacity(model)
    if math.isinf(top):
        return math.inf
    if not holds(model, Load(top * NEARLY_IDLE, scv_arrivals), objective):
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(SEARCH_STEPS):
        middle = (low + high) / 2
        if holds(model, Load(top * middle, scv_arrivals), objective):
            low = middle
        else:
            high = middle
        if high - low < 1e-5:
            break
    return top * low


def holds(model: SystemModel, load: Load, objective: Objective) -> bool:
    """Whether the objective holds under the load; an unstable system holds none."""
    try:
        prediction = predict(model, load)
    except Unstable:
        return False
    # One tail instead of a search for the percentile.
    return prediction.share_within(objective.within_s) >= objective.quantile


def knee(model: SystemModel, stretch: float = 2.0) -> float:
    """The rate at which a request takes `stretch` times as long as alone, on average: where curves bend upwards."""
    top = capacity(model)
    if math.isinf(top):
        return math.inf
    alone_s = predict(model, Load(top * NEARLY_IDLE)).mean_s
    low, high = 0.0, 1.0
    for _ in range(SEARCH_STEPS):
        middle = (low + high) / 2
        try:
            is_below = predict(model, Load(top * middle)).mean_s < stretch * alone_s
        except Unstable:
            is_below = False
        low, high = (middle, high) if is_below else (low, middle)
    return top * low


def with_replicas(model: SystemModel, replicas: dict[str, int]) -> SystemModel:
    """The same system with other numbers of replicas; weights are dropped where the number changes."""
    stations = tuple(
        replace(
            each, replicas=replicas[each.name], weights=() if replicas[each.name] != each.replicas else each.weights
        )
        if each.name in replicas
        else each
        for each in model.stations
    )
    return replace(model, stations=stations)
