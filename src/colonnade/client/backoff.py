"""How long to wait between attempts: short at first, doubling, jittered, within one deadline.

A new primary usually accepts writes 0.4 s after the old one died, so the first waits are tens of milliseconds. Jitter
keeps the threads of several replicas from knocking in step.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

_random = random.Random()  # noqa: S311 — spreads load, guards nothing


@dataclass(frozen=True, slots=True)
class Backoff:
    deadline_s: float
    """From the first attempt to the last answer."""

    first_s: float = 0.03
    """The first wait is half to all of this; each later one of twice as much."""

    longest_s: float = 0.4
    """No wait is longer, so that once the database is back nobody sleeps on."""

    def waits(self) -> Iterator[float]:
        """The endless sequence of waits, in seconds."""
        ceiling_s = self.first_s
        while True:
            yield _random.uniform(ceiling_s / 2, ceiling_s)
            ceiling_s = min(ceiling_s * 2, self.longest_s)

    def attempts(self) -> Iterator[float]:
        """Yields the deadline (of `time.monotonic`) once per attempt, sleeping in between; ends when time is up."""
        deadline = time.monotonic() + self.deadline_s
        yield deadline
        for wait_s in self.waits():
            if time.monotonic() + wait_s >= deadline:
                return
            time.sleep(wait_s)
            yield deadline

    async def attempts_async(self) -> AsyncIterator[float]:
        """`attempts` for an event loop."""
        deadline = time.monotonic() + self.deadline_s
        yield deadline
        for wait_s in self.waits():
            if time.monotonic() + wait_s >= deadline:
                return
            await asyncio.sleep(wait_s)
            yield deadline
