"""The only proof of a backup is a restore: into a scratch directory, from the latest backup and through the archive
up to now, checked by pg_amcheck and compared with the primary table by table.

Comparing under load: rows are counted on the primary before and after a named restore point, the copy is recovered to
exactly that point, and must lie between the two; where rows came and went meanwhile, the bounds are widened by as many
as the statistics say. A table that stood still must have exactly as many rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from colonnade.core.errors import DriverError, DriverUnavailable, HostError
from colonnade.database.backup.catalogue import Backup, chain_of
from colonnade.database.backup.lineage import lineage_of
from colonnade.database.backup.recover import Target, recovered
from colonnade.database.backup.workplace import Workplace, new_scratch, remove_scratch
from colonnade.database.secrets import SUPERUSER
from colonnade.database.state import parse_lsn

ARCHIVED_S_MAX = 120.0
"""How long the WAL up to the restore point may take to get into the archive; its archiver wakes up every minute."""

AMCHECK_S_MAX = 6 * 3600.0
COUNT_S_MAX = 3600.0
DIFFERENCES_MAX = 20
STATISTICS_SETTLE_S = 1.2
"""A session hands its statistics over once a second (PGSTAT_MIN_INTERVAL)."""

DATABASES: LiteralString = "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY 1"
TABLES: LiteralString = (
    "SELECT n.nspname, c.relname, coalesce(s.n_tup_ins, 0), coalesce(s.n_tup_del, 0)"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid"
    " WHERE c.relkind = 'r' AND c.relpersistence = 'p'"
    " AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')"
)


@dataclass(frozen=True, slots=True)
class Count:
    """Of one table: rows, and how many were ever inserted and deleted as far as the statistics know."""

    rows: int
    inserted: int = 0
    deleted: int = 0


Counts = Mapping[str, Count]
"""By `database.schema.table`."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What came out. `differences` is empty when all is well; `error` says why it could not be carried out."""

    backup_id: str
    at_s: float
    duration_s: float
    tables: int
    rows: int
    differences: tuple[str, ...] = ()
    error: str = ""
    good_backup_id: str = ""
    """The last backup whose restore went well, this one or an earlier one: it is never deleted."""
    failures: int = 0
    """In a row that could not be carried out."""

    @property
    def is_good(self) -> bool:
        return not self.differences and not self.error


def verification_to_json(verification: Verification) -> dict[str, Any]:
    return {**asdict(verification), "differences": list(verification.differences), "is_good": verification.is_good}


def verification_from_json(value: Mapping[str, Any] | None) -> Verification | None:
    """None when there is none, or it is not one of ours."""
    try:
        fields = {name: value[name] for name in Verification.__slots__} if value is not None else None
        return Verification(**{**fields, "differences": tuple(fields["differences"])}) if fields else None
    except (KeyError, TypeError):
        return None


def differences_between(before: Counts, copy: Counts, after: Counts) -> list[str]:
    """What is not as it should be, a sentence each. A table that was made or dropped meanwhile proves nothing."""
    found = []
    for name in sorted(before.keys() & after.keys()):
        first, last = before[name], after[name]
        if name not in copy:
            found.append(f"{name} is missing")
            continue
        lowest = min(first.rows, last.rows, first.rows - (last.deleted - first.deleted))
        highest = max(first.rows, last.rows, first.rows + (last.inserted - first.inserted))
        rows = copy[name].rows
        if not lowest <= rows <= highest:
            expected = f"{lowest}" if lowest == highest else f"{lowest} to {highest}"
            found.append(f"{name} has {rows} rows, expected {expected}")
    found += [f"{name} should not be there" for name in sorted(copy.keys() - before.keys() - after.keys())]
    return found


async def verify_latest(
    backups: Sequence[Backup], backup: Backup, port: int, earlier: Verification | None, work: Workplace
) -> Verification:
    """Restore `backup` and compare it with the primary on `port`. Never raises for a bad backup: the result says so,
    is written down, and the scratch directory is gone."""
    started_s = work.clock.monotonic()
    failures = earlier.failures if earlier is not None else 0
    good = earlier.good_backup_id if earlier is not None else ""
    result = Verification(backup.id, work.clock.wall(), 0.0, 0, 0, good_backup_id=good)
    try:
        before, copy, after, complaints = await _compare(chain_of(backup, backups), port, work)
        differences = [*complaints, *differences_between(before, copy, after)]
        rows = sum(count.rows for count in copy.values())
        result = replace(result, tables=len(copy), rows=rows, differences=tuple(differences[:DIFFERENCES_MAX]))
    except (DriverUnavailable, HostError) as error:
        result = replace(result, error=str(error), failures=failures + 1)
    except DriverError as error:
        # PostgreSQL refused the copy: that is a finding.
        result = replace(result, differences=(str(error),))
    finally:
        await asyncio.shield(remove_scratch(work, "verify"))
    if result.is_good:
        result = replace(result, good_backup_id=backup.id)
    result = replace(result, duration_s=work.clock.monotonic() - started_s)
    await asyncio.to_thread(work.storage.write_verification, verification_to_json(result))
    return result


