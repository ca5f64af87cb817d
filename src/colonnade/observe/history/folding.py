"""The part of the writer that makes old things coarser and forgets what is too old: once in ten minutes, inside the
transaction of a batch. `fold.py` has the mathematics.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Iterable, Iterator, Mapping

from colonnade.observe.history.fold import Columns, fold
from colonnade.observe.history.levels import (
    COARSEST,
    EVENTS_MAX,
    FOLD_S,
    FOLDED_LEVELS,
    LEVELS,
    SERIES_MAX,
    SIGHTS_KEPT_S,
    Level,
    Point,
    coarsen,
    pack,
    unpack,
)

SPANS_MAX = 3
"""Folded with one batch: after an interruption the rest follows with the next ones."""

SERIES_AFTER_FORGETTING = SERIES_MAX * 9 // 10
"""When more series than this are there, those that have been silent longest are forgotten."""

_APPEND = """INSERT INTO block (step_s, start_s, series, points) VALUES (?, ?, ?, ?)
ON CONFLICT (step_s, start_s, series) DO UPDATE SET points = CAST(points || excluded.points AS BLOB)"""


def fold_what_is_due(connection: sqlite3.Connection, now_s: float) -> bool:
    """Fold each span that is over; True when there was one (and series may have been forgotten)."""
    is_folded = False
    for _ in range(SPANS_MAX):
        begin_s = _next_span(connection)
        if begin_s is None or begin_s + FOLD_S > now_s:
            break
        _fold_span(connection, begin_s)
        is_folded = True
    if is_folded:
        _forget(connection, now_s)
    return is_folded


def folded_until(connection: sqlite3.Connection) -> dict[int, int]:
    """By step, up to when there are points."""
    return dict(connection.execute("SELECT step_s, until_s FROM folded"))


def rows_between(
    connection: sqlite3.Connection, from_s: float, until_s: float
) -> Iterator[tuple[array[int], array[float], array[float]]]:
    """(layout, times, values of all rows one after the other) for the sights in [from_s, until_s) and the one before
    them, joined as long as the layout is the same."""
    rows = connection.execute(
        "SELECT sight.at_ms, layout.id, layout.series, sight.samples FROM sight JOIN layout ON layout.id = sight.layout"
        " WHERE at_ms >= coalesce((SELECT max(at_ms) FROM sight WHERE at_ms < :from), :from) AND at_ms < :until"
        " ORDER BY at_ms",
        {"from": int(from_s * 1000), "until": int(until_s * 1000)},
    )
    current, layout, times_s, flat = 0, array("I"), array("d"), array("d")
    for at_ms, layout_id, series, samples in rows:
        if layout_id != current:
            if times_s:
                yield layout, times_s, flat
            current, layout, times_s, flat = layout_id, array("I", series), array("d"), array("d")
        times_s.append(at_ms / 1000)
        flat.frombytes(samples)
    if times_s:
        yield layout, times_s, flat


def forget_from(connection: sqlite3.Connection, now_s: float) -> None:
    """Somebody set the clock back: what claims to be from the future is dropped, so that time can go on."""
    connection.execute("DELETE FROM sight WHERE at_ms >= ?", (int(now_s * 1000),))
    for level in LEVELS:
        rows = connection.execute(
            "SELECT rowid, points FROM block WHERE step_s = ? AND start_s > ?", (level.step_s, now_s - level.block_s)
        ).fetchall()
        kept = [(row, [point for point in unpack(raw) if point.at_s + level.step_s <= now_s]) for row, raw in rows]
        connection.executemany("UPDATE block SET points = ? WHERE rowid = ?", [(pack(left), row) for row, left in kept])
        until_s = int(now_s) // level.step_s * level.step_s
        connection.execute(
            "UPDATE folded SET until_s = ? WHERE step_s = ? AND until_s > ?", (until_s, level.step_s, until_s)
        )
    connection.execute("DELETE FROM block WHERE points = x''")


def _next_span(connection: sqlite3.Connection) -> int | None:
    """Where the next span begins that has sights; spans in which nobody looked are passed over."""
    until_s = folded_until(connection).get(FOLDED_LEVELS[0].step_s, 0)
    (first_ms,) = connection.execute("SELECT min(at_ms) FROM sight WHERE at_ms >= ?", (until_s * 1000,)).fetchone()
    return None if first_ms is None else max(until_s, first_ms // 1000 // FOLD_S * FOLD_S)


def _fold_span(connection: sqlite3.Connection, begin_s: int) -> None:
    end_s = begin_s // FOLD_S * FOLD_S + FOLD_S
    is_counter = _series(connection)
    columns = Columns()
    for layout, times_s, flat in rows_between(connection, begin_s, end_s):
        columns.add(layout, times_s, flat)
    seen = []
    for series, column in columns:
        if series not in is_counter:  # forgotten since it was seen
            continue
        points = fold(column, begin_s, end_s, is_counter=is_counter[series])
        for level in FOLDED_LEVELS:
            _append(connection, level, series, points[level.step_s])
        if points[FOLDED_LEVELS[0].step_s]:
            seen.append((end_s, series))
    connection.executemany("UPDATE series SET seen_s = ? WHERE id = ?", seen)
    for level in FOLDED_LEVELS:
        _mark(connection, level, end_s)
    _fold_hours(connection, end_s, is_counter)


def _fold_hours(connection: sqlite3.Connection, end_s: int, is_counter: Mapping[int, bool]) -> None:
    """The coarsest points come from those of the level before, hour by hour, each when it is over."""
    finer = FOLDED_LEVELS[-1]
    (first_s,) = connection.execute("SELECT min(start_s) FROM block WHERE step_s = ?", (finer.step_s,)).fetchone()
    if first_s is None:
        return
    begin_s = max(folded_until(connection).get(COARSEST.step_s, 0), first_s // COARSEST.step_s * COARSEST.step_s)
    while begin_s + COARSEST.step_s <= end_s:
        blocks = connection.execute(
            "SELECT series, points FROM block WHERE step_s = ? AND start_s = ?",
            (finer.step_s, finer.start_of_block(begin_s)),
        ).fetchall()
        for series, raw in blocks:
            hour = [point for point in unpack(raw) if begin_s <= point.at_s < begin_s + COARSEST.step_s]
            points = coarsen(hour, COARSEST.step_s, finer.step_s, is_counter=is_counter.get(series, False))
            _append(connection, COARSEST, series, points)
        begin_s += COARSEST.step_s
    _mark(connection, COARSEST, begin_s)


def _append(connection: sqlite3.Connection, level: Level, series: int, points: Iterable[Point]) -> None:
    by_block: dict[int, list[Point]] = {}
    for point in points:
        by_block.setdefault(level.start_of_block(point.at_s), []).append(point)
    for start_s, theirs in by_block.items():
        connection.execute(_APPEND, (level.step_s, start_s, series, pack(theirs)))


def _mark(connection: sqlite3.Connection, level: Level, until_s: int) -> None:
    connection.execute("INSERT OR REPLACE INTO folded VALUES (?, ?)", (level.step_s, until_s))


def _series(connection: sqlite3.Connection) -> dict[int, bool]:
    """By number of the series, whether it is a counter."""
    return {series: bool(is_counter) for series, is_counter in connection.execute("SELECT id, is_counter FROM series")}


def _forget(connection: sqlite3.Connection, now_s: float) -> None:
    for level in LEVELS:
        oldest_s = int(now_s) - level.kept_s - level.block_s
        connection.execute("DELETE FROM block WHERE step_s = ? AND start_s <= ?", (level.step_s, oldest_s))
    # The newest sight stays in any case: it says where the counters stood.
    oldest_ms = (folded_until(connection)[FOLDED_LEVELS[0].step_s] - SIGHTS_KEPT_S) * 1000
    connection.execute("DELETE FROM sight WHERE at_ms < ? AND at_ms < (SELECT max(at_ms) FROM sight)", (oldest_ms,))
    connection.execute("DELETE FROM layout WHERE id NOT IN (SELECT layout FROM sight)")
    connection.execute(
        "DELETE FROM event WHERE at_ms < ? OR (at_ms, seq) <="
        " (SELECT at_ms, seq FROM event ORDER BY at_ms DESC, seq DESC LIMIT 1 OFFSET ?)",
        (int(now_s - COARSEST.kept_s) * 1000, EVENTS_MAX),
    )
    _forget_series(connection, now_s)


def _forget_series(connection: sqlite3.Connection, now_s: float) -> None:
    """Those of which nothing is left; and, when there are many, those that have been silent longest."""
    (newest_s,) = connection.execute("SELECT max(seen_s) FROM series").fetchone()
    connection.execute("DELETE FROM series WHERE seen_s < ?", (int(now_s) - COARSEST.kept_s - COARSEST.block_s,))
    (count,) = connection.execute("SELECT count(*) FROM series").fetchone()
    silent = connection.execute(
        "SELECT id FROM series WHERE seen_s < ? ORDER BY seen_s LIMIT ?",
        (newest_s or 0, max(0, count - SERIES_AFTER_FORGETTING)),
    ).fetchall()
    connection.executemany("DELETE FROM block WHERE series = ?", silent)
    connection.executemany("DELETE FROM series WHERE id = ?", silent)
