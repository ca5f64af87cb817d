"""The database as a part of the system: nodes, dbgate in front of them, and the two addresses that services get.

A node's place among the members is its slot in dbgate. What the nodes do is the database's affair; here its routes
become the gateway's membership, and its view the status that people read.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from colonnade.core.clock import Clock
from colonnade.core.events import EventLog
from colonnade.core.files import make_directory
from colonnade.core.ports import PortAllocator
from colonnade.core.processes import Credentials
from colonnade.core.processor import cores_count
from colonnade.database.backup.commands import archive_place
from colonnade.database.backup.restore import finish_swap
from colonnade.database.backup.service import BackupService
from colonnade.database.backup.workplace import open_workplace
from colonnade.database.build import build_controller
from colonnade.database.controller import DatabaseController
from colonnade.database.driver import DatabasePaths
from colonnade.database.links import directly
from colonnade.database.secrets import load_or_make_secrets
from colonnade.database.state import NODE_NAMES, Address, DatabaseView, NodeName, Routes
from colonnade.database.statistics import StatisticsReader
from colonnade.gateway.controller import GatewayController, Surroundings
from colonnade.gateway.dbconfig import (
    DatabaseGatewaySettings,
    database_membership,
    process_for_database,
    render_dbgate,
)
from colonnade.gateway.process import GatewayPaths, process_text
from colonnade.spec.model import DatabaseSpec
from colonnade.system.detours import DBGATE, STRAIGHT, Detours
from colonnade.system.keeper_link import KeeperLink, listen_somewhere
from colonnade.system.paths import StatePaths
from colonnade.system.plans import DATABASE_PRIMARY, DATABASE_STANDBYS

CONNECTIONS_KEPT = 20
"""Of max_connections, for the controller, replication, clones and psql; dbgate admits the rest."""

DBGATE_LOOK_EVERY_S = 5.0
"""It has no checks to follow, roles are set when they change, and its death is seen by pidfd: looking only corrects
what should never happen."""

Spawn = Callable[[Coroutine[Any, Any, None], str], None]


class DatabasePart:
    """Nodes and dbgate together. dbgate starts with the first routes that the database publishes: an adopted one
    must not be told in between that there is no primary."""

    def __init__(
        self,
        spec: DatabaseSpec,
        gateway: GatewayController,
        urls: tuple[str, str],
        endpoints: tuple[str, str],
        detours: Detours = STRAIGHT,
    ) -> None:
        self._spec = spec
        self._detours = detours
        self.gateway = gateway
        self.url, self.read_url = urls
        self._primary_endpoint, self._standbys_endpoint = endpoints
        self._controller: DatabaseController | None = None
        self.backups: BackupService | None = None
        self.statistics: StatisticsReader | None = None
        self._spawn: Spawn | None = None
        self._is_gateway_started = False
        self._is_stopping = False

    def connect(self, controller: DatabaseController) -> None:
        self._controller = controller

    @property
    def controller(self) -> DatabaseController:
        if self._controller is None:
            raise RuntimeError("the database part was not connected")
        return self._controller

    async def start(self, spawn: Spawn) -> None:
        """Nodes up and endpoints open. Raises what `DatabaseController.start` raises."""
        self._spawn = spawn
        await self.controller.start()
        spawn(self.controller.run(), "database")
        if self.backups is not None:
            spawn(self.backups.run(), "backups")

    async def stop(self) -> None:
        """Clients off first, then the nodes."""
        self._is_stopping = True
        await self.gateway.stop(grace_period_s=0.5)
        await self.controller.stop()

    async def publish(self, routes: Routes) -> None:
        """As `Endpoints.publish`: returns when dbgate leads there and old sessions are shut."""
        slots = {name: NODE_NAMES.index(name) + 1 for name, _ in routes.nodes}
        membership = database_membership(
            {slots[name]: str(_lead(self._detours, DBGATE, name, address)) for name, address in routes.nodes},
            slots[routes.primary_name] if routes.primary_name is not None else None,
            [slots[name] for name, _ in routes.standbys],
        )
        if self._is_stopping:
            return  # a gateway that was stopped must not be started again by the nodes going down
        if self._is_gateway_started or self._spawn is None:
            await self.gateway.apply(membership)
            return
        await self.gateway.start(membership)
        self._is_gateway_started = True
        self._spawn(self.gateway.run(), "dbgate")

    def lead_nowhere(self) -> bool:
        """As `Endpoints.lead_nowhere`: dbgate was not started, and none was left running."""
        return not self._is_gateway_started and not self.gateway.has_survivor()

    def describe(self) -> dict[str, Any]:
        """For `status`; without any password."""
        view = self.controller.view()
        if view is None:
            return {"external": False, "summary": "the database comes up", "writable": False, "nodes": []}
        return {
            "external": False,
            "summary": view.message,
            "reason": view.reason,
            "writable": view.is_writable,
            "primary": view.primary,
            "durability": view.durability,
            "generation": view.generation,
            "database_name": self._spec.name,
            "primary_endpoint": self._primary_endpoint,
            "standbys_endpoint": self._standbys_endpoint,
            "nodes": [
                {
                    "name": node.name,
                    "role": node.role,
                    "state": node.state.value,
                    "pid": node.pid,
                    "port": node.port,
                    "timeline": node.timeline,
                    "lsn": node.lsn,
                    "lag_bytes": node.lag_bytes,
                    "sync_state": node.sync_state,
                }
                for node in view.nodes
            ],
            "last_failover": _failover(view),
            "backup": self.backups.summary() if self.backups is not None else None,
        }

    def measurements(self) -> dict[str, Any]:
        """What is counted about the servers' work; empty unless somebody looks at it."""
        return {"nodes": self.statistics.latest.nodes if self.statistics is not None else {}}

    def watch_statistics(self, spawn: Spawn) -> None:
        """From now on, for those who look."""
        if self.statistics is not None:
            spawn(self.statistics.run(), "statistics")

    def problems(self) -> list[str]:
        view = self.controller.view()
        if view is None:
            return []
        found = [] if view.is_writable else [f"database: {view.message}"]
        missing = sum(1 for node in view.nodes if node.state.value not in ("primary", "standby"))
        if missing > 0:
            found.append(f"database: {missing} node(s) not in service")
        return found + (self.backups.problems() if self.backups is not None else [])


