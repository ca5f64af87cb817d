"""The text of a node's configuration. Pure: the same declaration gives the same files on every node.

The whole of postgresql.conf is ours, so that nothing of it depends on what initdb, a base backup or a rewind left
there. What changes while a node runs (whom it follows) is in a small file of its own.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from colonnade.core.errors import SpecError
from colonnade.database.backup.commands import archive_command, archive_place
from colonnade.database.secrets import REPLICATOR, SUPERUSER
from colonnade.database.state import NODE_NAMES, Address, NodeName
from colonnade.spec.model import DatabaseSpec

FOLLOW_FILE = "colonnade.follow.conf"

RESERVED_CONNECTIONS = 5
"""Kept for the controller: one to look, one to act, and room for a person with psql while all others wait."""

WAL_KEPT = "256MB"
"""How far a standby may fall behind and still catch up. Bounded, so a dead standby cannot fill the disk; there are no
slots that a new primary would have to inherit. Beyond it the standby is cloned anew."""

OURS = frozenset(
    """
    allow_alter_system archive_cleanup_command archive_command archive_library archive_mode archive_timeout
    cluster_name config_file
    data_directory data_sync_retry dynamic_shared_memory_type external_pid_file fsync full_page_writes hba_file
    hot_standby hot_standby_feedback ident_file include include_dir include_if_exists listen_addresses
    max_connections max_replication_slots max_slot_wal_keep_size max_standby_archive_delay
    max_standby_streaming_delay max_wal_senders password_encryption port primary_conninfo primary_slot_name
    promote_trigger_file recovery_end_command recovery_init_sync_method recovery_min_apply_delay recovery_target
    recovery_target_action recovery_target_inclusive recovery_target_lsn recovery_target_name recovery_target_time
    recovery_target_timeline recovery_target_xid reserved_connections restart_after_crash restore_command
    shared_buffers shared_memory_type ssl summarize_wal superuser_reserved_connections sync_replication_slots
    synchronous_commit synchronous_standby_names unix_socket_directories unix_socket_group unix_socket_permissions
    wal_keep_size wal_level wal_log_hints wal_receiver_create_temp_slot wal_receiver_status_interval
    wal_receiver_timeout wal_retrieve_retry_interval wal_sender_timeout wal_summary_keep_time zero_damaged_pages
    """.split()  # noqa: SIM905 - a block of names reads better than a list
)
"""Parameters that durability, fencing or the controller rest on, or that have a key of their own."""


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """What distinguishes one node's files from another's."""

    name: NodeName
    port: int
    sockets: Path
    history: Path
    quorum: str
    """synchronous_standby_names."""
    major: int


def check_parameters(parameters: Mapping[str, object]) -> None:
    """Raises SpecError for parameters that cannot be set in the declaration."""
    for name, value in parameters.items():
        if name.lower() in OURS:
            raise SpecError(
                f"{name} cannot be set: the database's durability or its management rests on it",
                subject=f"database.parameters.{name}",
                hint=f"remove {name} from [database.parameters] in colonnade.toml",
            )
        if not name.replace(".", "_").isidentifier() or (isinstance(value, str) and "\n" in value):
            raise SpecError(
                "is not a PostgreSQL parameter",
                subject=f"database.parameters.{name}",
                hint="write names as in PostgreSQL's manual, such as work_mem",
            )


def acknowledgements_of(spec: DatabaseSpec) -> int:
    """How many standbys a COMMIT waits for. Raises SpecError when there are not so many."""
    if spec.durability == "async" or spec.standbys == 0:
        return 0
    if spec.quorum_size > spec.standbys:
        raise SpecError(
            f"a COMMIT would wait for {spec.quorum_size} standbys, and there are {spec.standbys}: writes would hang",
            subject="database.quorum_size",
            hint=f"set quorum_size to at most {spec.standbys}, or standbys to at least {spec.quorum_size}",
        )
    return spec.quorum_size


CHECKED_BY_STANDBYS = (
    "max_connections",
    "max_locks_per_transaction",
    "max_prepared_transactions",
    "max_wal_senders",
    "max_worker_processes",
)
"""A standby refuses to start when one of these is below what the WAL says its primary had."""

DEFAULTS_CHECKED: Mapping[str, int] = {
    "max_connections": 100,
    "max_locks_per_transaction": 64,
    "max_prepared_transactions": 0,
    "max_wal_senders": 10,
    "max_worker_processes": 8,
}
"""PostgreSQL's own."""


WALSENDERS_MAX = 2 * len(NODE_NAMES) + 4
"""Enough for as many nodes as there may ever be, each with a clone beside it: members come and go without a restart."""


def settings_from_birth(spec: DatabaseSpec) -> dict[str, str | int | float | bool]:
    """What initdb has to know already: otherwise standbys compare themselves with its defaults."""
    chosen = {name: value for name, value in spec.parameters.items() if name in CHECKED_BY_STANDBYS}
    return chosen | {"max_connections": spec.connections_max, "max_wal_senders": WALSENDERS_MAX}


