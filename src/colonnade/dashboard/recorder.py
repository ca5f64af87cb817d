"""Feeds the history: each look into memory, every few seconds a batch to the disk, in a thread.

What the disk does to it is told (`trouble`, `samples`) and stops nobody: not the page, not a scrape.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

from colonnade.core.clock import Clock
from colonnade.core.events import Event
from colonnade.dashboard.look import Look
from colonnade.observe.history.kept import KEPT_NAMES
from colonnade.observe.history.writer import HistoryWriter
from colonnade.observe.sample import Sample

COMMIT_EVERY_S = 5.0
"""What a crash loses at most. Each batch is one fsync, which the disk's other users can bear."""


class Recorder:
    """`take` each look; `run` beside it."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._writer = HistoryWriter(path, KEPT_NAMES)
        self._clock = clock
        self._is_urgent = asyncio.Event()
        self.path = path

    @property
    def trouble(self) -> str:
        """Why nothing is written, or what happened to the file, for people; empty when all is well."""
        return self._writer.trouble or self._writer.notice

    def take(self, look: Look) -> None:
        self._writer.add(look.sight)
        for event in look.events:
            self._writer.add_event(Event(**event))

    def tell(self, topic: str, value: object, *, is_urgent: bool = False) -> None:
        """With `is_urgent` it is not lost to a crash within the next seconds: the next batch is written now."""
        self._writer.tell(topic, self._clock.wall(), value)
        if is_urgent:
            self._is_urgent.set()

    def samples(self) -> Iterator[Sample]:
        with contextlib.suppress(OSError):
            yield Sample("colonnade_history_size_bytes", (), float(self.path.stat().st_size))
        yield Sample("colonnade_history_writable", (), float(not self._writer.trouble))
        yield Sample("colonnade_history_sights_lost_total", (), float(self._writer.sights_lost))

    async def _until_due(self) -> None:
        waits = [asyncio.ensure_future(each) for each in (self._clock.sleep(COMMIT_EVERY_S), self._is_urgent.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()
        self._is_urgent.clear()

    async def run(self) -> None:
        """Until cancelled; what waits then is written first."""
        try:
            while True:
                await self._until_due()
                batch = asyncio.ensure_future(asyncio.to_thread(self._writer.commit, self._clock.wall()))
                try:
                    await asyncio.shield(batch)
                finally:
                    await batch  # a thread cannot be cancelled, and two must never write at once
        finally:
            self._writer.commit(self._clock.wall())
            self._writer.close()
