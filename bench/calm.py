"""False alarms, counted: all cores busy, and a controller that stands still at times; nothing fails."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from blog import Blog
from open_writes import OpenWrites

DURATION_S = 600
PAUSE_S = 5.0
PAUSE_EVERY_S = 30.0
SUSPECT = ("failover_finished", "node_promoted", "node_fenced", "rewind_started", "clone_started")
"""Events that should not come: nothing has failed."""


def measure(repetitions: int) -> dict[str, Any]:
    """`repetitions` are seconds; default ten minutes."""
    duration_s = float(repetitions or DURATION_S)
    with Blog() as blog:
        blog.up()
        known = len(blog.events())
        writes = OpenWrites(blog.dsn())
        pauses = 0

        async def play() -> None:
            nonlocal pauses
            end_s = time.monotonic() + duration_s
            while time.monotonic() + PAUSE_EVERY_S <= end_s:
                await asyncio.sleep(PAUSE_EVERY_S - PAUSE_S)
                controller = await asyncio.to_thread(lambda: blog.status()["controller_pid"])
                os.kill(controller, signal.SIGSTOP)
                try:
                    await asyncio.sleep(PAUSE_S)
                finally:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(controller, signal.SIGCONT)
                pauses += 1

        with all_cores_busy():
            lost = asyncio.run(writes.during(play))
        kinds = [event["kind"] for event in blog.events()[known:]]
        return {
            "seconds": duration_s,
            "pauses_of_the_controller": pauses,
            "false_alarms": {kind: kinds.count(kind) for kind in SUSPECT},
            "acknowledged": len(writes.acknowledged_at_s),
            "lost": lost,
            "longest_gap_s": round(writes.gap_s(min(writes.acknowledged_at_s.values())), 2),
        }


@contextmanager
def all_cores_busy() -> Iterator[None]:
    burning = [multiprocessing.Process(target=_burn, daemon=True) for _ in os.sched_getaffinity(0)]
    for process in burning:
        process.start()
    try:
        yield
    finally:
        for process in burning:
            process.kill()
            process.join()


def _burn() -> None:
    while True:
        pass
