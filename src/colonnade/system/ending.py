"""Asking a running system to end, and following it until nothing of it is left.

Never kills: that is `force.py`. What the controller does when it is asked is in `teardown.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from colonnade.core.clock import Clock, SystemClock
from colonnade.core.errors import DriverUnavailable, HostError
from colonnade.core.processes import marked_processes
from colonnade.system.client import ControlClient, NotRunning
from colonnade.system.paths import StatePaths
from colonnade.system.phase import Phase

POLL_S = 0.02
DOWN_TIMEOUT_S = 90.0
"""Longer than any grace period we give by default: replicas 2 × 10 s, PostgreSQL's last checkpoint."""

CONTROLLER_WAIT_S = 8.0
"""Longer than the keeper's longest pause between two controllers, and the start of one on a busy machine."""


def stop(paths: StatePaths, on_event: Callable[[dict[str, Any]], None]) -> None:
    """Ask a running system to end and wait until nothing of it is left. Raises NotRunning when there is none."""
    with ControlClient(paths) as client:
        seen, keeper_pid = _ask_to_end(client, paths, SystemClock())
        _follow_the_end(client, paths, seen, keeper_pid, on_event)


def wait_until_down(paths: StatePaths) -> None:
    """Wait for the end that somebody else has asked for; returns at once when nothing runs."""
    with ControlClient(paths) as client, suppress(NotRunning):
        seen = max((event["seq"] for event in client.events()), default=0)
        _follow_the_end(client, paths, seen, client.status()["keeper_pid"], lambda _: None)


def _follow_the_end(
    client: ControlClient, paths: StatePaths, seen: int, keeper_pid: int, on_event: Callable[[dict[str, Any]], None]
) -> None:
    """Until nothing is left of the system of this keeper. Raises HostError when that takes too long."""
    clock = SystemClock()
    deadline = clock.monotonic() + DOWN_TIMEOUT_S
    while clock.monotonic() < deadline:
        try:
            for event in client.events(after_seq=seen, wait_s=1):
                seen = event["seq"]
                on_event(event)
            status = client.status()
            if status["keeper_pid"] != keeper_pid and status["phase"] != Phase.STOPPING.value:
                return  # ours is down, and somebody has started the next one
        except (NotRunning, DriverUnavailable):
            if not marked_processes(paths.mark):
                return
            time.sleep(POLL_S)
    raise HostError(
        f"is not down after {DOWN_TIMEOUT_S:.0f} s", subject=str(paths.root), hint="run `colonnade down --force`"
    )


def _ask_to_end(client: ControlClient, paths: StatePaths, clock: Clock) -> tuple[int, int]:
    """Returns the number of the newest event, and the keeper's pid. A controller that starts, or is being replaced,
    gets time to answer.

    Raises NotRunning when nothing of the system runs, HostError when something does and nobody answers for it.
    """
    deadline = clock.monotonic() + CONTROLLER_WAIT_S
    while True:
        try:
            seen = max((event["seq"] for event in client.events()), default=0)
            keeper_pid = client.status()["keeper_pid"]
            client.down()
            return seen, keeper_pid
        except (NotRunning, DriverUnavailable):
            left = marked_processes(paths.mark)
            if not left:
                raise
            if clock.monotonic() > deadline or not any(map(_may_bring_an_answer, left)):
                raise HostError(
                    f"no controller answers, but {len(left)} processes of the system run",
                    subject=str(paths.root),
                    hint="`colonnade up` takes them over; `colonnade down --force` kills them",
                ) from None
            time.sleep(POLL_S)


def _may_bring_an_answer(pid: int) -> bool:
    """True for a keeper, which starts controllers, and for a controller."""
    try:
        return b"colonnade.system." in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return True  # gone meanwhile: the next look tells
