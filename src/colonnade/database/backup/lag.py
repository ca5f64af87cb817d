"""How far the archive is behind, and why: from the marks that PostgreSQL keeps in pg_wal/archive_status and from what
the archive program said in the servers' logs. Blocks: call it from a thread."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from colonnade.core.files import tail_lines
from colonnade.database.backup.lineage import SEGMENT_BYTES
from colonnade.database.backup.wal import MARK
from colonnade.database.driver import DatabasePaths
from colonnade.database.state import NodeName

TROUBLE_AFTER_S = 5.0
"""A segment is archived within tenths of a second; PostgreSQL tries three times, a second apart, then waits for up to a
minute."""


@dataclass(frozen=True, slots=True)
class ArchiveLag:
    """Of the node that is furthest behind. `segments` wait there, the oldest for `age_s`; `trouble` is a sentence."""

    segments: int = 0
    age_s: float = 0.0
    trouble: str = ""

    @property
    def size_bytes(self) -> int:
        return self.segments * SEGMENT_BYTES


def read_lag(nodes: Sequence[NodeName], paths: DatabasePaths, now: float) -> ArchiveLag:
    """`now` in seconds since the epoch."""
    worst, node = ArchiveLag(), ""
    for name in nodes:
        waiting = list(_waiting_since(paths, name))
        age_s = max(0.0, now - min(waiting)) if waiting else 0.0
        if len(waiting) > worst.segments or (len(waiting) == worst.segments and age_s > worst.age_s):
            worst, node = ArchiveLag(len(waiting), age_s), name
    if worst.age_s < TROUBLE_AFTER_S:
        return worst
    lines = tail_lines(paths.logs / f"db-{node}.log", 60)
    said = next((line.partition(MARK)[2].strip() for line in reversed(lines) if MARK in line), f"see db-{node}.log")
    trouble = (
        f"{worst.segments} pieces of WAL ({worst.size_bytes / 1e6:.0f} MB) have waited on {node} for "
        f"{worst.age_s:.0f} s to be archived: {said}"
    )
    return ArchiveLag(worst.segments, worst.age_s, trouble)


def _waiting_since(paths: DatabasePaths, node: NodeName) -> Iterable[float]:
    try:
        with os.scandir(paths.node(node) / "pg_wal" / "archive_status") as entries:
            for entry in entries:
                if entry.name.endswith(".ready"):
                    try:
                        yield entry.stat(follow_symlinks=False).st_mtime
                    except OSError:
                        continue  # archived meanwhile
    except OSError:
        return
