"""What the controller said last, for everybody who reads the page: taken once a second by the process, whoever and how
many look.

Nothing here asks the controller. `take` is what the process calls after each poll.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

LOOKS_MAX = 6
"""Rates are over a few seconds: over one they would jump with each request of a quiet system."""

EVENTS_MAX = 500
"""The newest, for the list beside the picture."""


@dataclass(frozen=True, slots=True)
class Look:
    """One look. `status` is None when the controller did not answer; times in seconds, `at_s` since the epoch."""

    at_s: float
    status: Mapping[str, Any] | None
    events: tuple[Mapping[str, Any], ...] = ()
    """The newest, oldest first."""
    measurements: Mapping[str, Any] = field(default_factory=dict)
    """The raw counters beside the status, where they were asked for."""


@dataclass(slots=True)
class Looks:
    """The last few looks, and those who wait for the next one. `is_away`: the controller does not answer."""

    is_away: Callable[[], bool] = lambda: False
    _kept: deque[Look] = field(default_factory=lambda: deque(maxlen=LOOKS_MAX))
    _events: deque[Mapping[str, Any]] = field(default_factory=lambda: deque(maxlen=EVENTS_MAX))
    _next: asyncio.Event = field(default_factory=asyncio.Event)

    def take(
        self,
        at_s: float,
        status: Mapping[str, Any] | None,
        events: Sequence[Mapping[str, Any]] = (),
        measurements: Mapping[str, Any] | None = None,
    ) -> None:
        """A new look; `events` are those since the look before."""
        self._events.extend(events)
        self._kept.append(Look(at_s, status, tuple(self._events), measurements or {}))
        self._next.set()
        self._next = asyncio.Event()

    def newest(self) -> Look:
        return self._kept[-1] if self._kept else Look(0.0, None)

    def earlier(self) -> Look | None:
        """The oldest one that is kept and of the same gateway, to take differences from."""
        return next((look for look in self.at_this_gateway() if look is not self.newest()), None)

    def at_this_gateway(self) -> list[Look]:
        """Those that are kept and of the gateway that runs now, oldest first."""
        newest = self.newest()
        return [look for look in self._kept if look.status is not None and _gateway(look) == _gateway(newest)]

    async def next(self, *, wait_s: float) -> Look:
        """The next look, or after `wait_s` the newest there is."""
        coming = self._next
        try:
            async with asyncio.timeout(wait_s):
                await coming.wait()
        except TimeoutError:
            pass
        return self.newest()


def _gateway(look: Look) -> object:
    """A gateway that was started anew counts from 0."""
    return None if look.status is None else look.status["gateway"].get("pid")
