"""Roles, the database and its `colonnade.position()`: made once on a cluster's first primary, and found made later.

None of it waits for standbys: the endpoint opens only when enough of them have it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from secrets import token_bytes
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from colonnade.core.errors import DriverUnavailable
from colonnade.database.scram import SALT_BYTES, scram_verifier
from colonnade.database.secrets import REPLICATOR, SUPERUSER, Secrets

POSITION_FUNCTION: LiteralString = """
CREATE OR REPLACE FUNCTION colonnade.position(
    OUT system_identifier text,
    OUT timeline integer,
    OUT lsn bigint,
    OUT in_recovery boolean,
    OUT history text,
    OUT received bigint,
    OUT lag_s double precision
)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
    known_end pg_lsn;
BEGIN
    in_recovery := pg_is_in_recovery();
    system_identifier := (SELECT c.system_identifier::text FROM pg_control_system() c);
    IF in_recovery THEN
        -- Which history it follows is certain only while it streams: one that lost its primary may be past a fork.
        SELECT r.received_tli, greatest(r.latest_end_lsn, r.flushed_lsn) INTO timeline, known_end
        FROM pg_stat_wal_receiver r WHERE r.status = 'streaming';
        lsn := pg_last_wal_replay_lsn() - '0/0'::pg_lsn;
        received := greatest(known_end, pg_last_wal_receive_lsn()) - '0/0'::pg_lsn;
        lag_s := CASE WHEN received > lsn
            THEN extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) ELSE 0 END;
    ELSE
        -- Flushed, not inserted: after a COMMIT its record is below it, and little that may be lost is.
        lsn := pg_current_wal_flush_lsn() - '0/0'::pg_lsn;
        timeline := ('x' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8))::bit(32)::integer;
        received := lsn;
        lag_s := 0;
    END IF;
    history := coalesce(
        pg_read_file('pg_wal/' || lpad(upper(to_hex(timeline)), 8, '0') || '.history', true), '');
END
$function$
"""
"""Where this node stands in the history of its cluster, for the tokens of `colonnade.client`. LSNs in bytes.

An application's role may see neither timelines nor files, so the function belongs to the superuser, with a search_path
that nobody can put anything into. It writes nothing, so standbys can run it. `timeline` is NULL on a standby that does
not stream; `received` is the end of the log that the node has heard of, `lag_s` the age of its last replayed commit
while it has not replayed up to there, else 0.
"""


async def prepare_database(sockets: Path, port: int, name: str, secrets: Secrets) -> None:
    """Make the replicator, the application's role with a database of the same name that it owns, and in that database
    the function `colonnade.position()`."""
    try:
        async with await _connect(sockets, port, "postgres", secrets) as connection:
            await _make_role(connection, REPLICATOR, secrets.replicator, "LOGIN REPLICATION")
            await _make_role(connection, name, secrets.application, "LOGIN")
            known = await connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
            if await known.fetchone() is None:
                statement = sql.SQL("CREATE DATABASE {} OWNER {}")
                await connection.execute(statement.format(sql.Identifier(name), sql.Identifier(name)))
        async with await _connect(sockets, port, name, secrets) as connection:
            await connection.execute("CREATE SCHEMA IF NOT EXISTS colonnade")
            await connection.execute("GRANT USAGE ON SCHEMA colonnade TO PUBLIC")
            await connection.execute(POSITION_FUNCTION)
            await connection.execute("GRANT EXECUTE ON FUNCTION colonnade.position() TO PUBLIC")
    except (psycopg.Error, OSError) as error:
        raise DriverUnavailable(
            f"roles and database could not be made: {str(error).strip()}",
            subject="database",
            hint="read the primary's log in the logs directory",
        ) from error


async def _connect(
    sockets: Path, port: int, database: str, secrets: Secrets
) -> psycopg.AsyncConnection[tuple[object, ...]]:
    return await psycopg.AsyncConnection.connect(
        host=str(sockets),
        port=port,
        user=SUPERUSER,
        password=secrets.superuser,
        dbname=database,
        autocommit=True,
        options="-c synchronous_commit=local",
    )


async def prepare_restored(connect: Mapping[str, Any], name: str, secrets: Secrets) -> None:
    """Give the roles of a restored cluster the passwords that we have now: it may come from another machine.
    `connect` leads to its private socket."""
    try:
        async with await psycopg.AsyncConnection.connect(**connect, dbname="postgres", autocommit=True) as connection:
            await connection.execute("SET synchronous_commit = local")
            await _make_role(connection, REPLICATOR, secrets.replicator, "LOGIN REPLICATION")
            await _make_role(connection, name, secrets.application, "LOGIN")
            await _make_role(connection, SUPERUSER, secrets.superuser, "LOGIN SUPERUSER")
    except (psycopg.Error, OSError) as error:
        raise DriverUnavailable(
            f"the passwords could not be set: {str(error).strip()}",
            subject="restore",
            hint="read the log of the restore",
        ) from error


async def _make_role(
    connection: psycopg.AsyncConnection[tuple[object, ...]], role: str, password: str, attributes: LiteralString
) -> None:
    known = await connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,))
    verb: LiteralString = "CREATE" if await known.fetchone() is None else "ALTER"
    # The password travels as a SCRAM verifier, so it is in no server log even when statements are logged.
    verifier = scram_verifier(password, token_bytes(SALT_BYTES))
    statement = sql.SQL(f"{verb} ROLE {{}} {attributes} PASSWORD {{}}")
    await connection.execute(statement.format(sql.Identifier(role), sql.Literal(verifier)))
