"""Disk full: a file takes what is left on the instance's disk, but for some bytes, until healed.

Only on a small disk that the drill made for itself: the disk of somebody's machine is never filled.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from colonnade.drill.faults.fault import NotPossible, Surroundings
from colonnade.drill.faults.settings import numbers
from colonnade.drill.faults.small_disk import is_small_disk
from colonnade.drill.scenario import PlannedFault

FILLER = "drill-filler"
PIECE_BYTES = 1024 * 1024


class DiskFull:
    """`left_bytes`: how much stays free."""

    def __init__(self, planned: PlannedFault, around: Surroundings) -> None:
        self._left_bytes = int(numbers(planned, left_bytes=0)["left_bytes"])
        root = around.instance.paths.root
        if not is_small_disk(root):
            raise NotPossible(
                "no_small_disk", "the instance lies on a disk of this machine, which is not filled for a drill"
            )
        self._file = root / FILLER
        self.subjects = ("system",)
        self.message = "filled the instance's disk"

    async def inject(self) -> None:
        size = await asyncio.to_thread(_fill, self._file, self._left_bytes)
        self.message = f"filled the instance's disk with {size / 1e6:.0f} MB; {self._left_bytes / 1e6:.0f} MB are left"

    async def heal(self) -> None:
        self._file.unlink(missing_ok=True)


def _fill(file: Path, left_bytes: int) -> int:
    """Returns the size of the file. Whoever frees room meanwhile does not get it filled again."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    size = 0
    try:
        while (room := _room_bytes(descriptor) - left_bytes) > 0:
            piece = min(PIECE_BYTES, room)
            try:
                os.posix_fallocate(descriptor, size, piece)
            except OSError:
                break  # somebody else took it: it is full
            size += piece
    finally:
        os.close(descriptor)
    return size


def _room_bytes(descriptor: int) -> int:
    about = os.fstatvfs(descriptor)
    return about.f_bavail * about.f_frsize
