"""Restoring: choose the backup, recover it aside, and only then put it in the cluster's place.

The swap is a handful of renames that a note on disk announces (`restoring.json`). Whoever finds the note, the next `up`
or the next restore, carries the rest out: at no point is there half a cluster that somebody could take for a whole one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from colonnade.core.errors import DriverError, HostError, SpecError
from colonnade.core.files import disk_error, make_directory, read_json, sync_directory, write_json_durably
from colonnade.database.backup.catalogue import Backup, chain_of, read_catalogue, stamp, usable
from colonnade.database.backup.lineage import (
    SEGMENT_BYTES,
    Lineage,
    Reach,
    lineage_of,
    newest_timeline,
    reach_of,
)
from colonnade.database.backup.recover import Recovered, Target, recovered, remove_recovery_settings
from colonnade.database.backup.wal import SEGMENT, fetch, read_forks, start_of, store
from colonnade.database.backup.workplace import Workplace, new_scratch, output_of, remove_scratch, remove_tree
from colonnade.database.clone import sync_filesystem
from colonnade.database.config import acknowledgements_of
from colonnade.database.driver import DatabasePaths
from colonnade.database.prepare import prepare_restored
from colonnade.database.record import RecordFile
from colonnade.database.state import NODE_NAMES, ClusterRecord, Stage, Standing, format_lsn

DUMP_S_MAX = 30.0
COMMITS_LOOKED_FOR_MAX = 64
"""Segments that are read backwards for the last commit; older ones than these have none that anybody waits for."""

NOTE = "restoring.json"


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be restored: the latest, the state at `time_s` (seconds since the epoch), or one backup as it is."""

    kind: Literal["latest", "time", "backup"]
    time_s: float = 0.0
    backup_id: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be done. `reach` says how far the archive leads from there."""

    chain: tuple[Backup, ...]
    target: Target
    reach: Reach
    is_latest: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done."""

    backup_id: str
    timeline: int
    lsn: int
    system_id: str
    kept_aside: Path | None = None


def parse_time(text: str) -> tuple[float, bool]:
    """Seconds since the epoch, and whether the zone had to be assumed (UTC). Raises SpecError."""
    try:
        moment = datetime.fromisoformat(text.strip().removesuffix(" UTC"))
    except ValueError as error:
        raise SpecError(
            f"expected a time, got {text!r}", subject="--to-time", hint='for example "2026-01-31 12:00:00+00:00"'
        ) from error
    is_assumed = moment.tzinfo is None and not text.strip().endswith(" UTC")
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp(), is_assumed


async def plan_restore(wish: Wish, work: Workplace) -> Plan:
    """Everything that can be known before anything is copied. Raises DriverError for what cannot be restored."""
    backups = await asyncio.to_thread(read_catalogue, work.storage)
    if not backups:
        raise DriverError("there is no backup", subject=str(work.backup.directory), hint="take one: `db backup`")
    forks = read_forks(str(work.storage.archive), str(work.paths.history))
    present = lineage_of(newest_timeline(forks), forks)
    if wish.kind == "backup":
        return _plan_backup(wish.backup_id, backups)
    candidates = usable(backups, present)
    if not candidates:
        raise DriverError(
            f"no backup is on the history of timeline {present.timeline}",
            subject="restore",
            hint="`db backups` shows what there is; restore one as it is with --to-backup",
        )
    if wish.kind == "time":
        return await _plan_time(wish.time_s, candidates, present, work)
    backup = candidates[-1]
    names = await asyncio.to_thread(work.storage.wal)
    reach = reach_of(present, names, backup.start_lsn)
    if reach.missing:
        latest = await last_commit_s(reach, present, work)
        until = f", that is, up to {stamp(latest)}" if latest is not None else ""
        raise DriverError(
            f"the archive has no {reach.missing}, though it has later WAL{until}",
            subject="restore",
            hint="put the file back, or restore to a time before it with --to-time",
        )
    return Plan(chain_of(backup, candidates), Target(present.timeline), reach, is_latest=True)


