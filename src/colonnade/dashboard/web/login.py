"""Logging in and out. The token, or the code from `colonnade dashboard`, is looked at here and nowhere kept."""

from __future__ import annotations

import math

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from colonnade.core.clock import Clock
from colonnade.dashboard.web.attempts import Attempts
from colonnade.dashboard.web.offers import Asked, Nothing, Offer, Text
from colonnade.dashboard.web.sessions import SESSION_S_MAX, Sessions


class Login(Asked):
    """One of them."""

    token: Text = ""
    code: Text = ""


def login_offers(sessions: Sessions, clock: Clock, *, cookie_name: str) -> list[Offer]:
    attempts = Attempts()

    async def login(_: Request, asked: Login) -> Response:
        wait_s = attempts.wait_s(clock.monotonic())
        if wait_s > 0:
            headers = {"Retry-After": str(math.ceil(wait_s))}
            hint = f"try again in {math.ceil(wait_s)} s"
            return JSONResponse({"error": "too many wrong tokens", "hint": hint}, status_code=429, headers=headers)
        session = sessions.begin_by_code(asked.code) if asked.code else sessions.begin_by_token(asked.token)
        if session is None:
            attempts.failed(clock.monotonic())
            hint = "`colonnade dashboard` prints the token, and an address that logs in once"
            what = "this code was used, or is too old" if asked.code else "this is not the token"
            return JSONResponse({"error": what, "hint": hint}, status_code=401)
        answer = JSONResponse({"role": session.role.value, "proof": session.proof})
        # Not `Secure`: it is HTTP on this machine's own loopback.
        answer.set_cookie(
            cookie_name, session.cookie, max_age=SESSION_S_MAX, path="/", httponly=True, samesite="strict"
        )
        return answer

    async def logout(request: Request, _: Nothing) -> Response:
        sessions.end(request.cookies.get(cookie_name, ""))
        answer = JSONResponse({"ok": True})
        answer.delete_cookie(cookie_name, path="/", httponly=True, samesite="strict")
        return answer

    async def session(request: Request, _: Nothing) -> Response:
        return JSONResponse({"role": request.scope["colonnade.role"].value})

    return [
        Offer("POST", "/api/login", "Begin a session with a token or a one-time code", login, Login),
        Offer("POST", "/api/logout", "End it", logout),
        Offer("GET", "/api/session", "Who one is", session),
    ]
