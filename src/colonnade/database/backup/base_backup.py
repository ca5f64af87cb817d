"""Taking one backup: pg_basebackup from the primary, checked by pg_verifybackup, completed by its JSON at the very end.

It connects as `backup-…`, which is no member's name: its WAL stream must not count in the quorum. It brings the WAL
that makes it consistent along, so it can be restored by itself even where the archive is behind.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from colonnade.core.errors import ColonnadeError, DriverError, HostError
from colonnade.core.files import disk_error
from colonnade.database.backup.catalogue import Backup, Kind, backup_to_json, new_id
from colonnade.database.backup.workplace import Workplace, remove_tree
from colonnade.database.binaries import Binaries
from colonnade.database.clone import CLONE_S_MAX, sync_filesystem
from colonnade.database.config import replication_conninfo
from colonnade.database.secrets import passfile
from colonnade.database.state import Address, parse_lsn

CHECK_S_MAX = 6 * 3600.0
INCREMENTAL_MAJOR_MIN = 17
MANIFEST = "backup_manifest"


@dataclass(frozen=True, slots=True)
class Source:
    """The primary that is copied."""

    address: Address
    timeline: int


async def take_backup(
    kind: Kind, parent: Backup | None, source: Source, work: Workplace, tell: Callable[[str], None]
) -> Backup:
    """A complete backup, or an error and nothing that counts. An incremental one becomes a full one when it cannot be
    made; `tell` is given the reason. Cancelled: the tools are killed, the directory is removed."""
    if kind == "incremental":
        obstacle = why_not_incremental(parent, source, work.binaries)
        if not obstacle:
            try:
                return await _take("incremental", parent, source.address, work)
            except DriverError as error:
                obstacle = error.message
        tell(f"no incremental backup is possible ({obstacle}): a full one is made")
    return await _take("full", None, source.address, work)


def why_not_incremental(parent: Backup | None, source: Source, binaries: Binaries) -> str:
    """Empty when nothing speaks against it. WAL summaries are each server's own, and on a new timeline they do not
    reach back to the parent: seen on PostgreSQL 18, which then waits for them for a minute before it gives up."""
    if binaries.major < INCREMENTAL_MAJOR_MIN:
        return f"PostgreSQL {binaries.version} has none"
    if parent is None:
        return "there is no backup to build on"
    if parent.stop_timeline != source.timeline:
        return f"the primary is on timeline {source.timeline} now, {parent.id} on {parent.stop_timeline}"
    return ""


async def _take(kind: Kind, parent: Backup | None, upstream: Address, work: Workplace) -> Backup:
    storage, started_s = work.storage, work.clock.wall()
    backup_id = await asyncio.to_thread(_free_id, work, started_s, kind)
    data = await asyncio.to_thread(storage.make, backup_id)
    try:
        await _copy(backup_id, parent, data, upstream, work)
        await work.tools.run("pg_verifybackup", ["--exit-on-error", str(data)], cwd=data, deadline_s=CHECK_S_MAX)
        backup = await asyncio.to_thread(_describe, backup_id, kind, parent, data, work, started_s)
        await asyncio.to_thread(sync_filesystem, data)
        await asyncio.to_thread(storage.write_about, backup_id, backup_to_json(backup))
        return backup
    except BaseException:
        await asyncio.shield(discard(backup_id, work))
        raise


async def discard(backup_id: str, work: Workplace) -> None:
    """Remove a backup that is not complete, with whoever still works on it."""
    try:
        await remove_tree(work.storage.path(backup_id))
        await asyncio.to_thread(work.storage.remove, backup_id)
    except ColonnadeError:
        return  # without its JSON it does not count, and the next look tries again


async def remove_unfinished(work: Workplace) -> list[str]:
    """What an earlier controller had under way when it died; returns the ids."""
    found = [name for name in work.storage.backups() if work.storage.read_about(name) is None]
    for backup_id in found:
        await discard(backup_id, work)
    return found


async def _copy(backup_id: str, parent: Backup | None, data: Path, upstream: Address, work: Workplace) -> None:
    source = replication_conninfo(f"backup-{backup_id}", upstream, passfile(work.paths.root))
    arguments = [f"--pgdata={data}", f"--dbname={source}", "--wal-method=stream", "--checkpoint=fast", "--no-password"]
    arguments += ["--no-sync"]  # once for all, when it has been checked
    if parent is not None:
        arguments.append(f"--incremental={work.storage.path(parent.id) / MANIFEST}")
    await work.tools.run("pg_basebackup", arguments, cwd=data, deadline_s=CLONE_S_MAX)


def _free_id(work: Workplace, started_s: float, kind: Kind) -> str:
    taken = set(work.storage.backups())
    wanted = new_id(started_s, kind)
    names = (wanted if count == 1 else f"{wanted}-{count}" for count in range(1, 1000))
    found = next((name for name in names if name not in taken), None)
    if found is None:
        raise HostError("too many backups within a second", subject=wanted, hint="try again")
    return found


def _describe(
    backup_id: str, kind: Kind, parent: Backup | None, data: Path, work: Workplace, started_s: float
) -> Backup:
    manifest = _read_manifest(data / MANIFEST)
    try:
        ranges = sorted(manifest["WAL-Ranges"], key=lambda span: int(span["Timeline"]))
        first, last = ranges[0], ranges[-1]
        return Backup(
            id=backup_id,
            kind=kind,
            parent=parent.id if parent is not None else "",
            started_s=started_s,
            finished_s=work.clock.wall(),
            start_timeline=int(first["Timeline"]),
            start_lsn=parse_lsn(first["Start-LSN"]),
            stop_timeline=int(last["Timeline"]),
            stop_lsn=parse_lsn(last["End-LSN"]),
            size_bytes=size_of(data),
            version=work.binaries.version,
            system_id=str(manifest.get("System-Identifier", "")),
        )
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise DriverError(
            f"has no usable manifest ({error!r})", subject=backup_id, hint="report this with the PostgreSQL version"
        ) from error


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with open(descriptor, encoding="utf-8") as file:
            value: dict[str, Any] = json.load(file)
            return value
    except OSError as error:
        raise disk_error(error, path) from error
    except ValueError as error:
        raise DriverError(f"is not JSON ({error})", subject=str(path), hint="take a new backup") from error


def size_of(directory: Path) -> int:
    """Bytes in all files below. What vanishes meanwhile does not count."""
    total = 0
    for place, _, files in os.walk(directory):
        for name in files:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except OSError:
                continue
    return total
