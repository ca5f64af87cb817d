"""Checks of [database]: quorum, the database of somebody else, parameters that are not for setting. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from colonnade.spec.derive import DATABASE, own_database
from colonnade.spec.model import DatabaseSpec, Spec
from colonnade.spec.problem import Problem

POOL_SIZE_DEFAULT = 10
"""Connections of one replica when DATABASE_POOL_SIZE does not say. Chosen between what common pools open by default:
psycopg_pool 4, asyncpg 10, SQLAlchemy 5 + 10."""

OWN_PARAMETERS: Mapping[str, str] = {
    "max_connections": "use `connections_max`",
    "shared_buffers": "use `shared_buffers` in [database] itself",
    "synchronous_commit": "use `durability`",
    "synchronous_standby_names": "use `durability` and `quorum_size`",
}
"""Parameters that have a key of their own."""

FIXED_PARAMETERS = frozenset(
    {
        # without these an acknowledged write can be lost
        "fsync", "full_page_writes", "wal_level", "wal_log_hints", "wal_sync_method", "data_sync_retry",
        # how nodes find, follow and replace each other
        "hot_standby", "primary_conninfo", "primary_slot_name", "restore_command", "recovery_target_timeline",
        "restart_after_crash", "max_wal_senders", "max_replication_slots", "cluster_name",
        # the archive that backups rest on
        "archive_mode", "archive_command", "archive_library", "archive_timeout", "summarize_wal",
        "wal_summary_keep_time",
        # where it listens, who gets in, where its files are
        "listen_addresses", "port", "unix_socket_directories", "unix_socket_permissions", "password_encryption",
        "data_directory", "config_file", "hba_file", "ident_file", "external_pid_file",
        "logging_collector", "log_destination", "superuser_reserved_connections", "reserved_connections",
    }
)  # fmt: skip
"""Parameters that durability, failover or the controller rest on."""


INCREMENTAL_EVERY_S_MIN = 60.0
"""A backup makes a checkpoint; more often than once a minute it would do little else."""


def check_database(database: DatabaseSpec) -> list[Problem]:
    if {"url", "read_url"} & database.model_fields_set:
        return list(_somebody_elses(database))
    return [*_quorum(database), *_parameters(database), *_backup(database)]


def _somebody_elses(database: DatabaseSpec) -> Iterator[Problem]:
    if not database.url:
        yield Problem(("database", "url"), "is empty", hint="give the address of the primary, or take it out")
    for name in sorted(database.model_fields_set - {"url", "read_url"}):
        alias = type(database).model_fields[name].alias or name
        yield Problem(
            ("database", alias),
            "has no effect on a database that is not ours (`url`)",
            hint=f"take `{alias}` out, or `url`",
        )


def check_url(key: str, url: str) -> list[Problem]:
    """`url` after substitution; never shows it."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("postgresql", "postgres") and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if good:
        return []
    return [Problem(("database", key), "expected an address such as postgresql://user:password@host:5432/name")]


def substitute(text: str, environ: Mapping[str, str]) -> tuple[str, list[str]]:
    """`text` with $NAME and ${NAME} filled in, and the names that the environment does not have. `$$` is a dollar."""
    missing: list[str] = []

    def value_of(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name is None:
            return "$"
        if name not in environ:
            missing.append(name)
        return environ.get(name, "")

    return re.sub(r"\$(?:\$|([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})", value_of, text), missing


def _quorum(database: DatabaseSpec) -> Iterator[Problem]:
    given = database.model_fields_set
    if database.durability == "async":
        if "quorum_size" in given:
            yield Problem(("database", "quorum_size"), 'has no effect with durability = "async"')
    elif database.standbys == 0:
        # The defaults become plain PostgreSQL; a quorum that was asked for by name cannot be had, so we say so.
        for key in ("durability", "quorum_size"):
            if key in given:
                yield Problem(
                    ("database", key),
                    "asks for a quorum, but standbys = 0: there is nobody to have a copy",
                    hint="set standbys = 2, or take the key out: a single node acknowledges what is on its own disk",
                )
    elif database.quorum_size > database.standbys:
        yield Problem(
            ("database", "quorum_size"),
            f"expected at most standbys = {database.standbys}, got {database.quorum_size}: no COMMIT would ever return",
        )


def _backup(database: DatabaseSpec) -> Iterator[Problem]:
    backup = database.backup
    if backup is None:
        return
    if not backup.directory.strip() or any(character in backup.directory for character in "\0\n"):
        yield Problem(("database", "backup", "directory"), 'expected a directory, such as "backups"')
    if backup.incremental_every_s >= backup.full_every_s and "incremental_every_s" in backup.model_fields_set:
        yield Problem(
            ("database", "backup", "incremental_every"),
            f"expected less than full_every = {backup.full_every_s:g} s, got {backup.incremental_every_s:g} s: "
            "there would never be an incremental backup",
            hint="make it shorter than `full_every`, or 0 for none",
        )
    if 0 < backup.incremental_every_s < INCREMENTAL_EVERY_S_MIN:
        yield Problem(
            ("database", "backup", "incremental_every"),
            f"expected 0 or at least {INCREMENTAL_EVERY_S_MIN:g} s, got {backup.incremental_every_s:g} s",
            hint="`archive_timeout` bounds what can be lost; incrementals only shorten a restore",
        )


def _parameters(database: DatabaseSpec) -> Iterator[Problem]:
    for name in database.parameters:
        key = ("database", "parameters", name)
        folded = name.lower()
        if folded in OWN_PARAMETERS:
            yield Problem(key, "has a key of its own", hint=OWN_PARAMETERS[folded])
        elif folded in FIXED_PARAMETERS:
            yield Problem(key, "cannot be set: durability and failover rest on its value", hint="take it out")
        elif re.fullmatch(r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?", folded) is None:
            yield Problem(key, 'expected the name of a PostgreSQL parameter, such as "work_mem"')


def database_warnings(spec: Spec, environments: Mapping[str, Mapping[str, str]]) -> list[str]:
    """What [database] allows but does not promise, and whether all replicas' pools fit into it."""
    database = own_database(spec)
    if database is None:
        return []
    warnings = []
    if database.standbys == 0:
        warnings.append("database.standbys: with 0 there is one copy of the data and nobody to take over")
    elif database.durability == "quorum" and database.quorum_size == database.standbys:
        warnings.append(
            f"database.quorum_size: all {database.standbys} standbys must confirm, "
            "so writes wait while any of them is away; one standby more would avoid it"
        )
    if database.durability == "async":
        warnings.append("database.durability: with async a failover can lose the last acknowledged writes")
    wanted = {
        name: service.replicas.max * _pool_size(environments.get(name, service.env))
        for name, service in spec.services.items()
        if DATABASE in service.uses
    }
    if sum(wanted.values()) > database.connections_max:
        sums = ", ".join(f"{name} {count}" for name, count in wanted.items())
        warnings.append(
            f"database.connections_max: {database.connections_max} connections, but the pools of all replicas may open "
            f"{sum(wanted.values())} ({sums}): raise it, or lower DATABASE_POOL_SIZE or replicas"
        )
    return warnings


def _pool_size(variables: Mapping[str, str]) -> int:
    text = variables.get("DATABASE_POOL_SIZE", "")
    return int(text) if text.isascii() and text.isdigit() else POOL_SIZE_DEFAULT
