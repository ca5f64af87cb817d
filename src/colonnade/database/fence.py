"""Proving a node dead: every process that works in its directory, whatever group or session it is in.

A server's children leave its session, and a child that is busy or stopped outlives it; started again beside such a
child, the server refuses, or worse. What they all have is their working directory. The parent is frozen first, so it
forks nobody while its children are counted. A zombie runs nothing and is dead.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import stat
from collections.abc import Iterable
from pathlib import Path

from colonnade.core.errors import HostError
from colonnade.core.files import sync_directory
from colonnade.core.processes import KILL_WAIT_S, start_ticks_of
from colonnade.database.foreign import create_foreign

SCAN_S = 0.002
"""Between two looks for survivors: the kernel needs about a millisecond to end a process."""

STANDBY_SIGNAL = "standby.signal"


def processes_in(directories: Iterable[Path]) -> list[int]:
    """Live processes whose working directory is one of `directories` (compared by inode: a rename hides nobody)."""
    wanted: set[tuple[int, int]] = set()
    for directory in directories:
        with contextlib.suppress(FileNotFoundError):
            status = directory.stat()
            wanted.add((status.st_dev, status.st_ino))
    found = []
    for name in os.listdir("/proc") if wanted else ():
        if name.isdigit():
            try:
                status = os.stat(f"/proc/{name}/cwd")
            except OSError:
                continue  # gone, a zombie, or another user's: then it is not a server of ours
            if (status.st_dev, status.st_ino) in wanted and start_ticks_of(int(name)) is not None:
                found.append(int(name))
    return found


async def end_processes(directories: Iterable[Path]) -> int:
    """SIGKILL everything that works in `directories`, until nothing does; returns how many it were.

    Raises HostError when the kernel does not let go within KILL_WAIT_S."""
    places = tuple(directories)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + KILL_WAIT_S
    ended: set[int] = set()
    while pids := processes_in(places):
        for pid in pids:
            if pid not in ended and _parent_of(pid) not in pids:
                _send(pid, signal.SIGSTOP)
        # Whoever was forked between the look and the freeze is found by the next look.
        for pid in pids if ended else processes_in(places):
            _send(pid, signal.SIGKILL)
            ended.add(pid)
        if loop.time() > deadline:
            raise HostError(
                f"processes {pids} do not die",
                subject=str(places[0]),
                hint=f"they wait for the disk or the kernel: look at `ps -o pid,stat,wchan:30,args -p {pids[0]}`",
            )
        await asyncio.sleep(SCAN_S)
    return len(ended)


def mark_as_standby(data_directory: Path) -> None:
    """Durably mark the directory, so that a server started there by hand is no primary."""
    if not data_directory.exists():
        return
    signal_file = data_directory / STANDBY_SIGNAL
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISREG(signal_file.lstat().st_mode):
            return
        signal_file.unlink()  # a link that somebody put there: to the server it may mean that there is no mark
    descriptor = create_foreign(signal_file)
    try:
        about = data_directory.stat()
        if about.st_uid != os.getuid():
            os.fchown(descriptor, about.st_uid, about.st_gid)
    finally:
        os.close(descriptor)
    sync_directory(data_directory)


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _parent_of(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(text[text.rindex(")") + 2 :].split()[1])
