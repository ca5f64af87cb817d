"""What a restore is going to do: which backup, as far as which moment, and whether the archive leads there. Copies
nothing but pieces of WAL, for a look at their commits. `restore.py` carries it out."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from colonnade.core.errors import DriverError, SpecError
from colonnade.database.backup.catalogue import Backup, chain_of, read_catalogue, stamp, usable
from colonnade.database.backup.lineage import (
    SEGMENT_BYTES,
    Lineage,
    Reach,
    lineage_of,
    newest_timeline,
    reach_of,
)
from colonnade.database.backup.recover import Target
from colonnade.database.backup.wal import fetch, read_forks, start_of
from colonnade.database.backup.workplace import Workplace, new_scratch, output_of, remove_scratch

DUMP_S_MAX = 30.0
COMMITS_LOOKED_FOR_MAX = 64
"""Segments that are read backwards for the last commit; older ones than these have none that anybody waits for."""


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
