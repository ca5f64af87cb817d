"""The page as one ASGI application: everything that it offers, behind the guard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from colonnade.core.clock import Clock
from colonnade.dashboard.web.actions import action_offers
from colonnade.dashboard.web.asking import Asker
from colonnade.dashboard.web.documents import document_routes
from colonnade.dashboard.web.guard import PROOF_HEADER, Guard
from colonnade.dashboard.web.live import Live
from colonnade.dashboard.web.login import login_offers
from colonnade.dashboard.web.looks import Looks
from colonnade.dashboard.web.offers import Nothing, Offer, describe
from colonnade.dashboard.web.reading import reading_offers
from colonnade.dashboard.web.remembering import Promised, remembering_offers
from colonnade.dashboard.web.sessions import Sessions
from colonnade.dashboard.web.spent import Spent
from colonnade.system.dashboard_tokens import Tokens


@dataclass(frozen=True, slots=True)
class Given:
    """Where the page is asked for, by whom, and what it may use."""

    tokens: Tokens
    looks: Looks
    asker: Asker
    clock: Clock
    history: Path
    """The file of the history, in the directory that is the dashboard's own."""
    promised: Promised
    mark: str
    """The state directory: two systems on one machine share a browser's cookies, and must not share a session."""


SPENT_FILE = "spent.json"


def build_app(given: Given, others: Sequence[BaseRoute] = ()) -> Starlette:
    """`others` are routes of the same process: `/metrics`, `/sd`."""
    sessions = Sessions(given.tokens, Spent(given.history.with_name(SPENT_FILE), given.clock))
    cookie_name = f"colonnade-{sha256(given.mark.encode()).hexdigest()[:12]}"
    live = Live(given.looks)
    offers = [
        *login_offers(sessions, given.clock, cookie_name=cookie_name),
        *reading_offers(given.looks, live, given.asker, sessions, given.clock),
        *remembering_offers(given.history, given.promised, given.clock),
        *action_offers(given.asker),
    ]

    async def description(_: Request, __: Nothing) -> Response:
        return JSONResponse(describe(offers, proof_header=PROOF_HEADER))

    offers.append(Offer("GET", "/api/openapi.json", "This description", description))
    guard = Middleware(Guard, sessions=sessions, cookie_name=cookie_name)
    routes = [*document_routes(given.asker), *(offer.route() for offer in offers), *others]
    app = Starlette(routes=routes, middleware=[guard])
    app.router.redirect_slashes = False
    return app
