"""Writes the history: what is seen once a second is taken into memory, and goes to the disk in batches.

Nothing here stops whoever calls it. A disk that is full or refuses is told in `trouble`, the newest minutes wait in
memory, and the next batch tries again. A file that cannot be read is set aside and a new one begun. Only a file of a
newer Colonnade is left as it is, and then nothing is kept.

`add`, `add_event` and `tell` may be called while `commit` runs in a thread: they only append.
"""

from __future__ import annotations

import json
import sqlite3
from array import array
from collections import deque
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path

from colonnade.core.errors import HostError
from colonnade.core.events import Event
from colonnade.observe.history.folding import fold_what_is_due, forget_from
from colonnade.observe.history.levels import EVENT_TEXT_MAX, SERIES_MAX
from colonnade.observe.history.schema import (
    NOT_OURS,
    HistoryDamaged,
    damaged,
    is_damage,
    is_full,
    open_for_writing,
    set_aside,
)
from colonnade.observe.sample import Sample, Sight

WAITING_MAX = 300
"""Sights that wait in memory while the disk refuses them: five minutes, 5 MB at the most series."""

EVENTS_WAITING_MAX = 2_000

CLOCK_BACK_S = 60.0
"""A clock that goes back by less is waited for; by more, and what it had said before is dropped."""

COUNTER_ENDINGS = ("_total", "_bucket", "_sum", "_count")
"""By Prometheus' conventions: what only grows while one process counts."""

Key = tuple[str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True, slots=True)
class _Row:
    """A sight as it is written: `layout` the ids of its series, `samples` their values."""

    at_s: float
    layout: bytes
    samples: bytes


