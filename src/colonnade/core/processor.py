"""How many cores there are for us."""

from __future__ import annotations

import os


def cores_count() -> int:
    """Cores that we, and so those that we start, may run on."""
    return len(os.sched_getaffinity(0))
