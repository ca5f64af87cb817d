"""Takes a request's trace from its headers, for any framework: around a WSGI or an ASGI application.

Flask: app.wsgi_app = WsgiTraceMiddleware(app.wsgi_app). Django: WsgiTraceMiddleware(get_wsgi_application()). Starlette
and FastAPI: app.add_middleware(TraceMiddleware). Then `trace_headers()` is right wherever a request is
answered. With an instrumentation of OpenTelemetry's own around it, that one's spans are used and none is added.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Generator, Iterable, MutableMapping
from contextvars import copy_context
from typing import Any

from colonnade.client.trace_context import TRACEPARENT, TRACESTATE, TraceContext, context_of
from colonnade.client.tracing import load, serving

REQUEST_ID = "x-request-id"
"""The gateway gives one to each request that comes without."""

UNTRACED = frozenset({"/livez", "/readyz", "/healthz", "/metrics"})
"""Asked several times a second, by machines: their spans would bury all others."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Message, Receive, Send], Awaitable[None]]
WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class TraceMiddleware:
    """For ASGI. Requests for an `untraced` path are answered without a span."""

    def __init__(self, app: AsgiApp, *, untraced: Collection[str] = UNTRACED) -> None:
        self._app = app
        self._untraced = untraced
        load()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in self._untraced:
            await self._app(scope, receive, send)
            return
        headers: dict[str, str] = {}
        for key, value in scope["headers"]:
            name = key.decode("latin-1").lower()
            if name in (TRACEPARENT, TRACESTATE, REQUEST_ID):
                text = value.decode("latin-1")
                headers[name] = f"{headers[name]},{text}" if name in headers else text
        with serving(scope["method"], scope["path"], context_of(headers), headers.get(REQUEST_ID, "")) as span:

            async def told(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.answered(message["status"])
                await send(message)

            await self._app(scope, receive, told)


class WsgiTraceMiddleware:
    """As `TraceMiddleware`, for WSGI. The application runs in a context of its own, in which its answer is also read:
    a server may take the pieces of an answer one by one, and those of two requests in turn."""

    def __init__(self, app: WsgiApp, *, untraced: Collection[str] = UNTRACED) -> None:
        self._app = app
        self._untraced = untraced
        load()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ.get("PATH_INFO") in self._untraced:
            return self._app(environ, start_response)
        answer = self._answer(environ, start_response)
        context = copy_context()
        context.run(next, answer)  # as far as the application's own return, by which time the answer has begun
        return _InContext(context.run, answer)

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Generator[bytes, None, None]:
        came_with = TraceContext.parse(environ.get("HTTP_TRACEPARENT"), environ.get("HTTP_TRACESTATE"))
        request_id = environ.get("HTTP_X_REQUEST_ID", "")
        with serving(environ["REQUEST_METHOD"], environ.get("PATH_INFO", ""), came_with, request_id) as span:

            def told(status: str, *more: Any) -> Any:
                span.answered(int(status.split(" ", 1)[0]))
                return start_response(status, *more)

            pieces = self._app(environ, told)
            try:
                yield b""
                yield from pieces
            finally:
                close = getattr(pieces, "close", None)
                if close is not None:
                    close()


class _InContext:
    """An answer whose pieces are made in a context of their own."""

    def __init__(self, run: Callable[..., Any], answer: Generator[bytes, None, None]) -> None:
        self._run = run
        self._answer = answer

    def __iter__(self) -> _InContext:
        return self

    def __next__(self) -> bytes:
        piece: bytes = self._run(next, self._answer)
        return piece

    def close(self) -> None:
        self._run(self._answer.close)

    def __del__(self) -> None:
        self.close()  # for servers that forget it: a generator that is only forgotten ends in whatever context is there
