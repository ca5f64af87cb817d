"""Time as something that is passed in.

`SystemClock` is the only place that reads the machine's clocks; pure code takes `now: float` and never a clock.
`SimulatedClock` jumps: once everybody sleeps it moves to the earliest deadline, so tests never wait.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from typing import Protocol


class Clock(Protocol):
    """Two readings and a wait. Controllers hold one; `decide` functions never do."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary point; never goes back. For durations and deadlines."""
        ...

    def wall(self) -> float:
        """Seconds since the epoch; may jump. For showing to people only."""
        ...

    async def sleep(self, duration_s: float) -> None:
        """Return after `duration_s` seconds of this clock."""
        ...

    async def wait(self, event: asyncio.Event, timeout_s: float) -> None:
        """Return once `event` is set; after `timeout_s` seconds of this clock it is set by the clock."""
        ...


TOGETHER_S = 0.5
"""Waits of this and more end at a whole multiple of it, a little early at the first time: those who look twice a second
and those who look once do so at the same moment then, and the processor is woken once for all of them."""


class SystemClock:
    """The machine's clocks. CLOCK_BOOTTIME would count suspended time; a laptop's sleep is not an outage."""

    def monotonic(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()

    async def sleep(self, duration_s: float) -> None:
        await asyncio.sleep(duration_s)

    async def wait(self, event: asyncio.Event, timeout_s: float) -> None:
        # Not a time-out: those end by a cancellation, which takes a second round of the event loop and, in the wait_for
        # of up to Python 3.11, swallows the one of somebody who ends this task at the same moment.
        loop = asyncio.get_running_loop()
        due_s = loop.time() + timeout_s
        alarm = loop.call_at(due_s - due_s % TOGETHER_S if timeout_s >= TOGETHER_S else due_s, event.set)
        try:
            await event.wait()
        finally:
            alarm.cancel()


BUSY_ROUNDS_MAX = 10_000
"""Rounds of the event loop for which time waits while others still run; a busy waiter must not stop it for ever."""


class SimulatedClock:
    """A clock that stands still while anybody can run; when all sleep, it jumps to the earliest deadline."""

    def __init__(self, start_s: float = 1_000.0, wall_offset_s: float = 1_700_000_000.0) -> None:
        self._now_s = start_s
        self._wall_offset_s = wall_offset_s
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0
        self._jumping_in: asyncio.AbstractEventLoop | None = None

    def monotonic(self) -> float:
        return self._now_s

    def wall(self) -> float:
        return self._now_s + self._wall_offset_s

    def advance(self, duration_s: float) -> None:
        """Move time forward and wake whoever's deadline has passed."""
        self._move_to(self._now_s + duration_s)

    def jump_wall(self, duration_s: float) -> None:
        """Somebody sets the machine's clock."""
        self._wall_offset_s += duration_s

    async def sleep(self, duration_s: float) -> None:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (self._now_s + duration_s, self._count, future))
        if self._jumping_in is not loop:
            self._jumping_in = loop
            loop.call_soon(self._jump, loop, 0)
        await future

    async def wait(self, event: asyncio.Event, timeout_s: float) -> None:
        alarm = asyncio.ensure_future(self._ring(event, timeout_s))
        try:
            await event.wait()
        finally:
            alarm.cancel()

    async def _ring(self, event: asyncio.Event, after_s: float) -> None:
        await self.sleep(after_s)
        event.set()

    def _jump(self, loop: asyncio.AbstractEventLoop, rounds: int) -> None:
        """Once nobody else can run, move to the earliest deadline; go on while anybody sleeps."""
        while self._sleepers and self._sleepers[0][2].done():
            heapq.heappop(self._sleepers)  # cancelled: nobody waits for that moment any more
        if not self._sleepers:
            self._jumping_in = None
            return
        # asyncio has no public way to ask whether anybody else can run; on a loop without `_ready` we do not wait.
        if getattr(loop, "_ready", ()) and rounds < BUSY_ROUNDS_MAX:
            loop.call_soon(self._jump, loop, rounds + 1)
            return
        self._move_to(max(self._now_s, self._sleepers[0][0]))
        loop.call_soon(self._jump, loop, 0)

    def _move_to(self, now_s: float) -> None:
        self._now_s = now_s
        while self._sleepers and self._sleepers[0][0] <= now_s:
            _, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                future.set_result(None)
