"""From what was seen second by second to points. Pure.

A counter's growth is taken from one sight to the next, as Prometheus does: a smaller value means that the counting
began anew, and then all of it is growth. Growth over a gap (nobody looked) counts in the step where it was found, and
its rate is taken over the whole gap.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from colonnade.observe.history.levels import FOLDED_LEVELS, Point, coarsen


@dataclass(frozen=True, slots=True)
class Column:
    """What was seen of one series: `times_s` rising, as many `values`. Columns of one layout share their times."""

    times_s: array[float]
    values: array[float]


@dataclass(slots=True)
class Columns:
    """Rows (a time and a value for each series of a layout) turned into columns, one for each series."""

    _pieces: dict[int, list[Column]] = field(default_factory=dict)

    def add(self, layout: Sequence[int], times_s: array[float], flat: array[float]) -> None:
        """Rows of one layout, one after the other in `flat`."""
        width = len(layout)
        for place, series in enumerate(layout):
            self._pieces.setdefault(series, []).append(Column(times_s, flat[place::width]))

    def __iter__(self) -> Iterator[tuple[int, Column]]:
        for series, pieces in self._pieces.items():
            yield series, pieces[0] if len(pieces) == 1 else _joined(pieces)


def _joined(pieces: Sequence[Column]) -> Column:
    times_s, values = array("d"), array("d")
    for piece in pieces:
        times_s.extend(piece.times_s)
        values.extend(piece.values)
    return Column(times_s, values)


def growth(column: Column) -> tuple[array[float], array[float]]:
    """(by how much, at which rate a second) a counter grew up to each of its sights; of the first nothing is known."""
    amounts, rates = array("d", (0.0,)), array("d", (0.0,))
    before, before_s = column.values[0], column.times_s[0]
    for value, at_s in zip(column.values[1:], column.times_s[1:], strict=True):
        amount = value - before if value >= before else value
        amounts.append(amount)
        rates.append(amount / (at_s - before_s))
        before, before_s = value, at_s
    return amounts, rates


def points_of(column: Column, step_s: int, from_s: int, until_s: float, *, is_counter: bool) -> list[Point]:
    """Points of `step_s` for the sights in [from_s, until_s). Earlier sights only say where a counter stood."""
    times_s = column.times_s
    begin, end = bisect_left(times_s, from_s), bisect_left(times_s, until_s)
    if begin == end:
        return []
    if is_counter:
        amounts, values = growth(column)
        # Of the very first sight of a counter nothing is known, so it says nothing.
        begin = max(begin, 1)
    else:
        amounts = values = column.values
    found: list[Point] = []
    while begin < end:
        at_s = int(times_s[begin]) // step_s * step_s
        stop = min(end, bisect_left(times_s, at_s + step_s, begin))
        part = values[begin:stop]
        mean = sum(amounts[begin:stop]) / step_s if is_counter else sum(part) / len(part)
        found.append(Point(at_s, min(part), max(part), mean, part[-1]))
        begin = stop
    return found


def fold(column: Column, from_s: int, until_s: float, *, is_counter: bool) -> Mapping[int, list[Point]]:
    """By step, the points of all levels that are made of sights."""
    finest = FOLDED_LEVELS[0].step_s
    points = points_of(column, finest, from_s, until_s, is_counter=is_counter)
    found = {finest: points}
    before_s = finest
    for level in FOLDED_LEVELS[1:]:
        points = coarsen(points, level.step_s, before_s, is_counter=is_counter)
        found[level.step_s] = points
        before_s = level.step_s
    return found
