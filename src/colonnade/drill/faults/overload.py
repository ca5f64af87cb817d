"""Overload: a second crowd for a while, reading what the first one reads, from a generator of its own.

What it is answered is not judged: who comes in such numbers may be turned away. The first crowd is.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from random import Random
from typing import Protocol

from colonnade.drill.faults.fault import NotPossible
from colonnade.drill.faults.settings import numbers, refusal
from colonnade.drill.load.apart import run_load_apart
from colonnade.drill.load.history import History
from colonnade.drill.load.ledger import Outcome
from colonnade.drill.load.plan import Plan
from colonnade.drill.load.target import Target, resolve_target
from colonnade.drill.scenario import PlannedFault

RATE_PER_S_MAX = 3_000.0
"""What one core can send; more would show the generator's limit and not the system's."""

TIMEOUT_S = 5.0
"""A crowd goes away sooner than it is patient, and leaves requests behind that nobody waits for."""


class Crowded(Protocol):
    """What a burst needs, on one machine and in a cluster."""

    @property
    def plan(self) -> Plan | None: ...

    @property
    def target(self) -> Target | None: ...

    @property
    def random(self) -> Random: ...


class Overload:
    """`factor`: how many times the planned load comes in addition."""

    def __init__(self, planned: PlannedFault, around: Crowded) -> None:
        factor = numbers(planned, factor=3)["factor"]
        if around.plan is None:
            raise NotPossible("no_load", "there is no load of which more could come")
        if planned.lasts_s <= 0 or factor <= 0:
            raise refusal(planned, f"needs a time to last and a factor above 0, got {planned.lasts_s:g} and {factor:g}")
        rate_per_s = min(RATE_PER_S_MAX, factor * around.plan.rate_per_s)
        self._plan = replace(
            around.plan,
            rate_per_s=rate_per_s,
            duration_s=planned.lasts_s,
            run_id=f"{around.plan.run_id}burst",
            write_share=0.0,
            seed=around.random.randrange(2**31),
            timeout_s=TIMEOUT_S,
        )
        self._target = around.target
        self._stop = asyncio.Event()
        self._burst: asyncio.Task[History] | None = None
        self.subjects = ("system",)
        self.message = f"sent {rate_per_s:.0f} more requests/s for {planned.lasts_s:.0f} s"

    async def inject(self) -> None:
        target = self._target or await resolve_target(self._plan.url)
        self._burst = asyncio.create_task(run_load_apart(self._plan, target, stop=self._stop))

    async def heal(self) -> None:
        """Raises Bug when the generator failed: then there was no overload."""
        burst, self._burst = self._burst, None
        if burst is None:
            return
        self._stop.set()
        history = await burst
        done = sum(operation.outcome is Outcome.OK for operation in history.operations)
        self.message += f": {done} of {len(history.operations)} were answered as usual"
