"""Reading what /proc has about a process, and in which units. What it means is for those who ask."""

from __future__ import annotations

import os

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
"""Of the times in `stat`."""

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
"""Of the sizes in `stat` and `statm`."""

BYTES_MAX = 4096
"""`stat` and `statm` have a few hundred."""


def read_proc(pid: int, name: str) -> bytes:
    """A short file of one process, in three system calls: `open` makes eight, and of these files dozens are read every
    other second. Raises OSError (FileNotFoundError, ProcessLookupError) when the process is gone."""
    descriptor = os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, BYTES_MAX)
    finally:
        os.close(descriptor)


def read_stat(pid: int) -> list[bytes]:
    """The columns of /proc/PID/stat from the third on, which is the state: `proc(5)` counts from 1, so its column n is
    at n - 3 here. Bytes: a process names itself in the second one. Raises as `read_proc` does."""
    # The name is in brackets and may hold anything, cut within a character if need be; behind the last bracket the
    # columns are fixed.
    return read_proc(pid, "stat").rpartition(b")")[2].split()
