"""Roles and the database of a new cluster, made once on its first primary; finding them made is fine.

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


async def prepare_database(sockets: Path, port: int, name: str, secrets: Secrets) -> None:
    """Make the replicator, and the application's role with a database of the same name that it owns."""
    try:
        async with await psycopg.AsyncConnection.connect(
            host=str(sockets),
            port=port,
            user=SUPERUSER,
            password=secrets.superuser,
            dbname="postgres",
            autocommit=True,
            options="-c synchronous_commit=local",
        ) as connection:
            await _make_role(connection, REPLICATOR, secrets.replicator, "LOGIN REPLICATION")
            await _make_role(connection, name, secrets.application, "LOGIN")
            known = await connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
            if await known.fetchone() is None:
                statement = sql.SQL("CREATE DATABASE {} OWNER {}")
                await connection.execute(statement.format(sql.Identifier(name), sql.Identifier(name)))
    except (psycopg.Error, OSError) as error:
        raise DriverUnavailable(
            f"roles and database could not be made: {str(error).strip()}",
            subject="database",
            hint="read the primary's log in the logs directory",
        ) from error


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
