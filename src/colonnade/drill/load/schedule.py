"""Decides which operation is meant for when, and by whom: passers-by, who send one request, and visitors, who write
something and come back to look for it.

All of it is planned before the first request is sent, so it stays an open loop: a visitor whose page is slow to come
is late with their next step by their own clock, and that waiting counts as latency.
Read next: `arrivals` for the times of independent requests, `visitor` for what a visitor carries along.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappop, heappush, merge
from random import Random

from colonnade.drill.load.arrivals import intended_offsets
from colonnade.drill.load.plan import Plan

THINK_S = ((0.1, 0.5), (0.5, 1.5), (1.5, 3.0))
"""Bounds of the waits before a visitor's looks: the first as soon as a redirect and a glance allow, when a standby may
still be behind; the last when a failover that the write met is over."""

STEPS = 1 + len(THINK_S)
"""A visitor's operations: one write, then the looks."""


@dataclass(frozen=True, slots=True, order=True)
class Step:
    """One operation to come. Seconds from the start of the run."""

    offset_s: float
    session: int = -1
    """Number of the visitor; -1 for a passer-by."""
    number: int = 0
    """Of this visitor's steps: 0 is the write."""


def steps(plan: Plan, random: Random) -> Iterator[Step]:
    """Every operation of a run, ascending, all within its duration.

    Sessions that begin near the end lose the looks that would come after it, so a run has slightly fewer operations
    than rate times duration.
    """
    share = session_share(plan)
    if share == 0:
        yield from (Step(offset_s) for offset_s in _offsets(plan, plan.rate_per_s, random))
        return
    alone = Random(random.random())  # noqa: S311 a stream of its own: the two are drawn from by turns
    visits = _visits(plan, plan.rate_per_s * share / STEPS, random)
    if share == 1:
        yield from visits
        return
    passers_by = (Step(offset_s) for offset_s in _offsets(plan, plan.rate_per_s * (1 - share), alone))
    yield from merge(passers_by, visits)


def session_share(plan: Plan) -> float:
    """The share that sessions really have: none without a way to look, and never more writes, or more reads, than the
    whole run is to have."""
    if not plan.workload.read_own:
        return 0.0
    return min(plan.session_share, STEPS * plan.write_share, STEPS * (1 - plan.write_share) / len(THINK_S))


def lone_write_share(plan: Plan) -> float:
    """The share of writes among passers-by, so that the whole has `write_share`."""
    share = session_share(plan)
    return (plan.write_share - share / STEPS) / (1 - share) if share < 1 else 0.0


def expected_count(plan: Plan) -> float:
    """How many operations a run has on average: rate times duration, but for the looks that would come after it."""
    share, duration_s = session_share(plan), plan.duration_s
    look_s, looks_s = 0.0, 0.0
    for bounds in THINK_S:
        look_s += sum(bounds) / 2
        looks_s += max(0.0, duration_s - look_s)
    return plan.rate_per_s * ((1 - share) * duration_s + share / STEPS * (duration_s + looks_s))


def _offsets(plan: Plan, rate_per_s: float, random: Random) -> Iterator[float]:
    return intended_offsets(plan.arrivals, rate_per_s, plan.duration_s, random, plan.shape)


def _visits(plan: Plan, rate_per_s: float, random: Random) -> Iterator[Step]:
    """The steps of all visitors, ascending: looks of visitors who have begun wait in a heap until they are due."""
    think = Random(random.random())  # noqa: S311 as above
    waiting: list[Step] = []
    for session, begin_s in enumerate(_offsets(plan, rate_per_s, random)):
        while waiting and waiting[0].offset_s <= begin_s:
            yield heappop(waiting)
        yield Step(begin_s, session)
        at_s = begin_s
        for number, (least_s, most_s) in enumerate(THINK_S, start=1):
            at_s += think.uniform(least_s, most_s)
            if at_s < plan.duration_s:
                heappush(waiting, Step(at_s, session, number))
    while waiting:
        yield heappop(waiting)
