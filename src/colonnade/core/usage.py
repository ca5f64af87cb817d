"""What a process and its children take of the machine, and what the machine has left: processor and memory.

Read from /proc, a few files per process. Nothing is judged here.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import psutil

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

DESCENDANTS_MAX = 200
"""Of one replica: an application that starts more is no longer looked at closely."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Of a process and all below it. `cpu_s` counts from their starts, `own_bytes` are pages shared with nobody's file:
    what another process of the same kind would take anew."""

    cpu_s: float
    own_bytes: int


def usage_of(pid: int) -> Usage | None:
    """None when the process is gone."""
    if (own := _read(pid)) is None:
        return None
    cpu_s, own_bytes = own
    waiting, seen = _children(pid), {pid}
    while waiting and len(seen) < DESCENDANTS_MAX:
        child = waiting.pop()
        if child not in seen and (found := _read(child)) is not None:
            cpu_s, own_bytes = cpu_s + found[0], own_bytes + found[1]
            waiting += _children(child)
        seen.add(child)
    return Usage(cpu_s, own_bytes)


def available_memory_bytes() -> tuple[int, int]:
    """(total, what can be had without swapping), of the machine."""
    memory = psutil.virtual_memory()
    return memory.total, memory.available


def cores() -> int:
    """Cores that this process, and so those it starts, may run on."""
    return len(os.sched_getaffinity(0))


def _read(pid: int) -> tuple[float, int] | None:
    place = Path(f"/proc/{pid}")
    try:
        # The name is in brackets and may hold anything: what follows the last one has fixed columns.
        stat = (place / "stat").read_text().rpartition(")")[2].split()
        statm = (place / "statm").read_text().split()
    except OSError:
        return None
    return (int(stat[11]) + int(stat[12])) / TICKS_PER_S, (int(statm[1]) - int(statm[2])) * PAGE_BYTES


def _children(pid: int) -> list[int]:
    """Children of every thread: a thread's children are its process's, but are listed with it."""
    found: list[int] = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [int(word) for word in (task / "children").read_text().split()]
    except OSError:
        return found  # gone meanwhile
    return found
