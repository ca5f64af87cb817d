"""Whether a primary still writes: by its flush LSN as long as that advances, by a small write of our own when not.

A primary whose disk is stuck answers questions, and is useless. The write waits for the primary's own disk and for no
standby: waiting for those would blame a healthy primary for standbys that are away. Nothing here decides.
"""

from __future__ import annotations

import asyncio
from typing import LiteralString

import psycopg

from colonnade.database.session import Rows, Session

WRITE_S_MAX = 1.0
"""A flush takes milliseconds, on a disk with a long queue tenths of a second."""

PROBE_S = 1.0
"""Between two probes while somebody writes. At rest there are none: a segment a minute would go to the archive."""

GAP_S = 3.0
"""Looks that are further apart than this prove nothing about what happened between them: the server, the machine or we
stood still, and the time of a pending write begins anew."""

READ_ROUNDS = 16
"""Rounds of the event loop in which an answer that waits in the socket is read: five are needed for a long one."""

WRITE: LiteralString = "SELECT pg_logical_emit_message(true, 'colonnade', '')"
"""A record in a transaction, which gets a number for it: so its commit is flushed, and nothing but WAL is left."""


class WriteProbe:
    """Of one run of one server. `judge` is called at every look at it while it is primary."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._pending: asyncio.Task[Rows] | None = None
        self._connecting: asyncio.Task[Rows] | None = None
        self._flush_lsn: int | None = None
        self._judged_s = float("-inf")
        self._still_since_s = float("-inf")
        self._asked_s = float("-inf")
        self._is_own_advance = False
        """Our own probe explains the next advance."""
        self._do_others_write = False
        """Since the last probe."""
        self._is_writing: bool | None = None

    async def judge(self, flush_lsn: int, *, is_awaited: bool) -> bool | None:
        """What `ObservedNode.is_writing` says, of a primary that answered and has flushed up to `flush_lsn` (bytes).
        `is_awaited`: somebody has written more than that.

        Never waits for the server. False only for a write that was sent WRITE_S_MAX ago or longer."""
        now_s = asyncio.get_running_loop().time()
        await self._collect(now_s)
        if now_s - self._judged_s > GAP_S:
            self._still_since_s = now_s
        self._judged_s = now_s
        if has_advanced := self._flush_lsn is not None and flush_lsn > self._flush_lsn:
            self._still_since_s = now_s
            self._do_others_write |= not self._is_own_advance
            self._is_own_advance = False
            self._is_writing = True
        self._flush_lsn = flush_lsn
        if self._pending is not None:
            if now_s - max(self._asked_s, self._still_since_s) > WRITE_S_MAX:
                self._is_writing = False
        elif not has_advanced and (is_awaited or self._do_others_write):
            self._ask(now_s)
        return self._is_writing

    async def close(self) -> None:
        self._pending = self._connecting = None
        await self._session.close()

    async def _collect(self, now_s: float) -> None:
        if self._pending is None:
            return
        if now_s - self._asked_s > WRITE_S_MAX:
            # We may have stood still ourselves since we asked, and the answer waits to be read.
            for _ in range(READ_ROUNDS):
                if self._pending.done():
                    break
                await asyncio.sleep(0)
        if not self._pending.done():
            return
        task, self._pending = self._pending, None
        try:
            task.result()
        except (psycopg.Error, OSError):
            self._is_writing = None  # it was not told: the look says whether the server answers
        else:
            self._is_writing = True
            self._is_own_advance = True

    def _ask(self, now_s: float) -> None:
        if now_s - self._asked_s < PROBE_S:
            return
        # Connecting is not writing: the time runs from the question on an open connection.
        if self._session.backend_pid is None:
            if self._connecting is None or self._connecting.done():
                self._connecting = self._session.begin("SELECT 1")
            return
        self._asked_s = now_s
        self._do_others_write = False
        self._pending = self._session.begin(WRITE)
