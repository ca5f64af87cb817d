"""Points as one line of blocks. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from colonnade.observe.history.levels import Point

BLOCKS = "▁▂▃▄▅▆▇█"


def sparkline(points: Sequence[Point], since_s: float, until_s: float, width: int) -> str:
    """`width` columns from `since_s` to `until_s`, each as high as the greatest value in it, the lowest for 0 and
    below; a blank where nothing is known."""
    columns: list[float | None] = [None] * width
    step_s = (until_s - since_s) / width
    for point in points:
        place = int((point.at_s - since_s) / step_s)
        if 0 <= place < width:
            before = columns[place]
            columns[place] = point.max if before is None else max(before, point.max)
    known = [column for column in columns if column is not None]
    top = max(known, default=0.0)
    return "".join(" " if column is None else _block(column, top) for column in columns)


def _block(value: float, top: float) -> str:
    if top <= 0 or value <= 0:
        return BLOCKS[0]
    return BLOCKS[min(len(BLOCKS) - 1, int(value / top * len(BLOCKS)))]
