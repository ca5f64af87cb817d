"""Starlette, FastAPI and whatever else speaks ASGI: each visitor's token in a cookie.

app.add_middleware(VisitMiddleware, database=database, signer=TokenSigner(key)); then, in a handler,
await request.state.visit.write(work).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any

from colonnade.client.aio import Database, Visit
from colonnade.client.signing import COOKIE, TokenSigner
from colonnade.client.token import Token

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


class VisitMiddleware:
    """Puts a `visit` into every request's state."""

    def __init__(self, app: App, *, database: Database, signer: TokenSigner, cookie: str = COOKIE) -> None:
        self._app = app
        self._database = database
        self._signer = signer
        self._cookie = cookie

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        before = self._signer.verify(_cookie(scope, self._cookie)) or Token()
        visit = Visit(self._database, before)
        scope.setdefault("state", {})["visit"] = visit

        async def send_with_token(message: Message) -> None:
            if message["type"] == "http.response.start" and visit.is_used:
                headers = [*message.get("headers", []), (b"vary", b"Cookie")]
                if visit.token != before:
                    headers.append((b"set-cookie", self._cookie_text(visit.token, scope["scheme"] == "https")))
                message["headers"] = headers
            await send(message)

        await self._app(scope, receive, send_with_token)

    def _cookie_text(self, token: Token, is_secure: bool) -> bytes:
        text = f"{self._cookie}={self._signer.sign(token)}; Max-Age={self._signer.max_age_s(token)}; Path=/"
        return f"{text}; HttpOnly; SameSite=Lax{'; Secure' if is_secure else ''}".encode()


def _cookie(scope: Message, name: str) -> str | None:
    for key, value in scope["headers"]:
        if key == b"cookie":
            try:
                cookies = SimpleCookie(value.decode("latin-1"))
            except CookieError:
                return None
            return cookies[name].value if name in cookies else None
    return None
