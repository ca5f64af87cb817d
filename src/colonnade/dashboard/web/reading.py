"""What the page reads beside the picture: why things are as they are, logs, versions, backups, drills, the plan."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from colonnade.core.clock import Clock
from colonnade.core.errors import ColonnadeError, DriverUnavailable
from colonnade.core.events import Event
from colonnade.dashboard.web.asking import Asker
from colonnade.dashboard.web.live import Live, newer
from colonnade.dashboard.web.looks import Looks
from colonnade.dashboard.web.offers import Asked, Nothing, Offer, Text
from colonnade.dashboard.web.sessions import Sessions
from colonnade.system.explanation import Facts, explain, parse_question
from colonnade.system.slowness import Measured, answers_between

COUNT_MAX = 1000


class Why(Asked):
    about: Text = ""
    count: Annotated[int, Field(ge=1, le=COUNT_MAX)] = 20


class Events(Asked):
    after_seq: Annotated[int, Field(ge=0, le=2**53)] = 0
    count: Annotated[int, Field(ge=1, le=COUNT_MAX)] = 200


class Since(Asked):
    after_seq: Annotated[int, Field(ge=0, le=2**53)] = 0


class Logs(Asked):
    name: Text = ""
    find: Text = ""
    count: Annotated[int, Field(ge=1, le=COUNT_MAX)] = 200


class Report(Asked):
    run: Text


def reading_offers(looks: Looks, live: Live, asker: Asker, sessions: Sessions, clock: Clock) -> list[Offer]:
    async def pictured(_: Request, __: Nothing) -> Response:
        return JSONResponse(live.picture())

    async def streamed(_: Request, asked: Since) -> Response:
        return live.stream(asked.after_seq)

    async def why(_: Request, asked: Why) -> Response:
        return JSONResponse({"sentences": answer_why(asked.about, looks, clock.wall(), count=asked.count)})

    async def events(_: Request, asked: Events) -> Response:
        return JSONResponse({"events": newer(looks.newest().events, asked.after_seq)[-asked.count :]})

    async def logs(_: Request, asked: Logs) -> Response:
        query = {name: str(value) for name, value in asked.model_dump().items()}
        return JSONResponse(await asker.read("/logs", query))

    async def versions(_: Request, __: Nothing) -> Response:
        return JSONResponse(await asker.read("/versions") | await asker.read("/deployment"))

    async def backups(_: Request, __: Nothing) -> Response:
        try:
            found = await asker.read("/backups")
        except ColonnadeError as error:
            if isinstance(error, DriverUnavailable):
                raise
            return JSONResponse({"declared": False, "message": error.message, "hint": error.hint})
        return JSONResponse({"declared": True, **found, **await asker.read("/backups/job")})

    async def drills(_: Request, __: Nothing) -> Response:
        return JSONResponse(await asker.read("/drills"))

    async def opened(_: Request, asked: Report) -> Response:
        path = f"/reports/{asked.run}"
        return JSONResponse({"address": path, "pass": sessions.pass_for(path)})

    async def plan(_: Request, __: Nothing) -> Response:
        return JSONResponse(await asker.read("/plan"))

    return [
        Offer("GET", "/api/picture", "The system as one picture, now", pictured),
        Offer(
            "GET",
            "/api/live",
            "The same, line by line as it changes, with events",
            streamed,
            Since,
            answers="application/x-ndjson",
        ),
        Offer("GET", "/api/why", "Why something is as it is", why, Why),
        Offer("GET", "/api/events", "What happened, oldest first", events, Events),
        Offer("GET", "/api/logs", "The logs, or the end of one of them", logs, Logs),
        Offer("GET", "/api/versions", "The versions that are kept, and the last deployment", versions),
        Offer("GET", "/api/backups", "The backups that there are", backups),
        Offer("GET", "/api/drills", "Drills that were, and the one that runs", drills),
        Offer("GET", "/api/report", "Where to read the report of a drill, for a minute", opened, Report),
        Offer("GET", "/api/plan", "What was measured for planning", plan),
    ]


def answer_why(about: str, looks: Looks, now_s: float, *, count: int) -> list[dict[str, Any]]:
    """As `colonnade why`: what is so now, and the newest causes. Raises SpecError for a name that nobody knows."""
    newest = looks.newest()
    events = [Event(**event) for event in newest.events]
    facts = Facts(events, newest.status, now_s, measured=_measured(looks))
    answer = explain(parse_question(about.split(), facts), facts)
    present = [sentence for sentence in answer if sentence.at_s is None]
    past = [sentence for sentence in answer if sentence.at_s is not None][:count]
    return [asdict(sentence) for sentence in (*present, *past)]


def _measured(looks: Looks) -> Measured | None:
    """What `why slow` compares with, from the last two looks; the machine itself is not looked at here, so nothing is
    said of it."""
    kept = looks.at_this_gateway()
    if len(kept) < 2:
        return None
    before, now = kept[-2:]
    if before.status is None or now.at_s <= before.at_s:
        return None
    answers = answers_between(before.measurements, now.measurements)
    interval_s = now.at_s - before.at_s
    return Measured(before.status, interval_s, answers=answers)
