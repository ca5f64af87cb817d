"""A page of metrics on the application's own port: app.wsgi_app = WsgiMetrics(app.wsgi_app), or
app.add_middleware(AsgiMetrics).

It is for who scrapes replicas one by one, on loopback. A request that came through a gateway carries an X-Request-ID,
or was forwarded: it gets what the application says to that path, mostly 404, so nothing is shown to visitors.
One process counts for itself: a replica of several needs prometheus-client's own mode for that.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest

PATH = "/metrics"

GATEWAY_HEADERS = ("x-request-id", "x-forwarded-for", "forwarded")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Message, Receive, Send], Awaitable[None]]
WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class WsgiMetrics:
    """Before a WSGI application: answers GET /metrics of who asks this process directly."""

    def __init__(self, app: WsgiApp) -> None:
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        is_forwarded = any(f"HTTP_{name.upper().replace('-', '_')}" in environ for name in GATEWAY_HEADERS)
        if environ["PATH_INFO"] != PATH or environ["REQUEST_METHOD"] != "GET" or is_forwarded:
            return self._app(environ, start_response)
        start_response("200 OK", [("Content-Type", CONTENT_TYPE_LATEST)])
        return [generate_latest(REGISTRY)]


class AsgiMetrics:
    """The same before an ASGI application."""

    def __init__(self, app: AsgiApp) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        is_ours = scope["type"] == "http" and scope["path"] == PATH and scope["method"] == "GET"
        if not is_ours or any(name.decode("latin-1") in GATEWAY_HEADERS for name, _ in scope["headers"]):
            await self._app(scope, receive, send)
            return
        headers = [(b"content-type", CONTENT_TYPE_LATEST.encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": generate_latest(REGISTRY)})
