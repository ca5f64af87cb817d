"""Restoring as planned by `restore_plan.py`: recover the backup aside, and only then put it in the cluster's place.

The swap is a handful of renames that a note on disk announces (`restoring.json`). Whoever finds the note, the next `up`
or the next restore, carries the rest out: at no point is there half a cluster that somebody could take for a whole one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from colonnade.core.errors import DriverError, HostError
from colonnade.core.files import disk_error, make_directory, read_json, sync_directory, write_json_durably
from colonnade.database.backup.lineage import (
    SEGMENT_BYTES,
)
from colonnade.database.backup.recover import Recovered, recovered, remove_recovery_settings
from colonnade.database.backup.restore_plan import Plan
from colonnade.database.backup.wal import SEGMENT, start_of, store
from colonnade.database.backup.workplace import Workplace, remove_tree
from colonnade.database.clone import sync_filesystem
from colonnade.database.config import acknowledgements_of
from colonnade.database.driver import DatabasePaths
from colonnade.database.prepare import prepare_restored
from colonnade.database.record import RecordFile
from colonnade.database.state import NODE_NAMES, ClusterRecord, Stage, Standing, format_lsn

NOTE = "restoring.json"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done."""

    backup_id: str
    timeline: int
    lsn: int
    system_id: str
    kept_aside: Path | None = None


async def restore_into(plan: Plan, directory: Path, work: Workplace) -> Outcome:
    """A directory of its own, recovered, promoted and stopped; made beside its place and renamed when it is whole."""
    await asyncio.to_thread(_check_empty, directory)
    unfinished = directory.with_name(f".{directory.name}.restoring")
    try:
        outcome = await _recover(plan, unfinished, work)
        await asyncio.to_thread(remove_recovery_settings, unfinished, work)
        await asyncio.to_thread(_rename, unfinished, directory)
        return outcome
    finally:
        await remove_tree(unfinished)


def _check_empty(directory: Path) -> None:
    if not directory.parent.is_dir():
        raise HostError(
            "there is no such directory", subject=str(directory.parent), hint=f"`mkdir -p '{directory.parent}'`"
        )
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise HostError("is not empty", subject=str(directory), hint="name a directory that does not exist")


def _rename(unfinished: Path, directory: Path) -> None:
    try:
        sync_filesystem(unfinished)
        if directory.exists():
            directory.rmdir()
        unfinished.rename(directory)
        sync_directory(directory.parent)
    except OSError as error:
        raise disk_error(error, directory) from error


async def restore_cluster(plan: Plan, work: Workplace) -> Outcome:
    """In place of the cluster, which must not run. Until the copy is whole nothing of it is touched."""
    place = work.paths.root / "restore.new"
    aside = _aside(work)
    try:
        for passage in (place, place / "nodes"):
            make_directory(passage, mode=0o711 if work.credentials else 0o700)
        outcome = await _recover(plan, place / "nodes" / NODE_NAMES[0], work)
        await asyncio.to_thread(_forget_earlier_wal, place / "nodes" / NODE_NAMES[0] / "pg_wal", outcome.timeline)
        record = _new_record(work, outcome.system_id)
        RecordFile(place / "record.json").save(record)
        await asyncio.to_thread(sync_filesystem, place)
        write_json_durably(work.paths.root / NOTE, {"aside": aside.name}, mode=0o600)
    except BaseException:
        await remove_tree(place / "nodes" / NODE_NAMES[0])
        await remove_tree(place)
        raise
    await asyncio.to_thread(finish_swap, work.paths, work.storage.archive, work.owner)
    return Outcome(outcome.backup_id, outcome.timeline, outcome.lsn, outcome.system_id, aside)


def _forget_earlier_wal(pg_wal: Path, timeline: int) -> None:
    """Leave WAL of the new timeline only. What the backup brought along has holes behind it, for recovery reads from
    the archive: the WAL summarizer, which begins with the oldest that it finds, would fail there for ever, without
    incremental backups and with ten seconds at each stop (seen on PostgreSQL 18)."""
    try:
        for file in (*pg_wal.iterdir(), *(pg_wal / "archive_status").iterdir()):
            if SEGMENT.fullmatch(file.name[:24]) and int(file.name[:8], 16) != timeline:
                file.unlink()
    except OSError as error:
        raise disk_error(error, pg_wal) from error