async def _compare(chain: Sequence[Backup], port: int, work: Workplace) -> tuple[Counts, Counts, Counts, list[str]]:
    for backup in chain:
        # What lies on the disk today, not what was written then.
        place = work.storage.path(backup.id)
        await work.tools.run("pg_verifybackup", ["--exit-on-error", str(place)], cwd=place, deadline_s=AMCHECK_S_MAX)
    primary = {"host": str(work.paths.sockets), "port": port, "user": SUPERUSER, "password": work.secrets.superuser}
    before = await count_rows(primary)
    point = f"colonnade-verify-{work.clock.wall():.6f}"
    timeline = await _mark(primary, point, work)
    after = await count_rows(primary, settle_s=STATISTICS_SETTLE_S)
    directory = await new_scratch(work, "verify")
    target = Target(timeline, {"recovery_target_name": point})
    async with recovered(chain, target, directory, work) as server:
        copy = await count_rows(server.connect)
        complaints = await _check_pages(server.connect, work)
    return before, copy, after, complaints


async def _mark(primary: Mapping[str, Any], point: str, work: Workplace) -> int:
    """Make the restore point and wait until the archive has it; returns the timeline it is on."""
    row = await _ask(primary, "SELECT pg_create_restore_point(%s)::text, pg_walfile_name(pg_switch_wal())", (point,))
    lsn, name = parse_lsn(row[0]), str(row[1])
    timeline = int(name[:8], 16)
    deadline = work.clock.monotonic() + ARCHIVED_S_MAX
    while name not in await asyncio.to_thread(work.storage.wal):
        if work.clock.monotonic() > deadline:
            raise DriverUnavailable(
                f"{name} is not in the archive after {ARCHIVED_S_MAX:g} s",
                subject=str(work.storage.archive),
                hint="`colonnade db status` tells what keeps the archivers",
            )
        await work.clock.sleep(0.1)
    forks = await asyncio.to_thread(work.storage.forks)
    if not lineage_of(timeline, forks).contains(timeline, lsn):
        raise DriverUnavailable("the timeline has changed", subject="verify", hint="it is tried again")
    return timeline


async def _ask(connect: Mapping[str, Any], statement: LiteralString, parameters: Sequence[object]) -> Sequence[Any]:
    try:
        async with await psycopg.AsyncConnection.connect(**connect, dbname="postgres", autocommit=True) as session:
            await session.execute("SET synchronous_commit = local")
            row = await (await session.execute(statement, parameters)).fetchone()
            return row or ()
    except (psycopg.Error, OSError) as error:
        raise _no_answer(error) from error


async def count_rows(connect: Mapping[str, Any], *, settle_s: float = 0.0) -> dict[str, Count]:
    """Rows of all tables of people's databases, each database in one snapshot. With `settle_s` the statistics are read
    that much later, when sessions have handed over theirs. Raises DriverUnavailable."""
    counts: dict[str, Count] = {}
    try:
        async with await psycopg.AsyncConnection.connect(**connect, dbname="postgres", autocommit=True) as session:
            databases = [str(row[0]) for row in await (await session.execute(DATABASES)).fetchall()]
        for database in databases:
            # Statistics before the first snapshot and after the last one, so that they cover what is in between.
            async with await psycopg.AsyncConnection.connect(**connect, dbname=database) as session:
                await session.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
                await session.execute("SET LOCAL statement_timeout = %s" % int(COUNT_S_MAX * 1000))  # noqa: UP031
                known = await (await session.execute(TABLES)).fetchall()
                rows = {}
                for schema, table, _, _ in known:
                    statement = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, table))
                    answer = await (await session.execute(statement)).fetchone()
                    rows[schema, table] = int(answer[0]) if answer else 0
                await session.rollback()
                if settle_s:
                    await asyncio.sleep(settle_s)
                    known = await (await session.execute(TABLES)).fetchall()
            for schema, table, inserted, deleted in known:
                if (schema, table) in rows:
                    count = Count(rows[schema, table], int(inserted), int(deleted))
                    counts[f"{database}.{schema}.{table}"] = count
    except (psycopg.Error, OSError) as error:
        raise _no_answer(error) from error
    return counts


async def _check_pages(connect: Mapping[str, Any], work: Workplace) -> list[str]:
    """pg_amcheck on everything: B-trees against their rules, heap tuples against theirs."""
    arguments = ["--all", "--install-missing", "--heapallindexed", "--no-password", f"--host={connect['host']}"]
    arguments += [f"--port={connect['port']}", f"--username={SUPERUSER}"]
    try:
        await work.tools.run("pg_amcheck", arguments, cwd=work.scratch / "verify", deadline_s=AMCHECK_S_MAX)
    except DriverError as error:
        return [f"pg_amcheck: {error.message}"]
    return []


def _no_answer(error: Exception) -> DriverUnavailable:
    return DriverUnavailable(
        f"the server did not answer: {str(error).strip()}", subject="verify", hint="it is tried again"
    )
