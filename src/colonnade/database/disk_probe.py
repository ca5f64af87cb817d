"""Whether the disk below a data directory takes a file of ours: it tells a stuck disk from a stuck server.

A thread of its own, for a write to a stuck disk can be ended by nobody; it is no thread of the event loop's, whose end
would wait for it. Nothing here decides.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from pathlib import Path

from colonnade.database.foreign import create_foreign

DISK_S_MAX = 1.0
"""An fsync of a small file takes milliseconds, on a disk with a long queue tenths of a second."""

FILE = ".colonnade.disk"


class DiskProbe:
    """Of one directory; at most one write is under way, however long it hangs."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE
        self._thread: threading.Thread | None = None
        self._asked_s = 0.0
        self._answer: bool | None = None

    def ask(self) -> bool | None:
        """What the last write said, and begin another one; None while the first one has not waited DISK_S_MAX.

        Never waits."""
        clock = asyncio.get_running_loop().time
        now_s = clock()
        if self._thread is None or not self._thread.is_alive():
            answer, self._answer = self._answer, None
            self._asked_s = now_s
            self._thread = threading.Thread(target=self._write, args=(clock,), name="database-disk-probe", daemon=True)
            self._thread.start()
            return answer
        return False if now_s - self._asked_s > DISK_S_MAX else None

    def _write(self, clock: Callable[[], float]) -> None:
        began_s = clock()
        try:
            with contextlib.suppress(FileNotFoundError):
                self._path.unlink()  # of an earlier controller
            descriptor = create_foreign(self._path)
            try:
                os.write(descriptor, b"1")
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
                self._path.unlink(missing_ok=True)
        except OSError:
            self._answer = False
        else:
            self._answer = clock() - began_s <= DISK_S_MAX
