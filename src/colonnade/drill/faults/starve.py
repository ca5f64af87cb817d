"""Starve: a part gets a share of the processor only, as on a machine whose neighbours take the rest.

It is stopped and woken in turns. That works without root, strikes this part and nobody else, and gives the share that
was asked for whatever else runs; busy neighbours would starve the load generator as well, which then could not judge.
With the role `system` it is those neighbours that are wanted: busy processes, as many on each core as asked for.
"""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from itertools import count

from colonnade.core.clock import Clock
from colonnade.core.processes import ProcessId
from colonnade.drill.faults.burden import Burden
from colonnade.drill.faults.fault import Fault, Surroundings
from colonnade.drill.faults.settings import numbers, refusal
from colonnade.drill.faults.targets import in_words, send, targets, tree_of
from colonnade.drill.scenario import PlannedFault, Role

PERIOD_S = 0.05
"""Of one turn: short beside every patience in the system, long beside the kernel's own turns of some milliseconds."""

TURNS_PER_LOOK = 10
"""A look through all processes takes milliseconds; whoever was forked meanwhile runs freely for half a second."""

BUSY_PER_CORE_MAX = 8


def starve(planned: PlannedFault, around: Surroundings) -> Fault:
    return StarveSystem(planned, around) if planned.aim.role is Role.SYSTEM else Starve(planned, around)


class Starve:
    """`share`: of a processor's time, what is left to the part."""

    def __init__(self, planned: PlannedFault, around: Surroundings) -> None:
        self._share = numbers(planned, share=0.2)["share"]
        if not 0.01 <= self._share < 1:
            raise refusal(planned, f"share must be from 0.01 to below 1, got {self._share:g}")
        self._targets = targets(planned.aim, around)
        self._paths = around.instance.paths
        self._clock: Clock = around.clock
        self._turns: asyncio.Task[None] | None = None
        self.subjects = tuple(target.name for target in self._targets)
        self.message = f"left {self._share:.0%} of the time to {in_words(self._targets)}"

    async def inject(self) -> None:
        self._turns = asyncio.create_task(self._take_turns())

    async def heal(self) -> None:
        if self._turns is None:
            return
        self._turns.cancel()
        with suppress(asyncio.CancelledError):
            await self._turns

    async def _take_turns(self) -> None:
        trees: list[ProcessId] = []
        for turn in count():
            if turn % TURNS_PER_LOOK == 0:
                trees = [process for target in self._targets for process in tree_of(target, self._paths)]
            try:
                send(trees, signal.SIGSTOP)
                await self._clock.sleep(PERIOD_S * (1 - self._share))
            finally:
                send(trees, signal.SIGCONT)
            await self._clock.sleep(PERIOD_S * self._share)


class StarveSystem:
    """`busy_per_core`: processes that do nothing but compute."""

    def __init__(self, planned: PlannedFault, around: Surroundings) -> None:
        per_core = int(numbers(planned, busy_per_core=1)["busy_per_core"])
        if not 1 <= per_core <= BUSY_PER_CORE_MAX:
            raise refusal(planned, f"busy_per_core must be from 1 to {BUSY_PER_CORE_MAX}, got {per_core}")
        cores = sorted(os.sched_getaffinity(0))
        self._burdens = [Burden("busy", core) for core in cores for _ in range(per_core)]
        self.subjects = ("system",)
        self.message = f"kept {len(cores)} cores busy with {len(self._burdens)} processes"

    async def inject(self) -> None:
        await asyncio.gather(*(burden.put() for burden in self._burdens))

    async def heal(self) -> None:
        await asyncio.gather(*(burden.take_away() for burden in self._burdens))
