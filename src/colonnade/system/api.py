"""The control API: what is so, what happened, and the few things one may ask for. On unix sockets that nobody else can
open or is answered on (`serving.py`), which is its whole access control: it has no roles, and no page reaches it.

GET /status · GET /events?after_seq=N&wait_s=S (long poll) · GET /measurements?after_seq=N · GET /webhooks
POST /scale {"service", "replicas"} · POST /down
GET /deployment · POST /deploy {"services"} · POST /rollback {"version"}
POST /upgrade
GET /backups · GET /backups/job · POST /backup {"kind"} · POST /verify
What concerns the database is in `database_changes.py`, single replicas in `replica_changes.py`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal, Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from colonnade.core.clock import Clock
from colonnade.core.errors import ColonnadeError, SpecError
from colonnade.core.events import Event, EventLog
from colonnade.system.archive import archive_routes
from colonnade.system.database_changes import DatabaseChanges, database_routes
from colonnade.system.drill_runs import DrillRuns
from colonnade.system.paths import StatePaths
from colonnade.system.replica_changes import ReplicaChanges, replica_routes

WAIT_MAX_S = 20.0
"""Of a long poll: shorter than what any client gives up after."""

BODY_BYTES_MAX = 64 * 1024

DIGITS_MAX = 18


class Backups(Protocol):
    """What the API may ask about backups. `request_…` give the number of the job that they begin."""

    async def describe(self) -> dict[str, Any]: ...

    def job(self) -> dict[str, Any] | None: ...

    def request_backup(self, kind: Literal["full", "incremental"] | None) -> int: ...

    def request_verification(self) -> int: ...


class Deployments(Protocol):
    """What the API may ask about deployments."""

    async def deploy(self, services: Sequence[str]) -> dict[str, Any]: ...

    async def roll_back(self, version: int | None) -> dict[str, Any]: ...


class Controlled(Protocol):
    """What the API may ask of the controller."""

    events: EventLog
    paths: StatePaths
    drills: DrillRuns

    @property
    def clock(self) -> Clock: ...

    def status(self) -> dict[str, Any]: ...

    def measurements(self) -> dict[str, Any]: ...

    def webhooks(self) -> list[dict[str, Any]]: ...

    def scale(self, service: str, replicas: int | None) -> None: ...

    def request_down(self) -> None: ...

    async def upgrade(self) -> dict[str, Any]: ...

    def database_changes(self) -> DatabaseChanges: ...

    def replica_changes(self) -> ReplicaChanges: ...

    def backups(self) -> Backups: ...

    def deployment(self) -> dict[str, Any] | None: ...

    def deployments(self) -> Deployments: ...


def build_api(system: Controlled) -> Starlette:
    async def status(_: Request) -> Response:
        return _json(system.status())

    async def events(request: Request) -> Response:
        after = _number(request, "after_seq", 0)
        wait_s = min(WAIT_MAX_S, float(_number(request, "wait_s", 0)))
        return _json({"events": [asdict(event) for event in await _events_after(system.events, after, wait_s)]})

    async def measurements(request: Request) -> Response:
        return _json(_look(system, _number(request, "after_seq", 0)))

    async def webhooks(_: Request) -> Response:
        """Whom the dashboard tells, with their secret addresses: in no file of ours."""
        return _json({"webhooks": system.webhooks()})

    async def scale(request: Request) -> Response:
        body = await _body(request)
        system.scale(str(body.get("service", "")), _replicas(body.get("replicas")))
        return _json({"ok": True})

    async def down(_: Request) -> Response:
        system.request_down()
        return _json({"ok": True})

    async def upgrade(_: Request) -> Response:
        return _json(await system.upgrade())

    async def deployment(_: Request) -> Response:
        return _json({"deployment": system.deployment()})

    async def deploy(request: Request) -> Response:
        names = (await _body(request)).get("services", [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise SpecError(f"expected names, got {names!r}", subject="services", hint='for example ["backend"]')
        return _json(await system.deployments().deploy(names))

    async def rollback(request: Request) -> Response:
        version = (await _body(request)).get("version")
        if version is not None and (isinstance(version, bool) or not isinstance(version, int)):
            raise SpecError(f"expected a number, got {version!r}", subject="version", hint="see `colonnade versions`")
        return _json(await system.deployments().roll_back(version))

    return Starlette(
        routes=[
            Route("/status", status),
            Route("/events", events),
            Route("/measurements", measurements),
            Route("/webhooks", webhooks),
            Route("/scale", scale, methods=["POST"]),
            Route("/down", down, methods=["POST"]),
            Route("/upgrade", upgrade, methods=["POST"]),
            Route("/deployment", deployment),
            Route("/deploy", deploy, methods=["POST"]),
            Route("/rollback", rollback, methods=["POST"]),
            *_backup_routes(system),
            *replica_routes(system, _body),
            *database_routes(system, _body),
            *archive_routes(system, _body),
        ],
        exception_handlers={ColonnadeError: _refused},
    )


def _backup_routes(system: Controlled) -> list[Route]:
    async def backups(_: Request) -> Response:
        return _json(await system.backups().describe())

    async def job(_: Request) -> Response:
        return _json({"job": system.backups().job()})

    async def backup(request: Request) -> Response:
        body = await _body(request)
        return _json({"job": system.backups().request_backup(_kind(body.get("kind")))})

    async def verify(_: Request) -> Response:
        return _json({"job": system.backups().request_verification()})

    return [
        Route("/backups", backups),
        Route("/backups/job", job),
        Route("/backup", backup, methods=["POST"]),
        Route("/verify", verify, methods=["POST"]),
    ]


def _look(system: Controlled, after_seq: int) -> dict[str, Any]:
    """All that the dashboard looks at, in one answer: asked for once a second."""
    return {
        "status": system.status(),
        "measurements": system.measurements(),
        "events": [asdict(event) for event in system.events.recent(after_seq=after_seq)],
        "last_seq": system.events.last_seq,
    }


async def _events_after(log: EventLog, after_seq: int, wait_s: float) -> list[Event]:
    """Events after `after_seq`; when there are none, wait for the next one."""
    found = log.recent(after_seq=after_seq)
    if found or wait_s <= 0:
        return found
    arrived = asyncio.Event()
    unsubscribe = log.subscribe(lambda _: arrived.set())
    try:
        async with asyncio.timeout(wait_s):
            await arrived.wait()
    except TimeoutError:
        return []
    finally:
        unsubscribe()
    return log.recent(after_seq=after_seq)


def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, ColonnadeError)
    answer = {"error": error.message, "hint": error.hint, "subject": error.subject, "exit_code": error.exit_code}
    return JSONResponse(answer, status_code=400)


def _number(request: Request, key: str, default: int) -> int:
    text = request.query_params.get(key, str(default))
    if not text.isdecimal() or len(text) > DIGITS_MAX:
        raise SpecError(f"expected a number, got {text!r}", subject=key, hint=f"for example ?{key}=0")
    return int(text)


def _kind(value: object) -> Literal["full", "incremental"] | None:
    match value:
        case None | "":
            return None
        case "full" | "incremental":
            return value
        case _:
            raise SpecError(f"expected full or incremental, got {value!r}", subject="kind", hint="or leave it out")


def _replicas(value: object) -> int | None:
    """None for "auto"."""
    if value == "auto":
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise SpecError(f"expected a number, got {value!r}", subject="replicas", hint="for example 5, or auto")
    return value


async def _body(request: Request) -> dict[str, Any]:
    raw = await request.body()
    if len(raw) > BODY_BYTES_MAX:
        raise SpecError("the request is too large", subject="body", hint=f"at most {BODY_BYTES_MAX} bytes")
    try:
        value = json.loads(raw or b"{}")
    except ValueError as error:
        raise SpecError(f"is not JSON ({error})", subject="body", hint='send {"service": "backend", …}') from error
    if not isinstance(value, dict):
        raise SpecError("is not a JSON object", subject="body", hint='send {"service": "backend", …}')
    return value


def _json(value: dict[str, Any]) -> Response:
    return Response(json.dumps(value, default=str), media_type="application/json")
