"""Time as something that is passed in.

`SystemClock` is the only place that reads the machine's clocks; pure code takes `now: float` and never a clock.
`SimulatedClock` jumps: whoever sleeps on it moves time forward at once, so tests never wait.
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


class SystemClock:
    """The machine's clocks. CLOCK_BOOTTIME would count suspended time; a laptop's sleep is not an outage."""

    def monotonic(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()

    async def sleep(self, duration_s: float) -> None:
        await asyncio.sleep(duration_s)


class SimulatedClock:
    """A clock that stands still until someone sleeps; then it jumps to the earliest deadline."""

    def __init__(self, start_s: float = 1_000.0, wall_offset_s: float = 1_700_000_000.0) -> None:
        self._now_s = start_s
        self._wall_offset_s = wall_offset_s
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    def monotonic(self) -> float:
        return self._now_s

    def wall(self) -> float:
        return self._now_s + self._wall_offset_s

    def advance(self, duration_s: float) -> None:
        """Move time forward and wake whoever's deadline has passed."""
        self._now_s += duration_s
        while self._sleepers and self._sleepers[0][0] <= self._now_s:
            _, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                future.set_result(None)

    async def sleep(self, duration_s: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (self._now_s + duration_s, self._count, future))
        asyncio.get_running_loop().call_soon(self._jump)
        await future

    def _jump(self) -> None:
        if self._sleepers:
            self.advance(max(0.0, self._sleepers[0][0] - self._now_s))
