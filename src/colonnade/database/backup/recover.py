"""A backup brought back to life in a directory of its own: combined, recovered along the archive, promoted.

The server listens on no address, only on a private socket, archives nothing, and dies with us. Nothing here touches the
cluster: what becomes of the directory is for `restore.py` and `verify.py`.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import re
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from colonnade.core import processes
from colonnade.core.errors import ColonnadeError, DriverError, DriverUnavailable
from colonnade.core.files import tail_lines
from colonnade.core.processes import Command, Process
from colonnade.database.backup import tied
from colonnade.database.backup.catalogue import Backup
from colonnade.database.backup.commands import fetch_command
from colonnade.database.backup.wal import parse_forks
from colonnade.database.backup.workplace import Workplace
from colonnade.database.config import configuration_text
from colonnade.database.fence import end_processes
from colonnade.database.foreign import read_foreign, write_foreign
from colonnade.database.history import history_name
from colonnade.database.secrets import SUPERUSER
from colonnade.database.shared_memory import remove_shared_memory, segment_of

RECOVERY_S_MAX = 24 * 3600.0
COMBINE_S_MAX = 6 * 3600.0
POLL_S = 0.1
STOP_S_MAX = 300.0
"""For the last checkpoint, which writes all that recovery has changed."""


@dataclass(frozen=True, slots=True)
class Target:
    """How far to recover. `settings` are PostgreSQL's recovery_target_…, empty for as far as the archive goes."""

    timeline: int
    settings: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recovered:
    """A server that has left recovery and runs. `fork_lsn` is where it left `Target.timeline`."""

    directory: Path
    timeline: int
    fork_lsn: int
    connect: dict[str, Any]
    """Arguments for psycopg, the database apart."""


@asynccontextmanager
async def recovered(
    chain: Sequence[Backup], target: Target, directory: Path, work: Workplace
) -> AsyncIterator[Recovered]:
    """The server while the context lasts; afterwards the directory is that of one that was stopped cleanly. Raises
    DriverError with PostgreSQL's words when the target cannot be reached; then the directory is of no use."""
    sources = [str(work.storage.path(backup.id)) for backup in chain]
    arguments = [*sources, f"--output={directory}", "--no-sync"]
    await work.tools.run("pg_combinebackup", arguments, cwd=directory, deadline_s=COMBINE_S_MAX)
    await asyncio.to_thread(_configure, directory, target, work)
    log = work.server_log
    log.unlink(missing_ok=True)
    process = _start(directory, log, work)
    try:
        result = await _until_recovered(process, directory, log, work)
        yield result
        process.send(signal.SIGINT)
        if not await process.wait(STOP_S_MAX):
            raise DriverUnavailable(f"does not stop in {STOP_S_MAX:g} s", subject="restore", hint=f"read {log}")
        (directory / "recovery.done").unlink(missing_ok=True)
    finally:
        segment = segment_of(directory)
        await end_processes((directory,))
        remove_shared_memory(segment)
        process.close()


def _start(directory: Path, log: Path, work: Workplace) -> Process:
    server = (str(work.binaries.directory / "postgres"), "-D", str(directory))
    argv = (sys.executable, "-I", "-S", "-E", tied.__file__, *server)
    return processes.start(Command(argv, directory, work.tools.env, log, work.credentials))


