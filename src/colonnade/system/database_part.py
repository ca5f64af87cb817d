"""The database as a part of the system: nodes, dbgate in front of them, and the two addresses that services get."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from colonnade.core.clock import Clock
from colonnade.core.events import EventLog
from colonnade.core.ports import PortAllocator
from colonnade.core.processes import Credentials
from colonnade.gateway.controller import GatewayController
from colonnade.spec.load import LoadedSpec
from colonnade.system.keeper_link import KeeperLink
from colonnade.system.paths import StatePaths


class DatabasePart:
    """Filled in when the database subsystem is there."""

    url: str = ""
    read_url: str = ""
    gateway: GatewayController

    async def start(self, spawn: Callable[[Coroutine[Any, Any, None], str], None]) -> None: ...

    async def stop(self) -> None: ...

    def describe(self) -> dict[str, Any]:
        return {}

    def problems(self) -> list[str]:
        return []


def assemble_database(
    loaded: LoadedSpec,
    paths: StatePaths,
    credentials: Credentials | None,
    base_env: Mapping[str, str],
    ports: PortAllocator,
    keeper: KeeperLink,
    events: EventLog,
    clock: Clock,
) -> DatabasePart | None:
    return None
