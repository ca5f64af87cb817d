"""A child process that takes something from the machine: time on a core, or memory. It ends when its input does, so a
drill that dies takes its burdens along.

The child is this file itself: `python -m colonnade.drill.faults.burden busy CORE | memory BYTES`.
Read next: `starve`, `memory_pressure`.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import resource
import select
import sys
from pathlib import Path

from colonnade.core.errors import Bug

READY = b"ready\n"
READY_S_MAX = 30.0
"""Until it has what it takes: an interpreter's start, and touching a gigabyte on a busy machine."""
LOOK_EVERY = 200_000
"""Rounds of a busy loop between two looks whether to end: some milliseconds."""


class Burden:
    """The parent's end of one child."""

    def __init__(self, what: str, amount: int) -> None:
        self._arguments = (what, str(amount))
        self._child: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None else None

    async def put(self) -> None:
        """Returns when it weighs. Raises Bug when the child ends before."""
        self._child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "colonnade.drill.faults.burden", *self._arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the drill, which takes the burden away
        )
        if self._child.stdout is None:
            raise Bug("the pipe from a burden is missing")
        async with asyncio.timeout(READY_S_MAX):
            if await self._child.stdout.readline() != READY:
                raise Bug(f"the burden {' '.join(self._arguments)} ended")

    async def take_away(self) -> None:
        """Nothing happens the second time."""
        child, self._child = self._child, None
        if child is not None and child.returncode is None:
            child.kill()
            await child.wait()


def _be_busy(core: int) -> None:
    os.sched_setaffinity(0, {core})
    _say_ready()
    while not select.select([sys.stdin], [], [], 0)[0]:
        for _ in range(LOOK_EVERY):
            pass


def _hold(bytes_count: int) -> None:
    # Whoever looks for memory takes ours first: a drill must not make the kernel choose the user's own programs.
    Path("/proc/self/oom_score_adj").write_text("1000")
    with mmap.mmap(-1, bytes_count) as held:
        for offset in range(0, bytes_count, resource.getpagesize()):
            held[offset] = 1
        _say_ready()
        sys.stdin.read()


def _say_ready() -> None:
    sys.stdout.buffer.write(READY)
    sys.stdout.flush()


def main() -> None:
    """Entry point of the child."""
    what, amount = sys.argv[1], int(sys.argv[2])
    if what == "busy":
        _be_busy(amount)
    else:
        _hold(amount)


if __name__ == "__main__":
    main()
