"""A request's trace: what counts as one, and how it goes on where nobody records anything."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from typing import Any

import pytest

from colonnade.client import TraceMiddleware, WsgiTraceMiddleware, trace_headers
from colonnade.client.trace_context import TraceContext, within
from colonnade.client.tracing import is_wanted, resource_attributes, sql_comment

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        (PARENT, True),
        (f" {PARENT}\t", True),
        (f"cc-{TRACE}-{SPAN}-01-of a later version", True),
        (f"cc-{TRACE}-{SPAN}-01.no", False),
        (f"00-{TRACE}-{SPAN}-01-more", False),
        (f"ff-{TRACE}-{SPAN}-01", False),
        (f"00-{'0' * 32}-{SPAN}-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
        (f"00-{TRACE.upper()}-{SPAN}-01", False),
        (f"00-{TRACE}-{SPAN}", False),
        (f"{PARENT},{PARENT}", False),
        ("", False),
        (None, False),
    ],
)
def test_what_is_a_context_and_what_is_not(text: str | None, is_one: bool) -> None:
    found = TraceContext.parse(text)
    assert (found is not None) == is_one
    if found is not None:
        assert found.headers() == {"traceparent": PARENT}


@pytest.mark.parametrize("state", ["a=1,b=2", "x" * 512])
def test_a_state_goes_along(state: str) -> None:
    found = TraceContext.parse(PARENT, state)
    assert found is not None
    assert found.headers()["tracestate"] == state


@pytest.mark.parametrize("state", ["x" * 513, "a=1\r\nX-Evil: 1", "a=é", None])
def test_a_state_that_must_not_go_along_leaves_the_trace_alone(state: str | None) -> None:
    found = TraceContext.parse(PARENT, state)
    assert found is not None
    assert found.headers() == {"traceparent": PARENT}


def test_only_a_recorded_trace_stands_in_statements() -> None:
    with within(TraceContext.parse(PARENT)):
        assert sql_comment() == f"traceparent='{PARENT}'"
    with within(TraceContext.parse(PARENT[:-1] + "0")):
        assert sql_comment() == ""
    assert sql_comment() == ""


class Answer:
    """A WSGI application that answers with its trace, piece by piece; and remembers that it was closed."""

    is_closed = False

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [])
        return self

    def __iter__(self) -> Iterator[bytes]:
        for _ in range(2):
            yield trace_headers().get("traceparent", "none").encode()

    def close(self) -> None:
        self.is_closed = True


def test_a_wsgi_application_has_the_trace_to_the_end_of_its_answer() -> None:
    other = PARENT.replace(SPAN, SPAN[::-1])
    inner = Answer()
    app = WsgiTraceMiddleware(inner)
    answers = [
        iter(app({"REQUEST_METHOD": "GET", "PATH_INFO": "/", "HTTP_TRACEPARENT": text}, lambda *_: None))
        for text in (PARENT, other)
    ]
    # Two answers whose pieces are taken in turn, as a server may do in one thread.
    pieces = [next(answer) for _ in range(2) for answer in answers]
    assert pieces == [PARENT.encode(), other.encode()] * 2
    assert trace_headers() == {}
    answers[0].close()  # type: ignore[attr-defined]
    assert inner.is_closed


def test_an_answer_that_its_server_forgot_ends_wherever_the_garbage_is_collected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A cycle of references: the answer's generator may be ended before anything could choose the context for it."""
    ended: list[bool] = []
    complaints: list[object] = []

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        start_response("200 OK", [])
        try:
            yield b"one"
            yield b"two"
        finally:
            ended.append(True)

    environ: dict[str, Any] = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "HTTP_TRACEPARENT": PARENT}
    answer = iter(WsgiTraceMiddleware(app)(environ, lambda *_: None))
    assert next(answer) == b"one"
    environ["answer"] = answer
    del answer, environ
    monkeypatch.setattr(sys, "unraisablehook", complaints.append)
    gc.collect()
    assert (ended, complaints) == ([True], [])


def test_an_asgi_application_has_the_trace_and_two_of_one_name_are_none() -> None:
    seen: list[dict[str, str]] = []

    async def inner(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})
        seen.append(trace_headers())

    async def ask(*headers: tuple[bytes, bytes], path: str = "/") -> None:
        async def nothing(*_: Any) -> Any:
            return {}

        await TraceMiddleware(inner)(
            {"type": "http", "method": "GET", "path": path, "headers": headers}, nothing, nothing
        )

    parent = (b"Traceparent", PARENT.encode())
    asyncio.run(ask(parent))
    asyncio.run(ask(parent, parent))
    asyncio.run(ask())
    assert seen == [{"traceparent": PARENT}, {}, {}]


@pytest.mark.parametrize(
    ("environ", "is_so"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_spans_are_wanted_where_they_have_somewhere_to_go(environ: dict[str, str], is_so: bool) -> None:
    assert is_wanted(environ) is is_so


def test_a_replica_says_who_it_is_unless_somebody_said_it_already() -> None:
    replica = {"COLONNADE_REPLICA": "web/2", "COLONNADE_VERSION": "7"}
    ours = {"service.name": "web", "service.instance.id": "web/2", "service.version": "7"}
    assert resource_attributes(replica) == ours
    assert resource_attributes({**replica, "OTEL_SERVICE_NAME": "shop"})["service.name"] == "shop"
    assert "service.version" not in resource_attributes({**replica, "OTEL_RESOURCE_ATTRIBUTES": "service.version=1"})


@pytest.mark.slow
def test_nothing_is_loaded_where_nobody_records() -> None:
    """Neither OpenTelemetry nor, in a service without a database, SQLAlchemy."""
    text = (
        "import sys\n"
        "from colonnade.client import trace_headers, WsgiTraceMiddleware\n"
        "from colonnade.client.tracing import database_span, note\n"
        "with database_span('read'): note('x'); trace_headers()\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('opentelemetry', 'sqlalchemy', 'psycopg')])\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", text], env={"PYTHONPATH": ":".join(sys.path)}, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[]"
