"""Work on files that must not hold up the event loop, and must not be met half done by what comes next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

STUCK_S_MAX = 5.0
"""How long a cancelled caller waits for a thread: an fsync takes tenths on a slow disk, for ever on a dead one."""


async def in_thread(work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """Run it in a thread, to its end: nobody can stop a thread, so a cancelled caller waits for it (STUCK_S_MAX)."""
    task = asyncio.create_task(asyncio.to_thread(work, *arguments, **named))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task}, timeout=STUCK_S_MAX)
        if task.done() and not task.cancelled():
            task.exception()  # seen: the caller is gone
        raise
