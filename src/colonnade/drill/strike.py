"""Carries out one planned fault: waits for its time, breaks, waits again, heals; and says what became of it.

It may be cancelled at any moment, and who drives it calls `heal` at the end in any case. A fault that fails is the
drill's failure, not the system's: the run then proves nothing about it.
Read next: `director`, which drives all of them; `faults/fault` for what a fault is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from colonnade.core.clock import Clock
from colonnade.core.errors import ColonnadeError
from colonnade.drill.faults.fault import Fault, NotPossible
from colonnade.drill.record import FaultEnd, FaultRecord
from colonnade.drill.scenario import PlannedFault

INJECT_S_MAX = 60.0
"""The slowest are those that start something, such as a rollout: seconds. What takes longer hangs."""

HEAL_S_MAX = 150.0
"""Healing takes moments, but for a rollout, which is waited for until it has ended: two start time-outs of a minute."""

Maker = Callable[[], Awaitable[Fault]]
"""Makes the fault from what is so at that moment."""


class Strike:
    """One fault on its way; `record` is what became of it so far."""

    def __init__(self, planned: PlannedFault, clock: Clock, inject_s_max: float = INJECT_S_MAX) -> None:
        self._planned = planned
        self._clock = clock
        self._inject_s_max = inject_s_max
        self._fault: Fault | None = None
        self._healing: asyncio.Task[None] | None = None
        message = f"{planned.kind} was planned at {planned.at_s:g} s, and the drill ended before"
        self.record = FaultRecord(planned, FaultEnd.NOT_REACHED, "not_reached", message)

    @property
    def is_under_way(self) -> bool:
        """It was broken, and not healed yet."""
        return self._fault is not None

    async def carry_out(self, make: Maker, load_start_at: float) -> None:
        """Break at the planned time and heal after it. What has no duration is healed by whoever calls `heal`."""
        await self._sleep_until(load_start_at + self._planned.at_s)
        try:
            await self._inject(make)
        except NotPossible as refusal:
            self._end(FaultEnd.SKIPPED, refusal.reason, refusal.message)
            self.record = replace(self.record, injected_at=None)
        if self._planned.lasts_s and self.record.end is FaultEnd.DONE:
            await self._sleep_until(load_start_at + self._planned.at_s + self._planned.lasts_s)
        if self._planned.lasts_s or self.record.end is not FaultEnd.DONE:
            await self.heal()

    async def heal(self) -> None:
        """Make whole what this fault broke; nothing happens where it broke nothing, or was healed before. Who is
        cancelled while waiting for it does not end it: it goes on, and whoever calls next waits for the rest."""
        if self._fault is not None:
            fault, self._fault = self._fault, None
            self._healing = asyncio.create_task(self._take_back(fault))
        healing = self._healing
        if healing is None:
            return
        try:
            await asyncio.shield(healing)
        finally:
            if healing.done():
                self._healing = None

    async def _take_back(self, fault: Fault) -> None:
        problem = await _problem_of(fault.heal(), HEAL_S_MAX)
        if problem:
            self._end(FaultEnd.FAILED, "heal_failed", f"{fault.message}, and healing failed: {problem}")
        elif self.record.end is FaultEnd.DONE and self._planned.lasts_s:
            self.record = replace(self.record, healed_at=self._clock.monotonic(), message=fault.message)

    async def _inject(self, make: Maker) -> None:
        """Raises NotPossible while nothing is broken; every other end is in the record."""
        try:
            fault = await make()
        except ColonnadeError as error:
            self._end(FaultEnd.FAILED, "cannot_be_made", str(error))
            return
        self._fault = fault
        self.record = replace(self.record, subjects=fault.subjects, injected_at=self._clock.monotonic())
        try:
            problem = await _problem_of(fault.inject(), self._inject_s_max)
        except asyncio.CancelledError:
            self._end(FaultEnd.FAILED, "interrupted", f"{fault.message}, and the drill was interrupted in that moment")
            raise
        if problem:
            self._end(FaultEnd.FAILED, "inject_failed", f"{fault.message}: {problem}")
        else:
            self._end(FaultEnd.DONE, self._planned.kind, fault.message)
        self.record = replace(self.record, subjects=fault.subjects)

    def _end(self, end: FaultEnd, reason: str, message: str) -> None:
        self.record = replace(self.record, end=end, reason=reason, message=message)

    async def _sleep_until(self, moment: float) -> None:
        await self._clock.sleep(max(0.0, moment - self._clock.monotonic()))


async def _problem_of(work: Awaitable[None], duration_s_max: float) -> str:
    """What went wrong, in a sentence; empty when nothing did. Raises NotPossible, and errors that nobody expects."""
    try:
        async with asyncio.timeout(duration_s_max):
            await work
    except TimeoutError:
        return f"it was not done within {duration_s_max:g} s"
    except (ColonnadeError, OSError) as error:
        return str(error)
    return ""