def _configure(directory: Path, target: Target, work: Workplace) -> None:
    """A configuration of our own: that of the backup names sockets, ports and an archive which are a node's."""
    archive, kept = work.storage.archive, work.paths.history
    settings: dict[str, str | int | float | bool] = {
        **work.spec.parameters,
        "listen_addresses": "",
        "port": work.socket_port,
        "unix_socket_directories": str(work.paths.sockets),
        "unix_socket_permissions": "0700",
        # Nobody looks before it is promoted, and without readers what a standby must allow need not be known.
        "hot_standby": False,
        "max_connections": 20,
        "wal_level": "replica",
        "wal_log_hints": True,
        "archive_mode": "off",
        "autovacuum": False,
        "restart_after_crash": False,
        "shared_buffers": "64MB",
        "dynamic_shared_memory_type": "mmap",
        "recovery_init_sync_method": "syncfs",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "max_wal_size": "1GB",
        "restore_command": fetch_command(archive, kept, target.timeline),
        "recovery_target_timeline": str(target.timeline),
        "recovery_target_action": "promote",
        **target.settings,
    }
    if work.binaries.major >= 18:
        settings["io_method"] = "sync"
    texts = {
        "postgresql.conf": configuration_text(settings),
        "postgresql.auto.conf": "",
        # Known by the system's user, not by passwords: the backup may be older than those that we have.
        "pg_hba.conf": f"local all {SUPERUSER} peer map=restore\n",
        # Only these two get to the private socket: who works on backups, and whom the server runs as.
        "pg_ident.conf": "".join(f'restore "{name}" {SUPERUSER}\n' for name in _users(work)),
        "recovery.signal": "",
    }
    for name in ("standby.signal", "backup_manifest"):
        (directory / name).unlink(missing_ok=True)
    for name, text in texts.items():
        write_foreign(directory / name, text, work.owner)


def _users(work: Workplace) -> set[str]:
    return {pwd.getpwuid(user_id).pw_name for user_id in (os.geteuid(), work.user_id)}


async def _until_recovered(process: Process, directory: Path, log: Path, work: Workplace) -> Recovered:
    connect: dict[str, Any] = {
        "host": str(work.paths.sockets),
        "port": work.socket_port,
        "user": SUPERUSER,
        "application_name": "colonnade-restore",
        "connect_timeout": 5,
    }
    clock = work.clock
    deadline = clock.monotonic() + RECOVERY_S_MAX
    while clock.monotonic() < deadline:
        if process.has_exited():
            raise recovery_error(log)
        try:
            async with await psycopg.AsyncConnection.connect(**connect, dbname="postgres", autocommit=True) as session:
                cursor = await session.execute("SELECT pg_walfile_name(pg_current_wal_lsn())")
                row = await cursor.fetchone()
            timeline = int(str(row[0])[:8], 16) if row else 0
            history = read_foreign(directory / "pg_wal" / history_name(timeline), work.user_id)
            return Recovered(directory, timeline, parse_forks(history.decode())[-1][1], connect)
        except psycopg.OperationalError:
            await clock.sleep(POLL_S)
    raise DriverUnavailable(f"did not recover in {RECOVERY_S_MAX:g} s", subject="restore", hint=f"read {log}")


def recovery_error(log: Path) -> ColonnadeError:
    """What the server said before it gave up, in our words where we know them."""
    lines = tail_lines(log, 200)
    text = "\n".join(lines)
    last = re.findall(r"last completed transaction was at log time (.+)", text)
    if "recovery ended before configured recovery target was reached" in text:
        latest = last[-1].split(".")[0] + " UTC" if last else "the end of the backup itself"
        return DriverError(
            f"the archive ends before that; the latest possible time is {latest}",
            subject="restore",
            hint="give an earlier time, or --latest",
        )
    if "before consistent recovery point" in text:
        return DriverError(
            "that is before the end of the backup it would start from", subject="restore", hint="see `db backups`"
        )
    fatal = [line for line in lines if re.search(r"FATAL|PANIC|ERROR|colonnade", line)] or lines[-3:]
    said = " / ".join(line.strip() for line in fatal[-3:]) or "nothing"
    return DriverError(f"PostgreSQL gave up: {said}", subject="restore", hint=f"read {log}; nothing was changed")


def remove_recovery_settings(directory: Path, work: Workplace) -> None:
    """Leave a directory that plain `postgres -D` starts: with PostgreSQL's own way in, and a note what it is."""
    text = (
        "# Restored by Colonnade. It archives nothing and has no standbys.\n"
        f"listen_addresses = '127.0.0.1'\nport = 5432\nunix_socket_directories = '{os.sep}tmp'\n"
        "wal_level = replica\nwal_log_hints = on\npassword_encryption = scram-sha-256\n"
    )
    write_foreign(directory / "postgresql.conf", text, work.owner)
    hba = "local all all scram-sha-256\nhost all all 127.0.0.1/32 scram-sha-256\n"
    write_foreign(directory / "pg_hba.conf", hba, work.owner)
    write_foreign(directory / "pg_ident.conf", "", work.owner)
