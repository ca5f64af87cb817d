"""What one may ask of single replicas while they run, through the control API: a new process in the place of one, or
one out of rotation and back.

POST /replicas/restart {"id"} (backend/2, or backend for all of it) · POST /replicas/drain {"id"}
POST /replicas/undrain {"id"}

Each answers once it is written down; what follows from it is told by events. `runtime/asked.py` says what is allowed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from colonnade.core.errors import HostError, SpecError
from colonnade.core.events import EventLog
from colonnade.runtime.asked import to_drain, to_give_back, to_restart
from colonnade.runtime.controller import RuntimeController
from colonnade.runtime.state import ReplicaState


class ReplicaChanges:
    """The requests, on the runtime of this life. Each returns one sentence about what is going to happen."""

    def __init__(self, runtime: RuntimeController, events: EventLog) -> None:
        self._runtime = runtime
        self._events = events

    def restart(self, name: str) -> str:
        """Where there is room a new one serves before the old one is drained, so nothing is lost. One that waits for
        its next start is started now."""
        chosen = to_restart(name, self._runtime.view())
        waiting = [seen.id for seen in chosen if seen.state is ReplicaState.WAITING]
        for replica in waiting:
            self._runtime.start_now(replica)
        running = [seen.id for seen in chosen if seen.id not in waiting]
        if not running:
            return f"{name} is started now, without waiting any longer"
        message = f"{name} starts anew, as asked"
        if not self._runtime.replace(*running, reason="asked", message=message):
            raise HostError("ended this moment", subject=name, hint="it starts again by itself: `colonnade status`")
        return message

    def drain(self, name: str) -> str:
        replica = to_drain(name, self._runtime.view())
        self._runtime.set_held(replica, is_held=True)
        return f"{name} gets no more requests, and stays until `colonnade drain --undo {name}` or a restart"

    def undrain(self, name: str) -> str:
        replica = to_give_back(name, self._runtime.view())
        self._runtime.set_held(replica, is_held=False)
        message = f"{name} gets requests again, as asked"
        self._events.emit("replica_given_back", name, reason="asked", message=message)
        return message


class Changeable(Protocol):
    """Whoever knows the runtime of this life."""

    def replica_changes(self) -> ReplicaChanges: ...


def replica_routes(system: Changeable, body_of: Callable[[Request], Awaitable[dict[str, Any]]]) -> list[Route]:
    async def restart(request: Request) -> Response:
        return _done(system.replica_changes().restart(_id_in(await body_of(request))))

    async def drain(request: Request) -> Response:
        return _done(system.replica_changes().drain(_id_in(await body_of(request))))

    async def undrain(request: Request) -> Response:
        return _done(system.replica_changes().undrain(_id_in(await body_of(request))))

    return [
        Route("/replicas/restart", restart, methods=["POST"]),
        Route("/replicas/drain", drain, methods=["POST"]),
        Route("/replicas/undrain", undrain, methods=["POST"]),
    ]


def _id_in(body: dict[str, Any]) -> str:
    name = body.get("id")
    if not isinstance(name, str) or not name:
        raise SpecError(f"expected the name of a replica, got {name!r}", subject="id", hint='for example "backend/2"')
    return name


def _done(message: str) -> Response:
    return JSONResponse({"message": message})
