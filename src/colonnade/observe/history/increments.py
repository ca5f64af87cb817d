"""By how much a counter grew, step by step, over all that the history has of it: what budgets are reckoned from."""

from __future__ import annotations

from collections.abc import Iterator

from colonnade.observe.history.levels import COARSEST, FOLDED_LEVELS
from colonnade.observe.history.reader import HistoryReader, SeriesInfo

MARGIN = 0.9
"""Of what a level keeps, this much is taken from it: the rest may be forgotten in the middle of the reading."""


def increments(history: HistoryReader, series: SeriesInfo, now_s: float) -> Iterator[tuple[float, float]]:
    """(end of the step, growth in it), oldest first: coarse for the past weeks, fine for the last hours, nothing left
    out and nothing twice."""
    levels = [COARSEST, *reversed(FOLDED_LEVELS)]
    begins_s = [now_s - level.kept_s * MARGIN for level in levels]
    # Where one level takes over from a coarser one, a step of the coarser one has to end.
    begins_s = [
        begin_s // coarser.step_s * coarser.step_s
        for begin_s, coarser in zip(begins_s, [COARSEST, *levels[:-1]], strict=True)
    ]
    for level, since_s, until_s in zip(levels, begins_s, [*begins_s[1:], now_s + 1], strict=True):
        (line,) = history.read_series([series], level, since_s=since_s, until_s=until_s)
        for point in line.points:
            if since_s <= point.at_s < until_s:
                yield min(now_s, float(point.at_s + level.step_s)), point.mean * level.step_s
