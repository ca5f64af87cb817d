"""Reads a recorded access log as the shape of a load: how its rate went up and down over time.

Of each line only its moment counts. Understood are the common and combined formats (Apache, nginx, gunicorn), and
JSON lines with a field that names the moment (Caddy, Traefik, most log libraries). What was asked for is not
replayed: the workload says what is sent, the log says when there is how much of it.
Never sends anything. Read next: `arrivals`, which follows the shape.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from colonnade.core.errors import SpecError

SLICES = 120
"""Of the whole recording: an hour in half minutes, a day in 12 minutes. Finer ones would show chance, not shape."""

LINES_MIN = 100
"""Fewer say nothing about a shape."""

LINES_MAX = 5_000_000
"""Read in half a minute. A longer log is cut by its owner: which part is meant, nobody else knows."""

MOMENT_FIELDS = ("ts", "time", "timestamp", "@timestamp", "StartUTC", "start_time")
"""Names of the moment in JSON lines, in the order in which they are looked for."""

_COMMON = re.compile(r"\[(\d{2}/[A-Z][a-z]{2}/\d{4}:\d{2}:\d{2}:\d{2} [+-]\d{4})\]")


def read_shape(path: Path) -> tuple[float, ...]:
    """The relative rate in each of SLICES equal parts of the recording, 1.0 on average.

    Raises SpecError: no such file, or not enough lines in it whose moment can be read.
    """
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            moments = list(moments_in(lines, path))
    except OSError as error:
        raise SpecError(
            f"the trace cannot be read: {(error.strerror or str(error)).lower()}",
            subject=str(path),
            hint="give the path of an access log, relative to the scenario's file",
        ) from error
    if len(moments) < LINES_MIN or min(moments) == max(moments):
        raise SpecError(
            f"has {len(moments)} lines whose moment can be read, at least {LINES_MIN} at different times are needed",
            subject=str(path),
            hint=f"known are the common and combined log formats, and JSON lines with {', '.join(MOMENT_FIELDS)}",
        )
    return shape_of(moments)


def shape_of(moments: Sequence[float], slices: int = SLICES) -> tuple[float, ...]:
    """How many of `moments` fall into each slice of their whole time, divided by the mean."""
    first, last = min(moments), max(moments)
    width_s = (last - first) / slices
    counts = [0] * slices
    for moment in moments:
        counts[min(int((moment - first) / width_s), slices - 1)] += 1
    mean = len(moments) / slices
    return tuple(count / mean for count in counts)


def moments_in(lines: Iterable[str], path: Path) -> Iterator[float]:
    """Seconds since the epoch of each line that says them; other lines are passed over. Raises SpecError."""
    for number, line in enumerate(lines, 1):
        if number > LINES_MAX:
            raise SpecError(f"has over {LINES_MAX:,} lines", subject=str(path), hint="cut out the hours that are meant")
        moment = moment_of(line)
        if moment is not None:
            yield moment


def moment_of(line: str) -> float | None:
    """When the request of this line was made; None for a line in another format."""
    if line.startswith("{"):
        return _moment_in_json(line)
    match = _COMMON.search(line)
    if match is None:
        return None
    try:
        return datetime.strptime(match[1], "%d/%b/%Y:%H:%M:%S %z").timestamp()
    except ValueError:
        return None


def _moment_in_json(line: str) -> float | None:
    try:
        fields = json.loads(line)
    except ValueError:
        return None
    value = next((fields[name] for name in MOMENT_FIELDS if name in fields), None)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _in_seconds(float(value))
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()


def _in_seconds(value: float) -> float:
    """Some libraries count milliseconds: as seconds such a number would lie tens of thousands of years ahead."""
    return value / 1e3 if value > 1e11 else value
