"""What a plan looks like over the load: latency up to the knee and beyond, replicas and cores step by step. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from colonnade.planning.errors import Impossible
from colonnade.planning.limits import capacity
from colonnade.planning.model import Load, SystemModel
from colonnade.planning.question import Question
from colonnade.planning.sizing import size
from colonnade.planning.steps import Times, times_of

SHARES = (0.02, *(step / 20 for step in range(1, 16)), 0.8, 0.84, 0.88, 0.91, 0.94, 0.96, 0.975)
"""Of the capacity: closer together where curves bend."""

STEPS = 24
"""Rates at which replicas are counted."""


@dataclass(frozen=True, slots=True)
class LatencyPoint:
    """What a rate finds."""

    rate_per_s: float
    times: Times


@dataclass(frozen=True, slots=True)
class SizePoint:
    """What a rate needs."""

    rate_per_s: float
    replicas: Mapping[str, int]
    cores: int


def latency_curve(model: SystemModel, scv_arrivals: float = 1.0) -> tuple[LatencyPoint, ...]:
    """Ascending, up to nearly the capacity."""
    top = capacity(model)
    if math.isinf(top):
        return ()
    return tuple(LatencyPoint(top * share, times_of(model, Load(top * share, scv_arrivals))) for share in SHARES)


def size_curve(question: Question, rate_max: float) -> tuple[SizePoint, ...]:
    """Ascending; ends early where something that cannot grow is too small."""
    found = []
    for step in range(1, STEPS + 1):
        load = Load(rate_max * step / STEPS, question.load.scv_arrivals)
        try:
            each = size(question.declared.model, load, question.objective, question.policy, question.declared.services)
        except Impossible:
            break
        found.append(SizePoint(load.rate_per_s, each.with_spares(), each.cores))
    return tuple(found)
