"""What people ask for on the page: each is handed to the controller as it is, which allows it or says why not."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from colonnade.dashboard.web.asking import Asker
from colonnade.dashboard.web.offers import Asked, Handler, Nothing, Offer, Text

REPLICAS_MAX = 1000
"""Of a request; what a service may have is for the controller to say."""

SERVICES_MAX = 100


class Scale(Asked):
    service: Text
    replicas: Annotated[int, Field(strict=True, ge=0, le=REPLICAS_MAX)] | Literal["auto"]


class Named(Asked):
    id: Text


class Switchover(Asked):
    to: Text = ""


class Deploy(Asked):
    services: Annotated[list[Text], Field(max_length=SERVICES_MAX)] = Field(default=[])


class Rollback(Asked):
    version: Annotated[int, Field(strict=True, ge=1, le=2**31)] | None = None


class Backup(Asked):
    kind: Literal["", "full", "incremental"] = ""


class Drill(Asked):
    scenario: Text = "default"


def action_offers(asker: Asker) -> list[Offer]:
    """Only an operator may send these (`guard.py`)."""

    def handed_to(path: str) -> Handler:
        async def handle(_: Request, asked: Asked) -> Response:
            return JSONResponse(await asker.change(path, asked.model_dump()))

        return handle

    return [
        Offer("POST", "/api/scale", "Change how many replicas a service has", handed_to("/scale"), Scale),
        Offer(
            "POST",
            "/api/restart",
            "A new process for a replica, or for all of a service",
            handed_to("/replicas/restart"),
            Named,
        ),
        Offer("POST", "/api/drain", "Take a replica out of rotation", handed_to("/replicas/drain"), Named),
        Offer("POST", "/api/undrain", "Give a drained replica requests again", handed_to("/replicas/undrain"), Named),
        Offer("POST", "/api/switchover", "Make a standby the primary", handed_to("/database/switchover"), Switchover),
        Offer("POST", "/api/deploy", "Replace what runs by what stands in the directory", handed_to("/deploy"), Deploy),
        Offer("POST", "/api/rollback", "Go back to a version that is kept", handed_to("/rollback"), Rollback),
        Offer("POST", "/api/backup", "Take a backup", handed_to("/backup"), Backup),
        Offer("POST", "/api/verify", "Restore the latest backup for trial", handed_to("/verify"), Nothing),
        Offer("POST", "/api/drill", "Break a copy of the system under load", handed_to("/drills"), Drill),
    ]
