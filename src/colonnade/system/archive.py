"""What lies in the state directory and is of interest to people, through the control API: logs, versions, drills, the
calibration of the plan. For whoever may ask the controller and cannot read its files, as the dashboard under root.

GET /logs · GET /logs?name=backend/2&find=TEXT&count=N · GET /versions · GET /plan
GET /drills · GET /drills/report?run=NAME · POST /drills {"scenario"}

Files are read in a thread: the controller's loop waits for no disk.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from colonnade.core.clock import Clock
from colonnade.core.errors import SpecError
from colonnade.core.files import read_json
from colonnade.system.drill_runs import DrillRuns
from colonnade.system.log_files import LINES_MAX, log_files, read_log
from colonnade.system.paths import StatePaths
from colonnade.system.versions import VersionStore

LINES_DEFAULT = 200


class Archived(Protocol):
    """Whose state directory it is."""

    paths: StatePaths
    drills: DrillRuns

    @property
    def clock(self) -> Clock: ...


def archive_routes(system: Archived, body_of: Callable[[Request], Awaitable[dict[str, Any]]]) -> list[Route]:
    async def logs(request: Request) -> Response:
        directory, name = system.paths.logs, request.query_params.get("name", "")
        if not name:
            return JSONResponse({"logs": [asdict(one) for one in await asyncio.to_thread(log_files, directory)]})
        find, count = request.query_params.get("find", ""), _count(request)
        lines = await asyncio.to_thread(read_log, directory, name, needle=find, count=count)
        return JSONResponse({"name": name, "lines": lines})

    async def versions(_: Request) -> Response:
        return JSONResponse({"versions": await asyncio.to_thread(_versions, system)})

    async def plan(_: Request) -> Response:
        found = await asyncio.to_thread(read_json, system.paths.root / "plan" / "calibration.json")
        return JSONResponse({"calibration": found})

    async def drills(_: Request) -> Response:
        return JSONResponse({"running": system.drills.running(), "drills": await asyncio.to_thread(system.drills.list)})

    async def report(request: Request) -> Response:
        run = request.query_params.get("run", "")
        return JSONResponse({"run": run, "html": await asyncio.to_thread(system.drills.report, run)})

    async def drill(request: Request) -> Response:
        scenario = (await body_of(request)).get("scenario")
        if not isinstance(scenario, str):
            raise SpecError(f"expected a name, got {scenario!r}", subject="scenario", hint='for example "default"')
        return JSONResponse({"message": system.drills.start(scenario)})

    return [
        Route("/logs", logs),
        Route("/versions", versions),
        Route("/plan", plan),
        Route("/drills", drills),
        Route("/drills", drill, methods=["POST"]),
        Route("/drills/report", report),
    ]


def _count(request: Request) -> int:
    text = request.query_params.get("count", str(LINES_DEFAULT))
    if not (text.isascii() and text.isdecimal()) or len(text) > 6:
        raise SpecError(f"expected a number, got {text!r}", subject="count", hint=f"at most {LINES_MAX}")
    return min(int(text), LINES_MAX)


def _versions(system: Archived) -> list[dict[str, Any]]:
    store = VersionStore(system.paths, system.clock)
    current = store.current
    return [
        {
            "number": version.number,
            "at_s": version.at_s,
            "message": version.message,
            "is_current": version.number == current,
            "files": version.files,
            "bytes": version.bytes_total,
        }
        for version in reversed(store.list())
    ]
