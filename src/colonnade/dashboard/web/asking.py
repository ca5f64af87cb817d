"""Asking the controller on behalf of somebody who looks at the page: what lies in its directory, and what people want
done. Apart from the look of once a second, which waits for nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode

from colonnade.dashboard.control import Control

READ_TIMEOUT_S = 120.0
"""The archive of backups is read backwards for its last commit, on a disk that may be slow."""

CHANGE_TIMEOUT_S = 300.0
"""A switchover waits for its clients, a deployment for its release step; the controller gives up by itself."""

ASKING_MAX = 6
"""Questions at once. Whoever clicks more waits."""


class Asker(Protocol):
    """Raises DriverUnavailable while nobody answers, DriverError with the controller's own words when it refuses."""

    async def read(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]: ...

    async def change(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]: ...


class SocketAsker:
    """Each question on a connection of its own, since one may take long."""

    def __init__(self, control_socket: Path) -> None:
        self._socket = control_socket
        self._turns = asyncio.Semaphore(ASKING_MAX)

    async def read(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        return await self._ask("GET", f"{path}?{urlencode(query)}" if query else path, None, READ_TIMEOUT_S)

    async def change(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return await self._ask("POST", path, dict(body), CHANGE_TIMEOUT_S)

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None, timeout_s: float) -> dict[str, Any]:
        async with self._turns:
            control = Control(self._socket, timeout_s)
            try:
                return await control.ask(method, path, body)
            finally:
                control.close()
