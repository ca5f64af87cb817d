"""Reads the history from its file: beside the writer, or when nothing runs. Never writes a value.

    with read_history(path) as history:
        for line in history.read("colonnade_service_requests_total", since_s=now - 3600, until_s=now): …

A reader sees the file as it was when it was opened, and is to be closed soon: meanwhile the log only grows.
"""

from __future__ import annotations

import json
import sqlite3
from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from colonnade.core.errors import HostError
from colonnade.core.events import Event
from colonnade.observe.history.fold import Column, points_of
from colonnade.observe.history.folding import folded_until
from colonnade.observe.history.levels import COARSEST, FOLDED_LEVELS, Level, Point, coarsen, level_for, unpack
from colonnade.observe.history.schema import NOT_OURS, damaged, is_damage, open_for_reading

END_S = 1e11
"""No time is later: so far SQLite's integers go, and some thousand years."""

POINTS_MAX = 1_500
"""Of one line: more than a screen has columns, and a day by the minute."""


@dataclass(frozen=True, slots=True)
class SeriesInfo:
    """A series that the history has something of."""

    number: int
    name: str
    labels: tuple[tuple[str, str], ...]
    is_counter: bool


@dataclass(frozen=True, slots=True)
class Line:
    """What is known of one series, oldest first. `step_s` is 1 for what was seen second by second."""

    series: SeriesInfo
    step_s: int
    points: tuple[Point, ...]


@contextmanager
def read_history(path: Path) -> Iterator[HistoryReader | None]:
    """None when there is no history yet. Raises HostError: HistoryDamaged, or one of a newer format. What goes wrong
    with what was read is damage as well: others may write the file."""
    connection = open_for_reading(path)
    if connection is None:
        yield None
        return
    try:
        yield HistoryReader(connection)
    except sqlite3.DatabaseError as error:
        if is_damage(error):
            raise damaged(path, error) from error
        raise HostError(
            f"the history cannot be read: {error}", subject=str(path), hint=f"look at `ls -l {path.parent}`"
        ) from error
    except NOT_OURS as error:
        raise damaged(path, f"{type(error).__name__}: {error}") from error
    finally:
        connection.close()


