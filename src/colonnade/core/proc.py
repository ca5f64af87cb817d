"""Reading a file of a process below /proc. What it means is for those who ask."""

from __future__ import annotations

import os

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
