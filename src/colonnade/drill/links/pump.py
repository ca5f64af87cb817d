"""Moves the bytes of one direction of one connection, at once or as the link's rule wants it.

Order is kept always. What waits is bounded: a pump that holds enough stops reading, and the sender feels it as it would
feel a slow network. Knows no rule by name but what it asks of it.
Read next: `connection`, which has two of these.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from colonnade.drill.links.rule import Direction, Lane, LinkRule

HELD_BYTES_MAX = 1024 * 1024
"""A delay of 0.1 s passes 10 MB/s with it, ten times what a system under a drill moves over one connection."""


class Pump:
    """From `source` to `sink`; both are set before anything is fed."""

    def __init__(
        self, direction: Direction, lane: Lane, rule: Callable[[], LinkRule], on_done: Callable[[], None]
    ) -> None:
        self._direction = direction
        self._lane = lane
        self._rule = rule
        """The one in force now."""
        self._on_done = on_done
        """Called once, when the sink has heard of the end."""
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._waiting_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._is_ended = False
        self.is_done = False
        self._is_sink_full = False
        self._is_reading = True
        self.source: asyncio.Transport | None = None
        self.sink: asyncio.Transport | None = None

    def feed(self, data: bytes) -> None:
        rule = self._rule()
        if not self._waiting and not rule.is_shaping and not rule.holds(self._direction) and self.sink is not None:
            if not self.sink.is_closing():
                self.sink.write(data)
            return
        now_s = self._loop.time()
        for piece in _pieces(data, self._lane.piece_bytes(rule)):
            # Never before what came before: jitter does not reorder a stream.
            earliest_s = self._waiting[-1][0] if self._waiting else 0.0
            self._waiting.append((max(earliest_s, self._lane.due_s(rule, len(piece), now_s)), piece))
        self._waiting_bytes += len(data)
        self.flow()

    def end(self) -> None:
        """Nothing more comes; the sink hears of it after the last byte."""
        self._is_ended = True
        self.flow()

    def set_sink_full(self, *, is_full: bool) -> None:
        self._is_sink_full = is_full
        self.flow()

    def flow(self) -> None:
        """Send what is due, and look again when the next is. Called whenever anything changed."""
        rule = self._rule()
        is_held = rule.holds(self._direction) or self.sink is None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not is_held:
            self._send_what_is_due()
        self._read_or_wait(is_wanted=not is_held and not self._is_sink_full and self._waiting_bytes < HELD_BYTES_MAX)

    def change(self) -> None:
        """The rule is another one: what waits goes by it, from now on."""
        rule, now_s = self._rule(), self._loop.time()
        latest_s = 0.0
        for index, (_, piece) in enumerate(self._waiting):
            latest_s = max(latest_s, self._lane.due_s(rule, len(piece), now_s))
            self._waiting[index] = (latest_s, piece)
        self.flow()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._waiting.clear()

    def _send_what_is_due(self) -> None:
        if self.sink is None or self.sink.is_closing():
            return
        now_s = self._loop.time()
        while self._waiting and not self._is_sink_full:
            due_s, data = self._waiting[0]
            if due_s > now_s:
                self._timer = self._loop.call_at(due_s, self.flow)
                return
            self._waiting.popleft()
            self._waiting_bytes -= len(data)
            self.sink.write(data)
        if self._is_ended and not self._waiting and not self.is_done:
            self.is_done = True
            with suppress(OSError):  # reset meanwhile: of one that has sent its own end, asyncio does not tell
                self.sink.write_eof()
            self._on_done()

    def _read_or_wait(self, *, is_wanted: bool) -> None:
        if self.source is None or self.source.is_closing() or self._is_ended or is_wanted is self._is_reading:
            return
        self._is_reading = is_wanted
        if is_wanted:
            self.source.resume_reading()
        else:
            self.source.pause_reading()


def _pieces(data: bytes, size: int) -> list[bytes]:
    if not size or len(data) <= size:
        return [data]
    return [data[start : start + size] for start in range(0, len(data), size)]