def finish_swap(paths: DatabasePaths, archive: Path | None, owner: tuple[int, int] | None) -> bool:
    """Carry out what the note announces; True when there was one. Each step may be repeated."""
    root = paths.root
    note = read_json(root / NOTE)
    place = root / "restore.new"
    if note is None:
        shutil.rmtree(place, ignore_errors=True)  # of one that was killed before it was whole
        return False
    aside = root / str(note["aside"])
    try:
        make_directory(aside, mode=0o700)
        if (place / "nodes").exists():
            # The record first: nodes without one are taken by nobody.
            for name in ("record.json", "nodes"):
                if (root / name).exists() and not (aside / name).exists():
                    os.rename(root / name, aside / name)
            sync_directory(aside)
            os.rename(place / "nodes", root / "nodes")
        _publish_histories(root / "nodes" / NODE_NAMES[0] / "pg_wal", paths, archive, owner)
        if (place / "record.json").exists():
            os.rename(place / "record.json", root / "record.json")
        sync_directory(root)
        (root / NOTE).unlink()
        if place.exists():
            place.rmdir()
        sync_directory(root)
    except OSError as error:
        raise disk_error(error, root) from error
    return True


def _publish_histories(pg_wal: Path, paths: DatabasePaths, archive: Path | None, owner: tuple[int, int] | None) -> None:
    """From now on the restored timeline is the present one: for the archive, and for whoever chooses a number."""
    make_directory(paths.history, mode=0o755)
    for file in sorted(pg_wal.glob("*.history")):
        for place in (paths.history, archive):
            if place is None or file.is_symlink():
                continue
            if not (place / file.name).exists() and store(str(file), file.name, str(place)):
                raise HostError("cannot be written", subject=str(place / file.name), hint="run the restore again")
            if place == paths.history:
                (place / file.name).chmod(0o644)
            elif owner is not None:
                os.chown(place / file.name, *owner, follow_symlinks=False)


async def _recover(plan: Plan, directory: Path, work: Workplace) -> Outcome:
    await remove_tree(directory)
    make_directory(directory, mode=0o700, owner=work.owner)
    async with recovered(plan.chain, plan.target, directory, work) as server:
        check_reached(plan, server)
        # The passwords may be older than ours, or from another machine.
        await prepare_restored(server.connect, work.spec.name, work.secrets)
        backup = plan.chain[-1]
        return Outcome(backup.id, server.timeline, server.fork_lsn, backup.system_id)


def check_reached(plan: Plan, server: Recovered) -> None:
    """PostgreSQL takes WAL that it cannot read for the end of WAL: restored to the latest, that would be a silent
    loss. Raises DriverError."""
    reach = plan.reach
    if plan.is_latest and reach.last and server.fork_lsn < start_of(reach.last, SEGMENT_BYTES):
        raise DriverError(
            f"recovery ended at {format_lsn(server.fork_lsn)}, and the archive has WAL up to "
            f"{format_lsn(reach.end_lsn)}: the segment where it ended is damaged",
            subject="restore",
            hint="put back another copy of that segment, or restore to a time before it with --to-time",
        )


def _aside(work: Workplace) -> Path:
    moment = f"{datetime.fromtimestamp(work.clock.wall(), UTC):%Y%m%dT%H%M%SZ}"
    return work.paths.root / f"before-restore-{moment}"


def _new_record(work: Workplace, system_id: str) -> ClusterRecord:
    """One primary; the others have nothing of this history and are cloned."""
    members = tuple(NODE_NAMES[: 1 + work.spec.standbys])
    generation = 1
    with contextlib.suppress(HostError):  # a record that nobody can read is a reason to restore, not against it
        earlier = RecordFile(work.paths.record).load()
        generation = earlier.generation + 1 if earlier is not None else 1
    return ClusterRecord(
        members=members,
        primary=members[0],
        standing={name: Standing.VOTER if name == members[0] else Standing.FENCED for name in members},
        acknowledgements=acknowledgements_of(work.spec),
        waits_for=acknowledgements_of(work.spec),
        system_id=system_id,
        stage=Stage.READY,
        generation=generation,
        joined={members[0]: generation},
    )
