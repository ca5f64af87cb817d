"""Memory pressure: a process of the drill's takes memory and touches every page of it, until healed.

Bounded: never more than a quarter of what is free, and the process is the first that the kernel would end.
"""

from __future__ import annotations

import psutil

from colonnade.drill.faults.burden import Burden
from colonnade.drill.faults.fault import NotPossible, Surroundings
from colonnade.drill.faults.settings import numbers
from colonnade.drill.scenario import PlannedFault, Role

SHARE_MAX = 0.25
"""Of the free memory: enough that caches shrink, and far from where the machine of somebody who tries a drill swaps."""

BYTES_MIN = 16 * 1024 * 1024
"""Less is no pressure."""


class MemoryPressure:
    """`share`: of the memory that is available at that moment."""

    def __init__(self, planned: PlannedFault, around: Surroundings) -> None:
        share = min(SHARE_MAX, numbers(planned, share=SHARE_MAX)["share"])
        if planned.aim.role is not Role.SYSTEM:
            raise NotPossible(
                "not_for_one_part",
                "memory is taken from the whole machine; for one part it takes cgroups, which need root",
            )
        free = psutil.virtual_memory().available
        taken = int(share * free)
        if taken < BYTES_MIN:
            raise NotPossible("too_little_memory", f"{share:.0%} of {free / 1e6:.0f} MB free memory is no pressure")
        self._burden = Burden("memory", taken)
        self.subjects = ("system",)
        self.message = f"took {taken / 1e6:.0f} MB, {share:.0%} of the free memory"

    async def inject(self) -> None:
        await self._burden.put()

    async def heal(self) -> None:
        await self._burden.take_away()
