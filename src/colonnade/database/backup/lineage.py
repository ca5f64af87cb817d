"""Which archived WAL leads where: the history of a timeline, and how far the archive follows it. Pure.

A timeline that was left at a fork may have WAL beyond it (a primary that died had written more than anybody else
got), and timelines may be there on which nothing was ever acknowledged. Only what is on the way to the wanted timeline
counts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from colonnade.database.backup.wal import SEGMENT, start_of

SEGMENT_BYTES = 4 * 1024 * 1024
"""As `clone.WAL_SEGMENT_MB`: every cluster of ours is made with it."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """The way to `timeline`: `steps` are (timeline, where it begins, where it is left or None), oldest first."""

    timeline: int
    steps: tuple[tuple[int, int, int | None], ...]

    def contains(self, timeline: int, lsn: int) -> bool:
        """True when this history went through `lsn` on `timeline`."""
        return any(step == timeline and (end is None or lsn <= end) for step, _, end in self.steps)


def lineage_of(timeline: int, forks: Mapping[int, Sequence[tuple[int, int]]]) -> Lineage:
    """The history of `timeline`; without a history file it is taken to begin at the beginning."""
    steps: list[tuple[int, int, int | None]] = []
    begin = 0
    for parent, end in forks.get(timeline, ()):
        steps.append((parent, begin, end))
        begin = end
    return Lineage(timeline, (*steps, (timeline, begin, None)))


def newest_timeline(forks: Mapping[int, object]) -> int:
    return max(forks, default=1)


@dataclass(frozen=True, slots=True)
class Reach:
    """How far WAL goes without a gap. `missing` names the first segment that is not there though later ones are."""

    end_lsn: int
    last: str
    """Name of the last segment; empty when there is none."""
    missing: str = ""


def reach_of(lineage: Lineage, names: Collection[str], start_lsn: int) -> Reach:
    """Follow the archive's files `names` from `start_lsn`; partial copies count up to the fork."""
    here = {name[:24] for name in names if SEGMENT.fullmatch(name[:24])}
    of_lineage = {step for step, _, _ in lineage.steps}
    last_number = max((_number(name) for name in here if int(name[:8], 16) in of_lineage), default=-1)
    number, end_lsn, last = start_lsn // SEGMENT_BYTES, start_lsn, ""
    while True:
        begins, ends = number * SEGMENT_BYTES, (number + 1) * SEGMENT_BYTES
        steps = [step for step in lineage.steps if step[1] < ends and (step[2] is None or step[2] > begins)]
        found = [step for step in steps if segment_name(step[0], number) in here]
        if not found:
            missing = segment_name(steps[-1][0], number) if number < last_number else ""
            return Reach(end_lsn, last, missing)
        timeline, _, left_at = found[-1]
        last = segment_name(timeline, number)
        if left_at is not None and left_at < ends:
            # The fork is in this segment, and the one that begins there has not been archived.
            missing = segment_name(steps[-1][0], number) if number < last_number else ""
            return Reach(left_at, last, missing)
        end_lsn = ends
        number += 1


def segment_name(timeline: int, number: int) -> str:
    per_id = (1 << 32) // SEGMENT_BYTES
    return f"{timeline:08X}{number // per_id:08X}{number % per_id:08X}"


def _number(name: str) -> int:
    return start_of(name, SEGMENT_BYTES) // SEGMENT_BYTES


def is_before(name: str, lsn: int) -> bool:
    """True for a segment, partial or not, that ends at or before `lsn`."""
    return SEGMENT.fullmatch(name[:24]) is not None and start_of(name[:24], SEGMENT_BYTES) + SEGMENT_BYTES <= lsn
