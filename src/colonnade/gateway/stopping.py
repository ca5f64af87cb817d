"""The end of a HAProxy process: no new connections, what is in flight may finish, then none is left."""

from __future__ import annotations

import contextlib
import signal

from colonnade.core.clock import Clock
from colonnade.core.errors import DriverError
from colonnade.gateway.process import Running
from colonnade.gateway.runtime_api import RuntimeApi
from colonnade.gateway.state import ObservedGateway

LOOK_EVERY_S = 0.05


async def stop_gracefully(
    running: Running, api: RuntimeApi, clock: Clock, grace_period_s: float, *, closes_first: str
) -> bool:
    """SIGUSR1, then wait until nothing is in flight: True when that was so in time. Connections that merely idle are
    not waited for, as HAProxy itself would. The caller kills what is left.

    `closes_first` names the frontend that stops taking connections before all others do: what came in through it may
    need the others to be finished. Empty: all stop at once."""
    deadline = clock.monotonic() + grace_period_s
    if closes_first:
        with contextlib.suppress(DriverError):  # one that is dead or dying has nothing to finish
            await api.command([f"disable frontend {closes_first}"])
            while clock.monotonic() < deadline and not running.process.has_exited() and not await _is_idle(api):
                await clock.sleep(LOOK_EVERY_S)
    for process in (running.process, *running.predecessors):
        process.send(signal.SIGUSR1)
    while clock.monotonic() < deadline:
        if all(process.has_exited() for process in (running.process, *running.predecessors)):
            return True
        if running.process.has_exited() or (not running.predecessors and await _is_idle(api)):
            return not running.predecessors
        await clock.sleep(LOOK_EVERY_S)
    return False


async def _is_idle(api: RuntimeApi) -> bool:
    try:
        observed = await api.observe(with_empty=True)
    except DriverError:
        return False
    return in_flight(observed) == 0


def in_flight(observed: ObservedGateway) -> int:
    """Requests or connections being served or waiting for a server."""
    return sum(server.sessions for server in observed.servers.values()) + sum(
        backend.queued for backend in observed.backends.values()
    )
