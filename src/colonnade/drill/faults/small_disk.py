"""A small disk for the instance of a drill, so that it can be filled without harm: a file system in memory over its
state directory, which only the drill's own processes see, and which is gone with the last of them.

Root is not needed where the kernel lets a user have mounts of their own. Read next: `disk_full`, which fills it.
"""

from __future__ import annotations

import os
from pathlib import Path

import psutil

from colonnade.core import mounts
from colonnade.drill.faults.fault import NotPossible

MEMORY_SHARE_MAX = 0.25
"""Of the free memory, as `memory_pressure` has it."""

DISK_BYTES = 768 * 1024 * 1024
"""Three nodes of PostgreSQL with their WAL take 400 MB after some minutes of load, the database's own ballast apart."""


def lay_small_disk(place: Path, bytes_max: int = DISK_BYTES) -> None:
    """Mount it over `place`, an empty directory, for this process and those that it starts from now on.

    To be called by the drill's process at its beginning, while it has one thread. Raises NotPossible.
    """
    free = psutil.virtual_memory().available
    if bytes_max > MEMORY_SHARE_MAX * free:
        raise NotPossible(
            "too_little_memory",
            f"a disk of {bytes_max / 1e6:.0f} MB in memory is more than a quarter of the {free / 1e6:.0f} MB free",
        )
    try:
        mounts.enter_own_mounts()
        mounts.mount_memory(str(place), f"size={bytes_max},mode=755")
    except OSError as error:
        raise NotPossible(
            "mount_not_allowed",
            f"a small disk cannot be mounted here ({error.strerror}): it takes root or user namespaces",
        ) from error


def is_small_disk(place: Path) -> bool:
    """Whether filling the disk of `place` fills nothing but a small disk of a drill's."""
    about = os.statvfs(place)
    return os.path.ismount(place) and about.f_blocks * about.f_frsize <= DISK_BYTES
