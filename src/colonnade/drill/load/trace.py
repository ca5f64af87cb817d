"""Reads a recorded access log as the shape of a load: how its rate went up and down over time.

Of each line only its moment counts. What was asked for is not replayed: the workload says what is sent, the log says
when there is how much of it.
Never sends anything. Read next: `planning/access_log` for the formats, `arrivals`, which follows the shape.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from colonnade.core.errors import SpecError
from colonnade.planning.access_log import moment_of
from colonnade.planning.profile import bounded, check_moments, shape_of


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
    check_moments(moments, len(moments), str(path))
    return shape_of(moments)


def moments_in(lines: Iterable[str], path: Path) -> Iterator[float]:
    """Seconds since the epoch of each line that says them; other lines are passed over. Raises SpecError."""
    for line in bounded(lines, str(path)):
        moment = moment_of(line)
        if moment is not None:
            yield moment
