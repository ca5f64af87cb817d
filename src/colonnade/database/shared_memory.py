"""Removing the shared memory of a server that was killed: it could not do so itself.

PostgreSQL leaves a small System V segment, named in postmaster.pid, whose header names a control segment in /dev/shm,
which lists all others. The server itself follows this chain when it starts again in the same directory; we follow it
when it will not. Layouts: PGShmemHeader (storage/pg_shmem.h) and dsm_control_header (storage/ipc/dsm.c), 64 bit,
unchanged from PostgreSQL 16 to 18. A magic number that does not fit ends the attempt: better a few kilobytes left
than somebody else's memory removed.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import struct
from dataclasses import dataclass
from pathlib import Path

from colonnade.database.foreign import owner_of, read_foreign

HEADER_MAGIC = 679834894
CONTROL_MAGIC = 0x9A503D32
IPC_RMID = 0
SHM_RDONLY = 0o10000

_HEADER = struct.Struct("=iiQQI")
"""magic, creator's pid, total size, free offset, handle of the control segment."""
_CONTROL = struct.Struct("=III")
"""magic, items in use, items at most; items begin at 16."""
_ITEM = struct.Struct("=II32x")
"""handle, reference count (0: unused), and what we do not need."""
_FAILED = ctypes.c_void_p(-1).value


@dataclass(frozen=True, slots=True)
class Segment:
    """A server's System V segment: who made it, and its id."""

    creator_pid: int
    segment_id: int


def segment_of(data_directory: Path) -> Segment | None:
    """What postmaster.pid names; None when the server stopped by itself, or never got so far."""
    try:
        lines = read_foreign(data_directory / "postmaster.pid", owner_of(data_directory)).splitlines()
        return Segment(int(lines[0]), int(lines[6].split()[1]))
    except (OSError, ValueError, IndexError):
        return None


def remove_shared_memory(segment: Segment | None) -> None:
    """Remove what a killed server left. Call only when no process of it is alive. Never raises: what cannot be
    removed is a leak of kilobytes, not a reason to stop a failover."""
    if segment is None:
        return
    creator_pid, segment_id = segment.creator_pid, segment.segment_id
    libc = ctypes.CDLL(None, use_errno=True)
    libc.shmat.restype = ctypes.c_void_p
    libc.shmat.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_int)
    libc.shmdt.argtypes = (ctypes.c_void_p,)
    address = libc.shmat(segment_id, None, SHM_RDONLY)
    if address in (None, _FAILED):
        return
    try:
        magic, pid, _, _, handle = _HEADER.unpack(ctypes.string_at(address, _HEADER.size))
    finally:
        libc.shmdt(address)
    if (magic, pid) != (HEADER_MAGIC, creator_pid):
        return
    for name in segment_names(handle):
        with contextlib.suppress(OSError):
            os.unlink(f"/dev/shm/{name}")  # noqa: S108 - where PostgreSQL keeps POSIX shared memory
    libc.shmctl(segment_id, IPC_RMID, None)


def segment_names(control_handle: int) -> list[str]:
    """Files in /dev/shm that the control segment lists, itself last; empty when there is none or it does not fit."""
    control = f"PostgreSQL.{control_handle}"
    try:
        with open(f"/dev/shm/{control}", "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:  # noqa: S108
            magic, count, count_max = _CONTROL.unpack_from(view, 0)
            if magic != CONTROL_MAGIC or count > count_max or 16 + count * _ITEM.size > len(view):
                return []
            items = [_ITEM.unpack_from(view, 16 + index * _ITEM.size) for index in range(count)]
    except (OSError, ValueError):
        return []
    # An odd handle lives inside the main segment, not in a file (dsm.c, is_main_region_dsm_handle).
    return [f"PostgreSQL.{handle}" for handle, references in items if references and not handle & 1] + [control]