def postgresql_conf(spec: DatabaseSpec, node: NodeConfig, at_least: Mapping[str, int] | None = None) -> str:
    """The whole postgresql.conf of a node. The user's parameters come last but for what must not change; `at_least`
    raises those that a standby's data asks for."""
    settings: dict[str, str | int | float | bool] = {
        "cluster_name": f"colonnade-{node.name}",
        # Who may talk to it.
        "listen_addresses": "127.0.0.1",
        "port": node.port,
        "unix_socket_directories": str(node.sockets),
        "superuser_reserved_connections": RESERVED_CONNECTIONS,
        "password_encryption": "scram-sha-256",
        # A client whose machine or gateway vanished must not hold its slot for the kernel's two hours.
        "tcp_keepalives_idle": 10,
        "tcp_keepalives_interval": 5,
        "tcp_keepalives_count": 3,
        "tcp_user_timeout": "20s",
        # What is acknowledged is on disk, here and on a quorum. The list is the same on every node at all times;
        # a primary's own name in it is harmless.
        "fsync": True,
        "full_page_writes": True,
        "synchronous_commit": "on",
        "synchronous_standby_names": node.quorum,
        # After a backend's crash PostgreSQL would restart itself and show commits that no standby has.
        "restart_after_crash": False,
        # pg_rewind needs them (checksums are on as well).
        "wal_level": "replica",
        "wal_log_hints": True,
        "max_replication_slots": WALSENDERS_MAX,
        "wal_keep_size": WAL_KEPT,
        "max_slot_wal_keep_size": "1GB",
        # A dead link is noticed after 5 s; a reply every second keeps the lag that is shown honest.
        "wal_sender_timeout": "5s",
        "wal_receiver_timeout": "5s",
        "wal_receiver_status_interval": "1s",
        # How soon a standby that lost its primary looks again; a reload wakes it at once.
        "wal_retrieve_retry_interval": "250ms",
        # Readers may hold up replay for 5 s, so a promotion never waits longer for them; they may not hold up
        # the primary's vacuum (no feedback): a reader that is cancelled is sent to the primary.
        "hot_standby": True,
        "hot_standby_feedback": False,
        "max_standby_streaming_delay": "5s",
        "max_standby_archive_delay": "5s",
        "recovery_target_timeline": "latest",
        "restore_command": restore_command(node.history),
        # A thousand fsyncs before a crash recovery took up to 2.5 s on a busy disk, one syncfs a tenth of it.
        "recovery_init_sync_method": "syncfs",
        # The machine.
        "shared_buffers": f"{spec.shared_buffers_bytes // 1024}kB",
        "dynamic_shared_memory_type": "posix",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_line_prefix": "%m [%p] %q%u@%d ",
        "log_checkpoints": False,
        "max_wal_size": "512MB",
    }
    if node.major >= 17:
        settings["allow_alter_system"] = False
    if node.major >= 18:
        # Three I/O workers per node are three processes more to fence; small databases live in the page cache.
        settings["io_method"] = "sync"
    settings |= _archiving(spec, node.major)
    settings |= spec.parameters | settings_from_birth(spec)
    for name, value in (at_least or {}).items():
        if value > int(settings.get(name, DEFAULTS_CHECKED[name])):
            settings[name] = value
    return configuration_text(settings) + f"include_if_exists = '{FOLLOW_FILE}'\n"


def configuration_text(settings: Mapping[str, str | int | float | bool]) -> str:
    """A postgresql.conf with these settings."""
    lines = ["# Written by Colonnade at every start of this node; changes belong into colonnade.toml."]
    lines += [f"{name} = {_value(value)}" for name, value in settings.items()]
    return "\n".join(lines) + "\n"


def _archiving(spec: DatabaseSpec, major: int) -> dict[str, str | int | float | bool]:
    """On every node, standbys too: with `on` a failover while the archiver was behind left a hole for ever."""
    backup = spec.backup
    if backup is None:
        return {}
    settings: dict[str, str | int | float | bool] = {
        "archive_mode": "always",
        "archive_command": archive_command(archive_place(Path(backup.directory))),
        "archive_timeout": max(1, round(backup.archive_timeout_s)),
    }
    # What incremental backups are made from.
    return settings | ({"summarize_wal": True} if major >= 17 else {})


def pg_hba_conf() -> str:
    """Passwords everywhere. The superuser only over the private socket directory, replication only over loopback."""
    return (
        "local  all          all                          scram-sha-256\n"
        f"host   all          {SUPERUSER:<28} all            reject\n"
        f"host   replication  {REPLICATOR:<28} 127.0.0.1/32   scram-sha-256\n"
        f"host   all          all                          127.0.0.1/32   scram-sha-256\n"
    )


def follow_conf(name: NodeName, upstream: Address | None, passfile: Path) -> str:
    """Whom the node follows, under its own name; nobody when `upstream` is None."""
    if upstream is None:
        return "primary_conninfo = ''\n"
    return f"primary_conninfo = {_value(replication_conninfo(name, upstream, passfile))}\n"


def replication_conninfo(application_name: str, upstream: Address, passfile: Path) -> str:
    """A libpq connection string for the replicator. `application_name` is what the primary counts in its quorum."""
    parts: dict[str, str | int] = {
        "host": upstream.host,
        "port": upstream.port,
        "user": REPLICATOR,
        "passfile": str(passfile),
        "application_name": application_name,
        "connect_timeout": 2,
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "sslmode": "disable",
        "gssencmode": "disable",
    }
    return " ".join(f"{key}={_conninfo_value(value)}" for key, value in parts.items())


def restore_command(history: Path) -> str:
    """Serve timeline histories and nothing else: a node must never choose a timeline that somebody had already."""
    directory = shlex.quote(str(history)).replace("%", "%%")
    return f"test -f {directory}/%f && cp {directory}/%f %p"


def _value(value: str | float | bool) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, int | float):
        return str(value)
    escaped = value.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"


def _conninfo_value(value: str | int) -> str:
    text = str(value).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{text}'"
