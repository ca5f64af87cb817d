"""How many cores there are for us."""

from __future__ import annotations

import os
from pathlib import Path

from colonnade.core.memory import CGROUP


def cores_count() -> int:
    """Cores that we, and so those that we start, may run on."""
    return len(os.sched_getaffinity(0))


def cores_allowed(cgroup: Path = CGROUP) -> int:
    """As many of them as we may keep busy all the time: a container may be bounded to less. At least one; of one and a
    half it is one."""
    try:
        quota_us, period_us = (cgroup / "cpu.max").read_text().split()
        return min(cores_count(), max(1, int(quota_us) // int(period_us)))
    except (OSError, ValueError):  # no control groups of version 2, or no bound: `max`
        return cores_count()
