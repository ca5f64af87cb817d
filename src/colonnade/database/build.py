"""Putting the controller together with real servers. The only file here that knows both sides."""

from __future__ import annotations

from collections.abc import Mapping

from colonnade.core.clock import Clock
from colonnade.core.events import EventLog
from colonnade.core.ports import PortAllocator
from colonnade.core.processes import Credentials
from colonnade.database.controller import DatabaseController
from colonnade.database.driver import DatabasePaths, Endpoints
from colonnade.database.links import Links, directly
from colonnade.database.postgres import Host, PostgresDriver
from colonnade.database.record import RecordFile
from colonnade.spec.model import DatabaseSpec


def build_controller(
    spec: DatabaseSpec,
    paths: DatabasePaths,
    credentials: Credentials | None,
    base_env: Mapping[str, str],
    ports: PortAllocator,
    endpoints: Endpoints,
    events: EventLog,
    clock: Clock,
    links: Links = directly,
) -> DatabaseController:
    """A controller for the cluster in `paths`. `base_env` carries the system's mark; `credentials` None: run as
    whoever we are, which must not be root."""
    host = Host(paths, credentials, base_env, ports, events, clock, links)
    driver = PostgresDriver(spec, host)
    return DatabaseController(spec, driver, endpoints, events, clock, store=RecordFile(paths.record))
