"""Proving a node dead: every process of PostgreSQL's that works in its directory, whatever group or session it is in.

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
from colonnade.core.proc import read_stat
from colonnade.core.processes import KILL_WAIT_S, SYSTEM_MARK, name_of, relatives_of_ours, start_ticks_of, variable_of
from colonnade.database.foreign import create_foreign

SCAN_S = 0.002
"""Between two looks for survivors: the kernel needs about a millisecond to end a process."""

STANDBY_SIGNAL = "standby.signal"


PROGRAMS = frozenset(
    {"postgres", "initdb", "pg_basebackup", "pg_receivewal", "pg_rewind", "pg_resetwal", "pg_checksums", "pg_ctl"}
)
"""PostgreSQL's programs that change a data directory. A backend is one of these and nothing else tells it: it has
overwritten its environment with its title."""


Inode = tuple[int, int]
"""Device and number."""


def processes_in(directories: Iterable[Path], inodes: Iterable[Inode] = ()) -> list[int]:
    """Live processes of ours that work in one of `directories`: PostgreSQL's programs, and what carries a system's mark
    (a command that a server runs). An administrator's shell that stands there is none of them.

    Compared by inode, so a rename hides nobody; `inodes` are further ones. A directory may be gone: who works in it
    still tells its name."""
    wanted = set(inodes)
    gone: set[str] = set()
    for directory in directories:
        gone.add(f"{os.path.realpath(directory)} (deleted)")
        with contextlib.suppress(FileNotFoundError):
            wanted.add(_inode(directory))
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                works_here = _inode(f"/proc/{name}/cwd") in wanted or os.readlink(f"/proc/{name}/cwd") in gone
            except OSError:
                continue  # gone, a zombie, or another user's: then it is not a server of ours
            if works_here and is_ours(int(name)) and start_ticks_of(int(name)) is not None:
                found.append(int(name))
    return found


def is_ours(pid: int) -> bool:
    """Whether a process that works in a data directory is a server's or a tool's, and may be ended."""
    if pid == os.getpid():
        return False
    with contextlib.suppress(OSError):
        # A program that was replaced meanwhile has ` (deleted)` behind its name.
        if os.path.basename(os.readlink(f"/proc/{pid}/exe")).split(" ")[0] in PROGRAMS:
            return True
    if variable_of(pid, SYSTEM_MARK) is not None:
        return pid not in relatives_of_ours()
    return name_of(pid) in PROGRAMS


def _inode(path: Path | str) -> Inode:
    status = os.stat(path)
    return status.st_dev, status.st_ino


async def end_processes(directories: Iterable[Path], running: int | None = None) -> int:
    """SIGKILL everything of ours that works in `directories`, until nothing does; returns how many it were.
    `running` is the pid of a server that is known to run: its directory may have been moved, or removed, since.

    Raises HostError when the kernel does not let go within KILL_WAIT_S."""
    places = tuple(directories)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + KILL_WAIT_S
    ended: dict[int, int] = {}
    moved: set[Inode] = set()
    if running is not None:
        with contextlib.suppress(OSError):
            moved.add(_inode(f"/proc/{running}/cwd"))
    # A dying process leaves its directory a moment before it has let go of everything else.
    while pids := processes_in(places, moved) or [pid for pid, ticks in ended.items() if start_ticks_of(pid) == ticks]:
        for pid in pids:
            if pid not in ended and _parent_of(pid) not in pids:
                _send(pid, signal.SIGSTOP)
        # Whoever was forked between the look and the freeze is found by the next look.
        for pid in pids if ended else processes_in(places, moved):
            if (ticks := start_ticks_of(pid)) is not None:
                ended[pid] = ticks
                _send(pid, signal.SIGKILL)
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
        return int(read_stat(pid)[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0