class HistoryWriter:
    """The one writer of the file at `path`. `kept` are the names of metrics that are kept; None: all."""

    def __init__(self, path: Path, kept: Set[str] | None = None) -> None:
        self.path = path
        self.trouble = ""
        """Why nothing is written at the moment, in a sentence; empty when all is well."""
        self.notice = ""
        """What happened to the file once, such as that it was set aside."""
        self.sights_lost = 0
        self.samples_refused = 0
        """Of series beyond the bound, or which are no numbers."""
        self._kept = kept
        self._connection: sqlite3.Connection | None = None
        self._is_refused = False
        self._sights: deque[Sight] = deque(maxlen=WAITING_MAX)
        self._events: deque[Event] = deque(maxlen=EVENTS_WAITING_MAX)
        self._said: dict[str, tuple[str, float, str]] = {}
        self._rows: deque[_Row] = deque()
        self._series: dict[Key, int] = {}
        self._new_series: list[tuple[int, str, str, bool, int]] = []
        self._next_series = 1
        self._last_at_s = 0.0
        self._is_set_back_to_s: float | None = None

    def add(self, sight: Sight) -> None:
        self.sights_lost += len(self._sights) == WAITING_MAX
        self._sights.append(sight)

    def add_event(self, event: Event) -> None:
        self._events.append(event)

    def tell(self, topic: str, at_s: float, value: object) -> None:
        """Keep the newest word on a topic, for whoever asks the file rather than the dashboard."""
        self._said[topic] = (topic, at_s, json.dumps(value, separators=(",", ":")))

    def commit(self, now_s: float) -> None:
        """Write what waits, and fold what is old enough. Never raises for what the disk does; takes milliseconds, and
        some tens of them once in ten minutes."""
        if self._is_refused:
            self._sights.clear()
            self._events.clear()
            return
        try:
            self._commit(self._opened(), now_s)
            self.trouble = ""
        except HistoryDamaged as error:
            self._begin_anew(error)
        except HostError as error:
            self._is_refused = True
            self.trouble = f"{error}; {error.hint}"
        except sqlite3.Error as error:
            self._failed(error)
        except OSError as error:
            self.trouble = f"the history is not written: {error.strerror or error} ({self.path})"

    def close(self) -> None:
        """The last batch should have been committed before."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = open_for_writing(self.path)
            try:
                self._load(self._connection)
            except NOT_OURS as error:
                raise damaged(self.path, f"{type(error).__name__}: {error}") from error
        return self._connection

    def _load(self, connection: sqlite3.Connection) -> None:
        self._rows.clear()
        self._new_series.clear()
        self._load_series(connection)
        (highest,) = connection.execute("SELECT max(seq) FROM sqlite_sequence WHERE name = 'series'").fetchone()
        self._next_series = (highest or 0) + 1
        (last_ms,) = connection.execute("SELECT max(at_ms) FROM sight").fetchone()
        self._last_at_s = (last_ms or 0) / 1000

    def _load_series(self, connection: sqlite3.Connection) -> None:
        rows = connection.execute("SELECT id, name, labels FROM series")
        self._series = {
            (name, tuple((key, value) for key, value in json.loads(labels))): id for id, name, labels in rows
        }

    def _commit(self, connection: sqlite3.Connection, now_s: float) -> None:
        events, said = list(self._events), list(self._said.values())
        while self._sights:
            self._take(self._sights.popleft())
        is_forgotten = self._write(connection, events, said, now_s)
        self._rows.clear()
        self._new_series.clear()
        self._is_set_back_to_s = None
        for _ in events:
            self._events.popleft()
        for entry in said:
            if self._said.get(entry[0]) is entry:
                del self._said[entry[0]]
        if is_forgotten:
            self._load_series(connection)

    def _take(self, sight: Sight) -> None:
        """Make the sight what is written of it: ids and values."""
        if sight.at_s <= self._last_at_s:
            if self._last_at_s - sight.at_s < CLOCK_BACK_S:
                self.sights_lost += 1
                return
            self._is_set_back_to_s = sight.at_s
            self._rows.clear()
        layout, values = array("I"), array("d")
        series, kept = self._series, self._kept
        for sample in sight.samples:
            if kept is not None and sample.name not in kept:
                continue
            found = series.get((sample.name, sample.labels)) or self._admit(sample, sight.at_s)
            if found and sample.value - sample.value == 0:  # neither infinite nor not a number
                layout.append(found)
                values.append(sample.value)
            else:
                self.samples_refused += 1
        self._last_at_s = sight.at_s
        self._rows.append(_Row(sight.at_s, layout.tobytes(), values.tobytes()))
        if len(self._rows) > WAITING_MAX:
            self._rows.popleft()
            self.sights_lost += 1

    def _admit(self, sample: Sample, at_s: float) -> int:
        """A number for a series that is new; 0 when there are as many as there may be."""
        if len(self._series) >= SERIES_MAX:
            return 0
        number = self._next_series
        self._next_series += 1
        self._series[sample.name, sample.labels] = number
        is_counter = sample.name.endswith(COUNTER_ENDINGS)
        self._new_series.append((number, sample.name, json.dumps(sample.labels), is_counter, int(at_s)))
        return number

    def _write(
        self, connection: sqlite3.Connection, events: list[Event], said: list[tuple[str, float, str]], now_s: float
    ) -> bool:
        """One transaction; True when old things were folded and forgotten with it."""
        connection.execute("BEGIN IMMEDIATE")
        try:
            if self._is_set_back_to_s is not None:
                forget_from(connection, self._is_set_back_to_s)
            connection.executemany("INSERT INTO series VALUES (?, ?, ?, ?, ?)", self._new_series)
            layouts = {row.layout for row in self._rows}
            connection.executemany("INSERT OR IGNORE INTO layout (series) VALUES (?)", [(each,) for each in layouts])
            ids = {each: _layout_id(connection, each) for each in layouts}
            connection.executemany(
                "INSERT OR REPLACE INTO sight VALUES (?, ?, ?)",
                [(int(row.at_s * 1000), ids[row.layout], row.samples) for row in self._rows],
            )
            connection.executemany("INSERT OR IGNORE INTO event VALUES (?, ?, ?, ?, ?, ?, ?)", map(_event_row, events))
            connection.executemany("INSERT OR REPLACE INTO said VALUES (?, ?, ?)", said)
            is_folded = fold_what_is_due(connection, now_s)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return is_folded

    def _failed(self, error: sqlite3.Error) -> None:
        if is_damage(error):
            self._begin_anew(error)
        elif is_full(error):
            self.trouble = f"the history is not written: the disk is full ({self.path}); free some space"
        else:
            self.trouble = f"the history is not written: {error} ({self.path})"

    def _begin_anew(self, cause: Exception) -> None:
        """The file cannot be read: keep it for whoever wants to look, and go on with a new one."""
        self.close()
        try:
            target = set_aside(self.path)
        except OSError as error:
            self.trouble = f"the history cannot be read, nor set aside: {error.strerror} ({self.path})"
            return
        self.notice = f"the history could not be read ({cause}); it was set aside as {target}, and a new one begun"


def _layout_id(connection: sqlite3.Connection, layout: bytes) -> int:
    (found,) = connection.execute("SELECT id FROM layout WHERE series = ?", (layout,)).fetchone()
    return int(found)


def _event_row(event: Event) -> tuple[int, int, str, str, str, str, str]:
    data = json.dumps(dict(event.data), separators=(",", ":"), default=str)
    return (
        int(event.at_s * 1000),
        event.seq,
        event.kind,
        event.subject,
        event.reason,
        event.message[:EVENT_TEXT_MAX],
        data if len(data) <= EVENT_TEXT_MAX else "{}",
    )