def _failover(view: DatabaseView) -> dict[str, Any] | None:
    report = view.last_failover
    if report is None:
        return None
    return {
        "at_s": report.at_s,
        "summary": f"{report.old_primary} → {report.new_primary} in {report.total_s * 1000:.0f} ms",
        "phases": dict(report.phases_s),
        "is_finished": report.is_finished,
    }


def assemble_database(
    spec: DatabaseSpec | None,
    paths: StatePaths,
    credentials: Credentials | None,
    base_env: Mapping[str, str],
    ports: PortAllocator,
    keeper: KeeperLink,
    events: EventLog,
    clock: Clock,
    detours: Detours = STRAIGHT,
) -> DatabasePart | None:
    """None where no database is declared, or one that exists already."""
    if spec is None or spec.url:
        return None
    root = paths.root / "database"
    # The data's user passes through to its nodes; it need not list what else is here.
    make_directory(root, mode=0o711 if credentials else 0o700)
    secrets = load_or_make_secrets(root, credentials)
    password = quote(secrets.application)
    endpoints = [listen_somewhere(keeper, name, ports) for name in (DATABASE_PRIMARY, DATABASE_STANDBYS)]
    primary, standbys = (f"{host}:{port}" for host, port in endpoints)
    gateway = _dbgate(spec, paths, credentials, base_env, keeper, events, clock)
    urls = (
        f"postgresql://{spec.name}:{password}@{primary}/{spec.name}",
        f"postgresql://{spec.name}:{password}@{standbys}/{spec.name}",
    )
    part = DatabasePart(spec, gateway, urls, (primary, standbys), detours)
    owner = (credentials.user_id, credentials.group_id) if credentials else None
    sockets = paths.sockets / "db"
    make_directory(sockets, mode=0o700, owner=owner)
    database_paths = DatabasePaths(root, paths.logs, sockets)
    archive = archive_place(Path(spec.backup.directory)) if spec.backup is not None else None
    if finish_swap(database_paths, archive, owner):
        message = "a restore that was interrupted in its last step is carried out"
        events.emit("restore_finished", "database", reason="interrupted", message=message)
    links = directly if detours.are_none else partial(_lead, detours)
    part.connect(build_controller(spec, database_paths, credentials, base_env, ports, part, events, clock, links))
    part.statistics = StatisticsReader(spec.name, sockets, secrets.superuser, part.controller.view, clock)
    if spec.backup is not None:
        open_place = partial(open_workplace, spec, database_paths, credentials, base_env, clock)
        part.backups = BackupService(open_place, part.controller.view, events, clock)
    return part


def _lead(detours: Detours, who: str, whom: NodeName, address: Address) -> Address:
    """Where `who`, a node or dbgate, reaches a node."""
    return Address(*detours.through(who, whom, (address.host, address.port)))


def _dbgate(
    spec: DatabaseSpec,
    paths: StatePaths,
    credentials: Credentials | None,
    base_env: Mapping[str, str],
    keeper: KeeperLink,
    events: EventLog,
    clock: Clock,
) -> GatewayController:
    place = GatewayPaths(paths.root / "dbgate", paths.logs / "dbgate.log", paths.sockets / "dbgate.sock")
    make_directory(place.root, mode=0o700)
    text = process_for_database(process_text(place, 4 * spec.connections_max, credentials), cores_count())
    settings = DatabaseGatewaySettings(text, spec.connections_max - CONNECTIONS_KEPT)
    listeners = {name: fd for name, fd in keeper.descriptors.items() if name.startswith("db:")}
    surroundings = Surroundings(place, base_env, events, clock)
    return GatewayController(
        "dbgate", partial(render_dbgate, settings), listeners, surroundings, look_every_s=DBGATE_LOOK_EVERY_S
    )
