"""One emission for everything that happened: screen, `colonnade events`, tests and, later, drills read the same.

An event says what (`kind`, past tense), to what (`subject`), why (`reason`, stable) and, in a sentence, with which
numbers (`message`). The log is kept in memory (the newest few) and on disk as JSON lines, in two files of bounded
size. A disk that refuses the event does not stop the system: the loss is counted and shown.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from colonnade.core.clock import Clock

EVENTS_IN_MEMORY_MAX = 2_000
"""Enough for a screen and for `why`; about 1 MB."""

EVENTS_FILE_BYTES_MAX = 4 * 1024 * 1024
"""Two files of this size are kept: about 30,000 events, weeks of a quiet system."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. `at_s` is wall time (seconds since the epoch), `seq` counts from 1."""

    seq: int
    at_s: float
    kind: str
    subject: str
    reason: str
    message: str
    data: Mapping[str, object] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"), default=str)


def event_from_json(line: str) -> Event | None:
    """Parse one line of the log; None for a line that was cut by a crash."""
    try:
        return Event(**json.loads(line))
    except (ValueError, TypeError):
        return None


class EventLog:
    """Append-only, bounded. `emit` never raises for a full disk; `dropped_count` says how many were not written."""

    def __init__(self, clock: Clock, path: Path | None = None) -> None:
        self._clock = clock
        self._path = path
        self._recent: deque[Event] = deque(maxlen=EVENTS_IN_MEMORY_MAX)
        self._listeners: list[Callable[[Event], None]] = []
        self.dropped_count = 0
        self._seq = 0
        self._is_line_open = path is not None and _ends_within_a_line(path)
        if path is not None:
            for event in read_events(path, count_max=EVENTS_IN_MEMORY_MAX):
                self._recent.append(event)
                self._seq = max(self._seq, event.seq)

    @property
    def last_seq(self) -> int:
        """Of the newest event; 0 before the first. Smaller than it once was where a disk refused events and the log was
        read anew since."""
        return self._seq

    def emit(
        self, kind: str, subject: str, *, reason: str, message: str, data: Mapping[str, object] | None = None
    ) -> Event:
        self._seq += 1
        event = Event(self._seq, self._clock.wall(), kind, subject, reason, message, dict(data or {}))
        self._recent.append(event)
        if self._path is not None:
            self._write(self._path, event)
        for listener in tuple(self._listeners):
            listener(event)
        return event

    def subscribe(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Call `listener` for each event from now on; returns the function that ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def recent(self, *, after_seq: int = 0, count_max: int = EVENTS_IN_MEMORY_MAX) -> list[Event]:
        return [event for event in self._recent if event.seq > after_seq][-count_max:]

    def _write(self, path: Path, event: Event) -> None:
        # After half a line (a crash, a full disk) begin a new one: else this event is lost together with that one.
        line = b"\n" * self._is_line_open + (event.to_json() + "\n").encode()
        try:
            if path.exists() and path.stat().st_size + len(line) > EVENTS_FILE_BYTES_MAX:
                os.replace(path, path.with_suffix(".1.jsonl"))
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                written = os.write(descriptor, line)
            finally:
                os.close(descriptor)
        except OSError:
            # The usual cause is a full disk, which is just when deciding must go on.
            self.dropped_count += 1
            return
        self._is_line_open = written < len(line)
        self.dropped_count += self._is_line_open


def _ends_within_a_line(path: Path) -> bool:
    """True when the last line of `path` was cut; a file that cannot be read will not be written either."""
    try:
        with path.open("rb") as file:
            if file.seek(0, os.SEEK_END) == 0:
                return False
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"
    except OSError:
        return False


def read_events(path: Path, *, count_max: int | None = None) -> list[Event]:
    """The newest `count_max` events on disk (None: all), oldest first; lines cut by a crash are passed over."""
    newest: deque[str] = deque(maxlen=count_max)
    for file in (path.with_suffix(".1.jsonl"), path):
        if file.exists():
            with file.open(encoding="utf-8", errors="replace") as lines:
                newest.extend(lines)
    return [event for line in newest if (event := event_from_json(line)) is not None]
