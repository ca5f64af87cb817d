"""What a load that goes up and down needs, hour by hour: replicas that follow it, against replicas for its peak. Pure.

Each slice is taken for a steady load of its own. That is right where a slice is long beside the time in which queues
settle (seconds); what happens while replicas start is the simulator's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from colonnade.planning.model import Load
from colonnade.planning.question import Question
from colonnade.planning.sizing import size

SLICES_MAX = 144
"""Of a day ten minutes each: finer ones nobody follows with replicas, and each is sized on its own."""

SAME = 0.02
"""Rates that differ by less than this are sized once."""


@dataclass(frozen=True, slots=True)
class Slice:
    """One part of the period."""

    at_s: float
    rate_per_s: float
    replicas: Mapping[str, int]
    """With spares."""
    cores: int


@dataclass(frozen=True, slots=True)
class Day:
    """The whole period."""

    period_s: float
    rate_mean: float
    rate_peak: float
    slices: tuple[Slice, ...]
    peak_replica_hours: float
    """With as many as the peak needs, all the time."""
    following_replica_hours: float
    """With as many as each slice needs."""

    @property
    def saved_share(self) -> float:
        """What following the load saves."""
        return 1 - self.following_replica_hours / self.peak_replica_hours if self.peak_replica_hours else 0.0


def day_of(question: Question) -> Day | None:
    """None for a load that is always the same."""
    if not question.relative:
        return None
    relative = _coarser(question.relative)
    width_s = question.period_s / len(relative)
    known: dict[int, tuple[Mapping[str, int], int]] = {}
    slices = []
    for index, share in enumerate(relative):
        rate = max(share * question.rate_mean, question.rate_mean * 1e-3)
        step = math.ceil(math.log(rate) / math.log(1 + SAME))
        if step not in known:
            known[step] = _needs(question, rate)
        slices.append(Slice(index * width_s, rate, *known[step]))
    peak, _ = _needs(question, question.load.rate_per_s)
    hours = question.period_s / 3600
    return Day(
        question.period_s,
        question.rate_mean,
        question.load.rate_per_s,
        tuple(slices),
        sum(peak.values()) * hours,
        math.fsum(sum(each.replicas.values()) for each in slices) * width_s / 3600,
    )


def _needs(question: Question, rate: float) -> tuple[Mapping[str, int], int]:
    found = size(
        question.declared.model,
        Load(rate, question.load.scv_arrivals),
        question.objective,
        question.policy,
        question.declared.services,
    )
    return found.with_spares(), found.cores


def _coarser(relative: tuple[float, ...]) -> tuple[float, ...]:
    """At most SLICES_MAX parts, each the highest of those that it is made of: a peak is not averaged away."""
    group = math.ceil(len(relative) / SLICES_MAX)
    return tuple(max(relative[at : at + group]) for at in range(0, len(relative), group))