class HistoryReader:
    """Questions to one open file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def series(self, name: str = "", labels: Mapping[str, str] | None = None) -> list[SeriesInfo]:
        """Series of this name (empty: all) that have all these labels."""
        rows = self._connection.execute(
            "SELECT id, name, labels, is_counter FROM series WHERE :name IN ('', name) ORDER BY name, labels",
            {"name": name},
        )
        found = [
            SeriesInfo(number, known, tuple((key, value) for key, value in json.loads(text)), bool(is_counter))
            for number, known, text, is_counter in rows
        ]
        wanted = set((labels or {}).items())
        return [each for each in found if wanted <= set(each.labels)]

    def span_s(self) -> tuple[float, float] | None:
        """From when to when there is anything; None when there is nothing."""
        (oldest_s,) = self._connection.execute("SELECT min(start_s) FROM block").fetchone()
        first_ms, last_ms = self._connection.execute("SELECT min(at_ms), max(at_ms) FROM sight").fetchone()
        if last_ms is None:
            return None
        if oldest_s is None:
            return first_ms / 1000, last_ms / 1000
        # Blocks begin earlier than what is in them.
        (raw,) = self._connection.execute(
            "SELECT points FROM block WHERE step_s = (SELECT max(step_s) FROM block WHERE start_s = ?) AND start_s = ?",
            (oldest_s, oldest_s),
        ).fetchone()
        return min(float(unpack(raw)[0].at_s), first_ms / 1000), last_ms / 1000

    def read(
        self,
        name: str,
        labels: Mapping[str, str] | None = None,
        *,
        since_s: float,
        until_s: float,
        points_max: int = POINTS_MAX,
    ) -> list[Line]:
        """One line for each series of this name that has all these labels; as fine as is still known and as
        `points_max` allows."""
        found = self.series(name, labels)
        last_s = self._last_s()
        level = level_for(last_s - since_s, min(until_s, last_s) - since_s, points_max)
        return self.read_series(found, level, since_s=since_s, until_s=until_s)

    def read_series(
        self, series: Sequence[SeriesInfo], level: Level | None, *, since_s: float, until_s: float
    ) -> list[Line]:
        """Lines at a given level (None: as it was seen)."""
        kinds = {each.number: each.is_counter for each in series}
        step_s = level.step_s if level else 1
        if level is None:
            points = self._sights(kinds, since_s, until_s)
        else:
            points = self._points(kinds, level, since_s, until_s)
        return [Line(each, step_s, tuple(points.get(each.number, ()))) for each in series]

    def stood(self, name: str, labels: Mapping[str, str] | None = None) -> dict[int, tuple[float, float]]:
        """By number of the series, when it was seen last and its value then: of a counter, where it stood. Only what
        is known at full resolution."""
        columns = self._columns({each.number: each.is_counter for each in self.series(name, labels)}, 0.0, END_S)
        return {number: (column.times_s[-1], column.values[-1]) for number, column in columns.items()}

    def events(
        self,
        *,
        since_s: float = 0.0,
        until_s: float = float("inf"),
        kinds: Collection[str] = (),
        subject: str = "",
        count_max: int = 500,
    ) -> list[Event]:
        """The newest `count_max` of them, oldest first."""
        rows = self._connection.execute(
            "SELECT seq, at_ms, kind, subject, reason, message, data FROM event WHERE at_ms BETWEEN :since AND :until"
            " AND (:kinds = '[]' OR kind IN (SELECT value FROM json_each(:kinds)))"
            " AND (:subject IN ('', subject) OR subject LIKE :subject || '/%')"
            " ORDER BY at_ms DESC, seq DESC LIMIT :count",
            {
                "since": int(since_s * 1000),
                "until": _milliseconds(until_s),
                "kinds": json.dumps(list(kinds)),
                "subject": subject,
                "count": count_max,
            },
        ).fetchall()
        return [
            Event(seq, at_ms / 1000, kind, about, reason, message, json.loads(data))
            for seq, at_ms, kind, about, reason, message, data in reversed(rows)
        ]

    def said(self, topic: str) -> tuple[float, Any] | None:
        """(when, what) the dashboard said last about a topic."""
        row = self._connection.execute("SELECT at_s, json FROM said WHERE topic = ?", (topic,)).fetchone()
        return None if row is None else (row[0], json.loads(row[1]))

    def _last_s(self) -> float:
        (last_ms,) = self._connection.execute("SELECT max(at_ms) FROM sight").fetchone()
        return (last_ms or 0) / 1000

    def _points(
        self, kinds: Mapping[int, bool], level: Level, since_s: float, until_s: float
    ) -> dict[int, list[Point]]:
        """From blocks as far as these go, then from what is finer."""
        folded_s = folded_until(self._connection).get(level.step_s, 0)
        found = self._blocks(kinds, level, since_s, min(until_s, folded_s))
        if until_s <= folded_s:
            return found
        begin_s = max(folded_s, int(since_s) // level.step_s * level.step_s)
        if level is COARSEST:
            finer = FOLDED_LEVELS[-1]
            for number, points in self._points(kinds, finer, begin_s, until_s).items():
                rest = coarsen(points, level.step_s, finer.step_s, is_counter=kinds[number])
                found.setdefault(number, []).extend(rest)
            return found
        for number, column in self._columns(kinds, begin_s, until_s).items():
            rest = points_of(column, level.step_s, begin_s, until_s, is_counter=kinds[number])
            found.setdefault(number, []).extend(rest)
        return found

    def _blocks(
        self, kinds: Mapping[int, bool], level: Level, since_s: float, until_s: float
    ) -> dict[int, list[Point]]:
        rows = self._connection.execute(
            "SELECT series, points FROM block WHERE step_s = ? AND start_s BETWEEN ? AND ?"
            " AND series IN (SELECT value FROM json_each(?)) ORDER BY start_s",
            (level.step_s, level.start_of_block(max(0.0, since_s)), until_s, json.dumps(list(kinds))),
        )
        found: dict[int, list[Point]] = {}
        for number, raw in rows:
            points = [point for point in unpack(raw) if since_s - level.step_s < point.at_s < until_s]
            found.setdefault(number, []).extend(points)
        return found

    def _sights(self, kinds: Mapping[int, bool], since_s: float, until_s: float) -> dict[int, list[Point]]:
        columns = self._columns(kinds, since_s, until_s)
        return {
            number: points_of(column, 1, int(since_s), until_s, is_counter=kinds[number])
            for number, column in columns.items()
        }

    def _columns(self, kinds: Mapping[int, bool], since_s: float, until_s: float) -> dict[int, Column]:
        """Of the sights in [since_s, until_s) and the one before them."""
        rows = self._connection.execute(
            "SELECT at_ms, layout, samples FROM sight"
            " WHERE at_ms >= coalesce((SELECT max(at_ms) FROM sight WHERE at_ms < :from), :from) AND at_ms < :until"
            " ORDER BY at_ms",
            {"from": int(since_s * 1000), "until": _milliseconds(until_s)},
        )
        layouts = self._connection.execute("SELECT id, series FROM layout").fetchall()
        places = {number: _places(array("I", raw), kinds) for number, raw in layouts}
        found: dict[int, Column] = {}
        for at_ms, layout, samples in rows:
            values = memoryview(samples).cast("d")
            for number, place in places[layout]:
                column = found.get(number)
                if column is None:
                    column = found[number] = Column(array("d"), array("d"))
                column.times_s.append(at_ms / 1000)
                column.values.append(values[place])
        return found


def _milliseconds(at_s: float) -> int:
    return int(min(at_s, END_S) * 1000)


def _places(layout: array[int], kinds: Mapping[int, bool]) -> list[tuple[int, int]]:
    """(series, where its value is) for those that are asked for."""
    return [(number, place) for place, number in enumerate(layout) if number in kinds]
