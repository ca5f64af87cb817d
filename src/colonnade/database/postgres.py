"""The driver on real PostgreSQL servers. Nothing here decides.

What it remembers (handles, connections, when something was first seen) can be lost at any moment: `open` finds the
servers again by their directories.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import LiteralString

from colonnade.core.access import closed_directory
from colonnade.core.clock import Clock
from colonnade.core.errors import Bug, DriverError, DriverUnavailable, HostError
from colonnade.core.events import EventLog
from colonnade.core.files import disk_error, make_directory, read_json, write_json_durably
from colonnade.core.ports import PortAllocator, is_free
from colonnade.core.processes import Command, Credentials, start
from colonnade.database import ballast
from colonnade.database import clone as cloning
from colonnade.database.backup.place import archive_again, prepare_place
from colonnade.database.binaries import Binaries, find_binaries
from colonnade.database.config import (
    FOLLOW_FILE,
    NodeConfig,
    follow_conf,
    pg_hba_conf,
    postgresql_conf,
    settings_from_birth,
)
from colonnade.database.driver import DatabasePaths
from colonnade.database.fence import STANDBY_SIGNAL, end_processes, mark_as_standby
from colonnade.database.foreign import read_foreign, write_foreign
from colonnade.database.history import keep_histories
from colonnade.database.links import Links, directly, reached_from
from colonnade.database.monitor import Monitor
from colonnade.database.node import Node
from colonnade.database.operations import Operations
from colonnade.database.prepare import prepare_database
from colonnade.database.quorum import synchronous_names
from colonnade.database.secrets import Secrets, load_or_make_secrets, passfile
from colonnade.database.settings import check_settings, needed_by_data
from colonnade.database.shared_memory import remove_shared_memory
from colonnade.database.state import Address, ClusterRecord, Disk, NodeName, ObservedNode
from colonnade.database.tools import Toolbox
from colonnade.spec.model import DatabaseSpec

PROMOTE_S_MAX = 8.0
"""Replay may be held up by readers for max_standby_streaming_delay (5 s); the rest of a promotion takes tenths."""

PROMOTE_STEP_S = 0.003

END_WALSENDERS: LiteralString = "SELECT pg_terminate_backend(pid) FROM pg_stat_replication"

CHECKPOINT_S_MAX = 60.0
"""A checkpoint writes everything that waits in memory: seconds on a sound disk, whatever the size of the database."""

END_SESSIONS: LiteralString = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE backend_type = 'client backend'"
    " AND (usename IS DISTINCT FROM current_user OR application_name IS DISTINCT FROM 'colonnade-controller')"
)


@dataclass(frozen=True, slots=True)
class Host:
    """What the driver is given by whoever assembles the system."""

    paths: DatabasePaths
    credentials: Credentials | None
    base_env: Mapping[str, str] = field(repr=False)
    ports: PortAllocator
    events: EventLog
    clock: Clock
    links: Links = directly


class PostgresDriver:
    """`DatabaseDriver` for servers of this machine."""

    def __init__(self, spec: DatabaseSpec, host: Host) -> None:
        self._spec = spec
        self._host = host
        self._paths = host.paths
        self._nodes: dict[NodeName, Node] = {}
        self._members: tuple[NodeName, ...] = ()
        self._quorum = ""
        self._is_writing_overdue = False
        self._ports: dict[NodeName, int] = {}
        self._reached: dict[NodeName, frozenset[NodeName]] = {}
        self._wake: Callable[[], None] = lambda: None
        self._operations = Operations(host.events, host.clock, lambda: self._wake())
        self._syncing: asyncio.Task[None] | None = None
        self._binaries: Binaries | None = None
        self._secrets: Secrets | None = None

    # The machine.

    def set_waker(self, wake: Callable[[], None]) -> None:
        self._wake = wake

    def configure(self, record: ClusterRecord) -> None:
        for name in record.members:
            if name not in self._nodes:
                self._nodes[name] = Node(name, self._paths, self._host.clock)
                self._nodes[name].port = self._ports.get(name, 0)
        self._members = record.members
        self._quorum = synchronous_names(record.waits_for, record.quorum_names)

    def set_spec(self, spec: DatabaseSpec) -> None:
        self._spec = spec

    async def check_settings(self, spec: DatabaseSpec) -> None:
        text = postgresql_conf(spec, self._node_config(self._nodes[self._members[0]]))
        await check_settings(text, self._paths.root, self._toolbox)

    def disk(self) -> Disk | None:
        return ballast.look(self._paths.root, self._paths.ballast)

    async def set_ballast(self, *, is_there: bool) -> None:
        await asyncio.to_thread(ballast.set_ballast, self._paths.ballast, is_there=is_there)

    async def open(self) -> None:
        paths, credentials = self._paths, self._host.credentials
        owner = (credentials.user_id, credentials.group_id) if credentials else None
        # The servers' user passes through to its nodes and reads histories; it need not list what else is here.
        passage = 0o711 if credentials else 0o700
        make_directory(paths.root, mode=passage)
        # Ours, so that nobody who runs as the servers' user can put another directory in a node's place.
        make_directory(paths.root / "nodes", mode=passage, owner=(os.getuid(), os.getgid()) if credentials else None)
        make_directory(paths.history, mode=0o755)
        make_directory(paths.logs, mode=0o755)
        make_directory(paths.sockets, mode=0o700, owner=owner)
        for place in (paths.root, paths.sockets) if credentials else ():
            if credentials is not None and closed_directory(str(place), credentials.user_id, credentials.group_id):
                raise HostError(
                    f"cannot be reached by the user {credentials.user_name}, whom the database runs as",
                    subject=str(place),
                    hint=f"let others pass through its parents (`namei -l {place}`), or choose another --state-dir",
                )
        if self._spec.backup is not None:
            prepare_place(Path(self._spec.backup.directory), credentials)
        self._binaries = await find_binaries(credentials)
        self._secrets = load_or_make_secrets(paths.root, credentials)
        self._ports = {name: int(port) for name, port in (read_json(paths.root / "ports.json") or {}).items()}
        for node in self._nodes.values():
            node.port = self._ports.get(node.name, 0)
            await self._adopt(node)

    async def _adopt(self, node: Node) -> None:
        await cloning.settle_names(node.directory)
        self._check_directory(node)
        process = node.running_postmaster()
        if process is None:
            # Tools and orphans of an earlier controller, or a server too young to be known: none of them can be used.
            await self._end_processes(node)
        elif node.process is None:
            await end_processes((node.unfinished,))
            node.attach(process, self._monitor(node), self._wake)

    def _check_directory(self, node: Node) -> None:
        if not node.exists:
            return
        user_id = self._host.credentials.user_id if self._host.credentials else os.getuid()
        if node.directory.lstat().st_uid != user_id:
            raise HostError(
                f"belongs to user {node.directory.lstat().st_uid}, and the database runs as user {user_id}",
                subject=str(node.directory),
                hint=f"start as the same user as before, or `chown -R {user_id} {node.directory}`",
            )
        try:
            found = read_foreign(node.directory / "PG_VERSION", user_id).decode(errors="replace").strip()
        except OSError as error:
            raise disk_error(error, node.directory / "PG_VERSION") from error
        if found != str(self._known_binaries.major):
            raise HostError(
                f"holds data of PostgreSQL {found}, and PostgreSQL {self._known_binaries.version} is to be started",
                subject=str(node.directory),
                hint=f"put PostgreSQL {found} on PATH and dump with it, then start in an empty --state-dir and load",
            )

    async def observe(self) -> Mapping[NodeName, ObservedNode]:
        nodes = [self._nodes[name] for name in self._members]
        asks_disk = self._is_writing_overdue
        seen = await asyncio.gather(*(node.observe(self._upstream_ports(node), asks_disk=asks_disk) for node in nodes))
        self._is_writing_overdue = any(node.is_writing is False for node in seen)
        return {node.name: replace(node, reached_from=self._reached.get(node.name)) for node in seen}

    def _upstream_ports(self, node: Node) -> dict[int, NodeName]:
        """At which port it reaches whom."""
        others = (other for other in self._nodes.values() if other is not node and other.port)
        return {self._link(node, other).port: other.name for other in others}

    # Making and starting.

    async def create(self) -> str:
        nodes = list(self._nodes.values())
        for node in nodes:
            await self._end_processes(node)
            remove_shared_memory(node.shared_memory)
        directories = [node.directory for node in nodes]
        settings = settings_from_birth(self._spec)
        await cloning.create_directories(directories, settings, self._known_secrets, self._toolbox)
        # The disk works while the servers start; nothing counts as made before it is done (`prepare`).
        self._syncing = asyncio.create_task(asyncio.to_thread(cloning.sync_filesystem, self._paths.root))
        return cloning.system_identifier(directories[0])

    async def prepare(self, node: NodeName) -> None:
        handle = self._nodes[node]
        await prepare_database(self._paths.sockets, handle.port, self._spec.name, self._known_secrets)
        # A successor does not know whether it was synced, so it does it.
        await (self._syncing or asyncio.to_thread(cloning.sync_filesystem, self._paths.root))
        self._syncing = None
        handle.memory.opening_lsn = None  # what was just written has to be on the standbys as well

    async def start_primary(self, node: NodeName) -> None:
        handle = self._nodes[node]
        if not handle.is_running:
            await self._prepare_start(handle)
            (handle.directory / STANDBY_SIGNAL).unlink(missing_ok=True)
            self._launch(handle, None)

    async def start_standby(self, node: NodeName, upstream: NodeName | None) -> None:
        handle = self._nodes[node]
        if not handle.is_running:
            await self._prepare_start(handle)
            mark_as_standby(handle.directory)
            try:
                needed = await needed_by_data(handle.directory, self._toolbox)
            except DriverError:
                needed = {}  # damaged: the start itself says how
            self._launch(handle, upstream, needed)

    async def _prepare_start(self, node: Node) -> None:
        """Nobody else may be at work in the directory, and the port must be free."""
        await node.detach()
        await self._end_processes(node)
        remove_shared_memory(node.shared_memory)
        self._forget_pid(node)
        if not node.port or not is_free("127.0.0.1", node.port):
            node.port = self._host.ports.take()
            self._save_ports()

    def _save_ports(self) -> None:
        self._ports = {node.name: node.port for node in self._nodes.values() if node.port}
        write_json_durably(self._paths.root / "ports.json", self._ports)

    def _launch(self, node: Node, upstream: NodeName | None, needed: Mapping[str, int] | None = None) -> None:
        has_old_settings = self._write_config(node, needed)
        self._write_follow(node, upstream)
        process = start(
            Command(
                argv=(str(self._known_binaries.directory / "postgres"), "-D", str(node.directory)),
                cwd=node.directory,
                env=self._env,
                log_path=self._paths.logs / f"db-{node.name}.log",
                credentials=self._host.credentials,
            )
        )
        node.attach(process, self._monitor(node), self._wake)
        node.memory.has_old_settings = has_old_settings

    # Failover.

    async def fence(self, node: NodeName) -> None:
        handle = self._nodes[node]
        await self._end_processes(handle)
        await handle.detach()
        mark_as_standby(handle.directory)
        # Before anyone else can be promoted: the timeline number it may have taken is taken.
        keep_histories(handle.pg_wal, self._paths.history)
        remove_shared_memory(handle.shared_memory)
        self._forget_pid(handle)
        handle.memory.is_proved_dead = True

    def _forget_pid(self, handle: Node) -> None:
        """Until somebody reaps it, a dead postmaster's pid still answers a signal, and PostgreSQL (also the one that
        pg_rewind runs) would take that for another server in this directory."""
        (handle.directory / "postmaster.pid").unlink(missing_ok=True)
        self._remove_socket(handle)  # its lock names the same pid

    async def _end_processes(self, node: Node) -> None:
        running = node.process.pid if node.process is not None and node.is_running else None
        await end_processes((node.directory, node.unfinished), running)

    def _remove_socket(self, handle: Node) -> None:
        for leftover in (f".s.PGSQL.{handle.port}", f".s.PGSQL.{handle.port}.lock"):
            (self._paths.sockets / leftover).unlink(missing_ok=True)

    async def quiesce(self, node: NodeName) -> None:
        self._reload_follow(self._nodes[node], None)

    async def end_sessions(self, node: NodeName) -> None:
        if (monitor := self._nodes[node].monitor) is not None:
            await monitor.execute(END_SESSIONS)

    async def follow(self, node: NodeName, upstream: NodeName) -> None:
        self._reload_follow(self._nodes[node], upstream)

    def _reload_follow(self, node: Node, upstream: NodeName | None) -> None:
        if node.process is not None and node.is_running:
            self._write_follow(node, upstream)
            node.process.send(signal.SIGHUP)
            node.memory.unlinked_since_s = None

    async def promote(self, node: NodeName) -> None:
        handle = self._nodes[node]
        monitor = handle.monitor
        if monitor is None:
            raise DriverUnavailable("is not running", subject=f"database/{node}", hint="it is looked at again")
        clock = self._host.clock
        deadline = clock.monotonic() + PROMOTE_S_MAX
        asked = False
        while True:
            # A reader's open transaction can hold up replay, and so the promotion, for seconds.
            await monitor.execute(END_SESSIONS)
            if not asked:
                await monitor.execute("SELECT CASE WHEN pg_is_in_recovery() THEN pg_promote(false) END")
                asked = True
            for _ in range(20):
                if (await monitor.execute("SELECT pg_is_in_recovery()"))[0][0] is False:
                    return
                await clock.sleep(PROMOTE_STEP_S)
            if clock.monotonic() > deadline:
                raise DriverUnavailable(
                    f"was not promoted within {PROMOTE_S_MAX:g} s; it may still be",
                    subject=f"database/{node}",
                    hint=f"read {self._paths.logs / f'db-{node}.log'}",
                )

    # Members and settings.

    async def reconfigure(self, node: NodeName) -> None:
        handle = self._nodes[node]
        if handle.process is not None and handle.is_running:
            self._write_config(handle)
            handle.process.send(signal.SIGHUP)

    async def restart_walsenders(self, node: NodeName) -> None:
        if (monitor := self._nodes[node].monitor) is not None:
            await monitor.execute(END_WALSENDERS)

    async def probe_links(self) -> None:
        running = {node.name: node.address for node in self._nodes.values() if node.is_running}
        self._reached = await reached_from(running, self._host.links, self._known_secrets)

    async def checkpoint(self, node: NodeName) -> None:
        """Make the server write down what it has in memory; looks go on meanwhile. Raises DriverUnavailable after
        CHECKPOINT_S_MAX: the checkpoint goes on all the same."""
        if (monitor := self._nodes[node].monitor) is None:
            raise DriverUnavailable("is not running", subject=f"database/{node}", hint="it is looked at again")
        await monitor.execute_apart("CHECKPOINT", time_limit_s=CHECKPOINT_S_MAX)

    async def remove(self, node: NodeName) -> None:
        handle = self._nodes.pop(node, None)
        if handle is not None:
            await self._operations.cancel(handle)
            await handle.detach()
            await cloning.remove_directories((handle.unfinished, handle.directory))

    async def keep_history(self, node: NodeName) -> None:
        keep_histories(self._nodes[node].pg_wal, self._paths.history)

    # Coming back.

    def rejoin(self, node: NodeName, upstream: NodeName, generation: int) -> None:
        self._operations.begin(
            self._nodes[node], "rewind", generation, self._rewind(self._nodes[node], self._nodes[upstream])
        )

    def clone(self, node: NodeName, upstream: NodeName, generation: int) -> None:
        self._operations.begin(
            self._nodes[node], "clone", generation, self._clone(self._nodes[node], self._nodes[upstream])
        )

    async def _rewind(self, node: Node, source: Node) -> None:
        await self.fence(node.name)
        if foreign := keep_histories(node.pg_wal, self._paths.history):
            raise HostError(
                f"has histories that are not ours: {', '.join(foreign)}", subject=node.name, hint="it is cloned instead"
            )
        # The source's control file names its timeline only after a checkpoint.
        await self.checkpoint(source.name)
        self._write_config(node)
        await cloning.rewind_directory(node.directory, self._paths.sockets, source.port, self._toolbox)

    async def _clone(self, node: Node, source: Node) -> None:
        await self.fence(node.name)
        await cloning.clone_directory(
            node.name, node.unfinished, self._link(node, source), passfile(self._paths.root), self._toolbox
        )
        await asyncio.to_thread(archive_again, node.unfinished)
        await cloning.put_in_place(node.unfinished, node.directory)

    # The end.

    async def stop(self, node: NodeName, *, grace_period_s: float) -> None:
        handle = self._nodes[node]
        await self._operations.cancel(handle)
        if handle.process is not None and handle.is_running:
            handle.process.send(signal.SIGINT)  # PostgreSQL's fast shutdown: sessions end, a last checkpoint is made
            handle.process.send(signal.SIGCONT)
            await handle.process.wait(grace_period_s)
        await self._end_processes(handle)
        remove_shared_memory(handle.shared_memory)
        await handle.detach()
        self._remove_socket(handle)

    async def close(self) -> None:
        for node in self._nodes.values():
            await self._operations.cancel(node)
            await node.detach()

    # Files.

    def _write_config(self, node: Node, needed: Mapping[str, int] | None = None) -> bool:
        """True when the node's data asks for more than is declared."""
        declared = postgresql_conf(self._spec, self._node_config(node))
        text = postgresql_conf(self._spec, self._node_config(node), needed)
        self._write(node, "postgresql.conf", text)
        self._write(node, "pg_hba.conf", pg_hba_conf())
        self._write(node, "postgresql.auto.conf", "")
        return sorted(text.splitlines()) != sorted(declared.splitlines())

    def _node_config(self, node: Node) -> NodeConfig:
        return NodeConfig(
            name=node.name,
            port=node.port,
            sockets=self._paths.sockets,
            history=self._paths.history,
            quorum=self._quorum,
            major=self._known_binaries.major,
        )

    def _link(self, node: Node, upstream: Node) -> Address:
        return self._host.links(node.name, upstream.name, upstream.address)

    def _write_follow(self, node: Node, upstream: NodeName | None) -> None:
        address = self._link(node, self._nodes[upstream]) if upstream is not None else None
        self._write(node, FOLLOW_FILE, follow_conf(node.name, address, passfile(self._paths.root)))

    def _write(self, node: Node, name: str, text: str) -> None:
        path = node.directory / name
        credentials = self._host.credentials
        owner = (credentials.user_id, credentials.group_id) if credentials else None
        try:
            found = read_foreign(path, owner[0] if owner else os.getuid())
        except OSError:
            found = None
        if found != text.encode():
            # Atomically but not durably: it is written anew at every start, and a failover must not wait for a disk.
            write_foreign(path, text, owner)

    # What `open` found.

    @property
    def _known_binaries(self) -> Binaries:
        if self._binaries is None:
            raise Bug("the driver was used before it was opened", subject="database")
        return self._binaries

    @property
    def _known_secrets(self) -> Secrets:
        if self._secrets is None:
            raise Bug("the driver was used before it was opened", subject="database")
        return self._secrets

    @property
    def _env(self) -> dict[str, str]:
        return {
            **self._host.base_env,
            "PATH": f"{self._known_binaries.directory}:/usr/bin:/bin",
            "LC_ALL": "C",
            "PGPASSFILE": str(passfile(self._paths.root)),
        }

    @property
    def _toolbox(self) -> Toolbox:
        binaries = self._known_binaries
        return Toolbox(binaries.directory, self._env, self._paths.logs, binaries.major, self._host.credentials)

    def _monitor(self, node: Node) -> Monitor:
        return Monitor(self._paths.sockets, node.port, self._known_secrets.superuser)
