"""The whole page over a controller's API whose controller only notes what it is asked for. No socket, no process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlencode

import httpx
from starlette.applications import Starlette

from colonnade.core.clock import SimulatedClock
from colonnade.core.errors import DriverError, SpecError
from colonnade.core.events import EventLog
from colonnade.dashboard.control import Control
from colonnade.dashboard.metrics_routes import metrics_routes
from colonnade.dashboard.watch import Watch
from colonnade.dashboard.web.app import Given, build_app
from colonnade.dashboard.web.guard import PROOF_HEADER
from colonnade.dashboard.web.looks import Looks
from colonnade.system.accepted import Accepted
from colonnade.system.api import build_api
from colonnade.system.dashboard_tokens import Tokens
from colonnade.system.drill_runs import DrillRuns
from colonnade.system.paths import StatePaths

from ..observe.said import measurements, status

TOKENS = Tokens("o" * 43, "v" * 43, "k" * 43)
HOST = "127.0.0.1:8081"
ORIGIN = f"http://{HOST}"


class NotingController:
    """Answers as a controller does, starts nothing, and notes what it was asked for."""

    def __init__(self, directory: Path) -> None:
        self.paths = StatePaths(directory)
        self.paths.logs.mkdir(parents=True)
        (self.paths.logs / "web-1.log").write_text("began\nan error\nan Error again\nended\n")
        self.clock = SimulatedClock()
        self.events = EventLog(self.clock)
        # Without a file there is nothing to drill, so none is started.
        self.drills = DrillRuns(self.paths, Accepted(directory, ""), self.events)
        self.asked: list[tuple[Any, ...]] = []

    def status(self) -> dict[str, Any]:
        return status()

    def measurements(self) -> dict[str, Any]:
        return measurements()

    def deployment(self) -> dict[str, Any] | None:
        return None

    def scale(self, service: str, replicas: int | None) -> None:
        if service != "web":
            raise SpecError(f"there is no service {service!r}", subject="scale", hint="services: web")
        self.asked.append(("scale", service, replicas))

    def request_down(self) -> None:
        self.asked.append(("down",))

    async def upgrade(self) -> dict[str, Any]:
        return self._note("upgrade")

    def database_changes(self) -> NotingController:
        return self

    def replica_changes(self) -> NotingController:
        return self

    def deployments(self) -> NotingController:
        return self

    def backups(self) -> NotingController:
        return self

    async def switch_over(self, to: str) -> str:
        return self._said("switch_over", to)

    async def set_standbys(self, standbys: int) -> str:
        return self._said("set_standbys", standbys)

    def restart(self, what: object) -> Any:
        return self._said("restart", what)

    def drain(self, name: str) -> str:
        return self._said("drain", name)

    def undrain(self, name: str) -> str:
        return self._said("undrain", name)

    async def deploy(self, services: Sequence[str]) -> dict[str, Any]:
        return self._note("deploy", list(services))

    async def roll_back(self, version: int | None) -> dict[str, Any]:
        return self._note("roll_back", version)

    async def describe(self) -> dict[str, Any]:
        return {"backups": []}

    def job(self) -> dict[str, Any] | None:
        return None

    def request_backup(self, kind: Literal["full", "incremental"] | None) -> int:
        self._note("backup", kind)
        return 1

    def request_verification(self) -> int:
        self._note("verify")
        return 2

    def _note(self, *asked: Any) -> dict[str, Any]:
        self.asked.append(asked)
        return {"message": "noted"}

    def _said(self, *asked: Any) -> str:
        self._note(*asked)
        return "noted"


class DirectAsker:
    """The control API without its socket."""

    def __init__(self, api: Starlette) -> None:
        self._http = httpx.AsyncClient(transport=httpx.ASGITransport(api), base_url="http://colonnade")

    async def read(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        return self._taken(await self._http.get(f"{path}?{urlencode(query)}" if query else path))

    async def change(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._taken(await self._http.post(path, json=dict(body)))

    def _taken(self, answer: httpx.Response) -> dict[str, Any]:
        value: dict[str, Any] = answer.json()
        if answer.status_code >= 400:
            error = DriverError(value["error"], hint=value["hint"], subject=value["subject"])
            error.exit_code = value["exit_code"]
            raise error
        return value


class Page:
    """The application, as a browser meets it."""

    def __init__(self, directory: Path) -> None:
        self.controller = NotingController(directory)
        self.api = build_api(self.controller)  # type: ignore[arg-type]  # its parts only have the methods that are used
        self.clock = SimulatedClock()
        self.looks = Looks()
        watch = Watch(Control(directory / "nowhere.sock"), self.clock)
        given = Given(
            tokens=TOKENS,
            looks=self.looks,
            asker=DirectAsker(self.api),
            clock=self.clock,
            history=directory / "history.sqlite",
            promised=lambda: {"objectives": [], "alerts": []},
            mark=str(directory),
        )
        self.app = build_app(given, metrics_routes(watch))
        self.looks.take(1_700_000_000.0, status(), [])

    async def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """One request with exactly these headers, and `Host` unless they bring one."""
        headers = {"Host": HOST, **more.pop("headers", {})}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url=ORIGIN) as client:
            return await client.request(method, path, headers=headers, **more)

    async def log_in(self, token: str = TOKENS.operator) -> dict[str, str]:
        """The headers of somebody who is in."""
        answer = await self.ask("POST", "/api/login", json={"token": token}, headers={"Origin": ORIGIN})
        assert answer.status_code == 200, answer.text
        cookie = answer.headers["set-cookie"].partition(";")[0]
        return {"Cookie": cookie, PROOF_HEADER: answer.json()["proof"], "Origin": ORIGIN}
