"""How much processor time processes have used, and how many cores there are: what /proc says. Decides nothing."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

import psutil

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def processor_s_of_groups(groups: Collection[int]) -> dict[int, float]:
    """Seconds that the living processes of each group have used since their starts. One pass over all processes."""
    found: dict[int, float] = {}
    for pid in psutil.pids():
        try:
            group = os.getpgid(pid)
            if group not in groups:
                continue
            # The name is in brackets and may hold anything; behind the last one the columns are fixed.
            columns = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            continue  # gone meanwhile
        found[group] = found.get(group, 0.0) + (int(columns[11]) + int(columns[12])) / TICKS_PER_S
    return found


def cores_count() -> int:
    """Cores that we, and so those that we start, may run on."""
    return len(os.sched_getaffinity(0))
