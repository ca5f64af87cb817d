"""Asking one replica again and again, and noting what it answers: until it is ready, or while its checks fail.

Nothing here decides. What one question is: `probe.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from colonnade.core.clock import Clock
from colonnade.runtime.held import HeldReplica
from colonnade.runtime.probe import probe

Question = Callable[[HeldReplica, str, Clock, Callable[[], None]], Coroutine[Any, Any, None]]
"""Of a replica, at a path; the last one is called when something was noted."""

START_INTERVAL_S = 0.03
"""While a replica starts: fine enough not to add to its start, and each attempt is one refused connection."""

DOUBT_INTERVAL_S = 0.25
"""While its checks fail: about as often as the gateway asks."""


async def ask_until_ready(record: HeldReplica, path: str, clock: Clock, wake: Callable[[], None]) -> None:
    port = record.observed.port
    while port is not None:
        result = await probe(port, path)
        record.observed = replace(record.observed, is_probe_ok=result.is_ok, probe_message=result.message)
        if result.is_ok:
            wake()
            return
        await clock.sleep(START_INTERVAL_S)


async def ask_while_unhealthy(record: HeldReplica, path: str, clock: Clock, wake: Callable[[], None]) -> None:
    """Directly, so that what is between it and the gateway does not matter."""
    port = record.observed.port
    while port is not None and record.observed.unhealthy_since_s is not None:
        result = await probe(port, path)
        if record.observed.unhealthy_since_s is not None:
            record.observed = replace(record.observed, answers=result.is_ok)
            wake()
        await clock.sleep(DOUBT_INTERVAL_S)
