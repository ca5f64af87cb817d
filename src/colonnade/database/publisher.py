"""Leading the endpoints to nodes, beside everything else.

A gateway that does not answer must not hold up a failover, so nobody waits for it here: what is decided next sees
where the endpoints lead *by now*. The latest wish wins; one that was overtaken before it began is left out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from colonnade.core.clock import Clock
from colonnade.core.errors import DriverError, DriverUnavailable, HostError
from colonnade.core.events import EventLog
from colonnade.database.driver import Endpoints
from colonnade.database.state import Routes, Routing

RETRY_S = 0.25
"""After the gateway did not answer or refused."""


class Publisher:
    """One wish at a time. `published` is what the endpoints were last known to lead to; None: not known."""

    def __init__(self, endpoints: Endpoints, events: EventLog, clock: Clock, done: Callable[[Routing], None]) -> None:
        self.published: Routing | None = None
        self._endpoints = endpoints
        self._events = events
        self._clock = clock
        self._done = done
        self._wanted: Routing | None = None
        self._task: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        """The latest one, and those that it waits for."""
        self._retry_at_s = 0.0
        self._told = ""

    def open(self) -> None:
        """Endpoints that lead nowhere yet are known to."""
        if self._endpoints.lead_nowhere():
            self.published = Routing(None, ())

    def begin(self, routing: Routing, routes: Routes) -> bool:
        """Have the endpoints lead there; False when that is under way already, or was refused a moment ago."""
        is_pending = self._task is not None and not self._task.done()
        if (is_pending and routing == self._wanted) or self._clock.monotonic() < self._retry_at_s:
            return False
        self._wanted = routing
        if routing.primary is not None:
            # Until it is done, writers may reach that node or not: nothing rests on the endpoint being closed.
            self.published = None
        self._task = asyncio.create_task(self._publish(routing, routes, self._task), name="database-endpoints")
        self._tasks.add(self._task)
        self._task.add_done_callback(self._tasks.discard)
        return True

    async def settle(self, timeout_s: float = 0.0) -> None:
        """Give what was begun the time to be done; by default only as long as it does not have to wait."""
        if self._task is not None and not self._task.done():
            await asyncio.wait({self._task}, timeout=timeout_s)

    async def close(self) -> None:
        """Let go of what is under way."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks))

    async def _publish(self, routing: Routing, routes: Routes, previous: asyncio.Task[None] | None) -> None:
        if previous is not None:
            await asyncio.wait({previous})
        if self._wanted != routing:
            return
        try:
            await self._endpoints.publish(routes)
        except (DriverUnavailable, DriverError, HostError) as error:
            self._retry_at_s = self._clock.monotonic() + RETRY_S
            if str(error) != self._told:
                self._events.emit(
                    "endpoints_unavailable", "database", reason="gateway_does_not_answer", message=str(error)
                )
            self._told = str(error)
            return
        self._told = ""
        self.published = routing
        self._done(routing)