def _plan_backup(backup_id: str, backups: Sequence[Backup]) -> Plan:
    backup = next((each for each in backups if each.id == backup_id), None)
    chain = chain_of(backup, backups) if backup is not None else ()
    if backup is None or not chain:
        known = ", ".join(each.id for each in backups[-5:])
        what = "is no backup" if backup is None else "rests on a backup that is gone"
        raise DriverError(what, subject=backup_id, hint=f"the newest are {known}; `db backups` shows all")
    target = Target(backup.stop_timeline, {"recovery_target": "immediate"})
    return Plan(chain, target, Reach(backup.stop_lsn, ""), is_latest=False)


async def _plan_time(time_s: float, candidates: Sequence[Backup], present: Lineage, work: Workplace) -> Plan:
    earlier = [backup for backup in candidates if backup.finished_s <= time_s]
    if not earlier:
        raise DriverError(
            f"{stamp(time_s)} is before the first backup; the earliest possible time is "
            f"{stamp(candidates[0].finished_s + 1)}",
            subject="--to-time",
            hint="give a later time; `db backups` shows what can be restored",
        )
    backup = earlier[-1]
    names = await asyncio.to_thread(work.storage.wal)
    reach = reach_of(present, names, backup.start_lsn)
    latest_s = await last_commit_s(reach, present, work)
    if latest_s is not None and time_s > latest_s:
        gap = f" ({reach.missing} is missing)" if reach.missing else ""
        raise DriverError(
            f"{stamp(time_s)} is later than what the archive has{gap}; the latest possible time is "
            f"{datetime.fromtimestamp(latest_s, UTC):%Y-%m-%d %H:%M:%S.%f} UTC",
            subject="--to-time",
            hint="give that time, or use --latest",
        )
    moment = f"{datetime.fromtimestamp(time_s, UTC):%Y-%m-%d %H:%M:%S.%f}+00"
    return Plan(chain_of(backup, candidates), Target(present.timeline, {"recovery_target_time": moment}), reach, False)


async def last_commit_s(reach: Reach, lineage: Lineage, work: Workplace) -> float | None:
    """When the last transaction in the archive committed, seconds since the epoch; None when none is found."""
    if not reach.last:
        return None
    archive, kept = str(work.storage.archive), str(work.paths.history)
    names = set(await asyncio.to_thread(work.storage.wal))
    number = start_of(reach.last, SEGMENT_BYTES) // SEGMENT_BYTES
    place = await new_scratch(work, work.dump)
    try:
        for back in range(min(COMMITS_LOOKED_FOR_MAX, number)):
            here = reach_of(lineage, names, (number - back) * SEGMENT_BYTES)
            name = _newest_of(number - back, lineage, names) if here.last else ""
            if not name or fetch(name, f"{place}/{name}", archive, kept, lineage.timeline):
                continue
            if work.owner is not None:
                os.chown(place / name, *work.owner)
            arguments = ["--rmgr=Transaction", str(place / name)]
            text = await output_of(work, "pg_waldump", arguments, cwd=place, deadline_s=DUMP_S_MAX)
            if found := re.findall(r"desc: COMMIT (?:PREPARED )?(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+) UTC", text):
                return max(datetime.fromisoformat(f"{moment}+00:00").timestamp() for moment in found)
        return None
    finally:
        await remove_scratch(work, work.dump)


def _newest_of(number: int, lineage: Lineage, names: set[str]) -> str:
    here = {name[:24] for name in names}
    found = [f"{step:08X}" for step, _, _ in lineage.steps]
    per_id = (1 << 32) // SEGMENT_BYTES
    tail = f"{number // per_id:08X}{number % per_id:08X}"
    return next((step + tail for step in reversed(found) if step + tail in here), "")


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
