"""The backups that there are: one JSON file each, written last. Reading them and what can be said of them.

A directory without its JSON is no backup: it was interrupted, and is removed at the next look.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from colonnade.core.errors import HostError
from colonnade.database.backup.lineage import Lineage
from colonnade.database.backup.storage import Storage

Kind = Literal["full", "incremental"]
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Backup:
    """One complete backup. Times are seconds since the epoch, LSNs bytes since the beginning of the WAL.

    Invariant: an incremental one has a parent; a full one has none."""

    id: str
    kind: Kind
    parent: str
    started_s: float
    finished_s: float
    start_timeline: int
    start_lsn: int
    stop_timeline: int
    stop_lsn: int
    """From here on the copy is consistent: the earliest point that can be restored from it."""
    size_bytes: int
    version: str
    system_id: str


def backup_to_json(backup: Backup) -> dict[str, Any]:
    return {"format": FORMAT, **asdict(backup)}


def backup_from_json(value: dict[str, Any]) -> Backup:
    """Raises KeyError, TypeError or ValueError when it is not one of ours."""
    if value["format"] != FORMAT or value["kind"] not in ("full", "incremental"):
        raise ValueError("another format")
    return Backup(**{name: value[name] for name in Backup.__slots__})


def read_catalogue(storage: Storage) -> tuple[Backup, ...]:
    """All complete backups, oldest first. One whose JSON cannot be read does not count; it is not removed either."""
    found = []
    for name in storage.backups():
        try:
            value = storage.read_about(name)
            if value is not None:
                found.append(backup_from_json(value))
        except (HostError, KeyError, TypeError, ValueError):
            continue
    return tuple(sorted(found, key=lambda backup: (backup.finished_s, backup.id)))


def chain_of(backup: Backup, backups: Iterable[Backup]) -> tuple[Backup, ...]:
    """The full backup and the incrementals that lead to `backup`, itself last; empty when one of them is missing."""
    by_id = {each.id: each for each in backups}
    chain = [backup]
    while chain[0].kind == "incremental":
        parent = by_id.get(chain[0].parent)
        if parent is None or len(chain) > len(by_id):
            return ()
        chain.insert(0, parent)
    return tuple(chain)


def usable(backups: Sequence[Backup], lineage: Lineage) -> tuple[Backup, ...]:
    """Those that lead to where `lineage` is now: complete chains on its history. After a restore to an earlier moment
    the backups made after that moment do not."""
    return tuple(
        backup
        for backup in backups
        if lineage.contains(backup.stop_timeline, backup.stop_lsn) and chain_of(backup, backups)
    )


def stamp(at_s: float) -> str:
    """A moment as people and file names have it: `2026-01-31 12:00:00 UTC`."""
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%d %H:%M:%S} UTC"


def new_id(at_s: float, kind: Kind) -> str:
    return f"{datetime.fromtimestamp(at_s, UTC):%Y%m%dT%H%M%SZ}-{kind}"
