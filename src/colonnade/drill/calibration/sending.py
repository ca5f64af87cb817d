"""Sends the stretches of a calibration, and the doubtful ones again: what a stranger or a disk did to one of them is
nothing that the system does. How often is told, and what stays doubtful is told as well.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial

from colonnade.core.clock import Clock
from colonnade.drill.calibration.shot import IN_FLIGHT_MAX, Aim, Shot, shoot
from colonnade.drill.load.ledger import Kind
from colonnade.drill.load.workload import Action

FULL_UTILIZATION = 0.85
"""Of the free cores, from where on the generator may be late for want of one."""

AGAIN_MAX = 2
"""Times that one stretch is sent again."""

AGAIN_TOTAL_MAX = 12
"""Of all stretches: where a machine is never calm, the whole is to end all the same, in doubt."""


class Sender:
    """Sends at `aim`, which the caller may refine in between."""

    def __init__(self, aim: Aim, clock: Clock, *, cores: float) -> None:
        """`cores`: of the machine."""
        self.aim = aim
        self.free_cores = cores
        self.judged_count = 0
        """Stretches that could be doubted, each counted once."""
        self.again_count = 0
        """How often one was sent again."""
        self.doubts: list[str] = []
        """Of the stretches that stay doubtful."""
        self._clock = clock

    async def alone(self, action: Action, rate: float, duration_s: float, in_flight_max: int = IN_FLIGHT_MAX) -> Shot:
        """One kind of request."""
        share = 1.0 if action.kind is Kind.WRITE else 0.0
        send = partial(shoot, self.aim, rate, duration_s, write_share=share, only=action, clock=self._clock)
        return await self.believable(partial(send, in_flight_max=in_flight_max))

    async def mix(
        self,
        rate: float,
        duration_s: float,
        *,
        write_share: float,
        in_flight_max: int = IN_FLIGHT_MAX,
        weights: Mapping[str, float] | None = None,
    ) -> Shot:
        """All of them, as the workload has it, or by other `weights`: name of an action → among those of its kind."""
        aim = self.aim
        if weights is not None:
            actions = tuple(replace(each, weight=weights[each.name]) for each in aim.workload.actions)
            aim = replace(aim, workload=replace(aim.workload, actions=actions))
        send = partial(shoot, aim, rate, duration_s, write_share=write_share, clock=self._clock)
        return await self.believable(partial(send, in_flight_max=in_flight_max))

    async def believable(self, send: Callable[[], Awaitable[Shot]]) -> Shot:
        """What came of a stretch, the last one of those that had to be sent."""
        shot = await send()
        for _ in range(AGAIN_MAX):
            if not self._doubt_of(shot) or self.again_count >= AGAIN_TOTAL_MAX:
                break
            self.again_count += 1
            shot = await send()
        self.judged_count += not self._is_full(shot)
        if doubt := self._doubt_of(shot):
            self.doubts.append(doubt)
        return shot

    def _doubt_of(self, shot: Shot) -> str:
        return "" if self._is_full(shot) else shot.doubt

    def _is_full(self, shot: Shot) -> bool:
        """A machine that is full leaves the generator no core: its lateness there is no stranger's doing."""
        return shot.utilization(self.free_cores) >= FULL_UTILIZATION
