"""What one may ask of the database while it runs, through the control API: another primary, every node started anew,
more or fewer standbys.

POST /database/switchover {"to"} · POST /database/restart {"settings"} · POST /database/standbys {"standbys"}

Each answers when it is done. Settings that differ from what `up` accepted are kept beside it, so that the next
controller goes on with them; the next `up` takes the file again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from colonnade.core.errors import SpecError
from colonnade.spec.model import DatabaseSpec
from colonnade.system.database_settings import settings_of, with_settings

if TYPE_CHECKING:  # not every system has a database
    from colonnade.database.controller import DatabaseController

Keep = Callable[[dict[str, Any]], None]
"""Remembers settings for the next controller."""


class DatabaseChanges:
    """The requests, on the controller of this life."""

    def __init__(self, controller: DatabaseController, spec: DatabaseSpec, keep: Keep) -> None:
        self._controller = controller
        self._spec = spec
        self._keep = keep

    async def switch_over(self, to: str) -> str:
        return await self._controller.requests.switch_over(to or None)

    async def restart(self, settings: dict[str, Any]) -> str:
        """With `settings` instead of those that run; empty: the same again."""
        spec = with_settings(self._spec, settings)
        message = await self._controller.requests.restart(spec)
        self._take(spec)
        return message

    async def set_standbys(self, standbys: int) -> str:
        spec = with_settings(self._spec, {"standbys": standbys})
        before = self._spec.standbys
        self._take(spec)
        return f"from {before} to {standbys} standbys: see `colonnade db status`"

    def _take(self, spec: DatabaseSpec) -> None:
        self._controller.want(spec)
        self._keep(settings_of(spec))
        self._spec = spec


class Changeable(Protocol):
    """Whoever knows the controller of this life."""

    def database_changes(self) -> DatabaseChanges: ...


def database_routes(system: Changeable, body_of: Callable[[Request], Awaitable[dict[str, Any]]]) -> list[Route]:
    async def switchover(request: Request) -> Response:
        body = await body_of(request)
        return _done(await system.database_changes().switch_over(str(body.get("to") or "")))

    async def restart(request: Request) -> Response:
        settings = (await body_of(request)).get("settings") or {}
        if not isinstance(settings, dict):
            raise SpecError("expected an object", subject="settings", hint='for example {"settings": {}}')
        return _done(await system.database_changes().restart(settings))

    async def standbys(request: Request) -> Response:
        number = (await body_of(request)).get("standbys")
        if isinstance(number, bool) or not isinstance(number, int):
            raise SpecError(f"expected a number, got {number!r}", subject="standbys", hint="for example 2")
        return _done(await system.database_changes().set_standbys(number))

    return [
        Route("/database/switchover", switchover, methods=["POST"]),
        Route("/database/restart", restart, methods=["POST"]),
        Route("/database/standbys", standbys, methods=["POST"]),
    ]


def _done(message: str) -> Response:
    return JSONResponse({"message": message})
