"""Puts back what a fault has changed, and does not give up because the API server is away for a moment."""

from __future__ import annotations

from colonnade.core.clock import Clock
from colonnade.core.errors import DriverUnavailable, HostError
from colonnade.drill.cluster.api import ClusterApi, ask
from colonnade.drill.cluster.marks import Change, put_back

PATIENCE_S = 100.0
"""Below the time that healing may take: an API server that is replaced is back within half a minute."""

RETRY_S = 2.0


async def restore(api: ClusterApi, clock: Clock, change: Change) -> str:
    """As `marks.put_back`. Raises DriverError for what is refused, DriverUnavailable when nobody answered, and
    HostError when there was no way to log in: a program that fetches a token needs somebody who answers, too."""
    deadline = clock.monotonic() + PATIENCE_S
    while True:
        try:
            return await ask(put_back, api, change)
        except (DriverUnavailable, HostError):
            if clock.monotonic() >= deadline:
                raise
            await clock.sleep(RETRY_S)
