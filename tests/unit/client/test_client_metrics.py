"""What the client counts, and who gets the page of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import psycopg
import pytest
from prometheus_client import REGISTRY
from sqlalchemy.exc import OperationalError

from colonnade.client.errors import CommitUnknown
from colonnade.client.metrics import AsgiMetrics, WsgiMetrics
from colonnade.client.outcome import Attempts
from colonnade.client.token import Token


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("404 Not Found", [])
    return [b"the application's own"]


def ask_wsgi(path: str = "/metrics", method: str = "GET", **headers: str) -> bytes:
    environ = {"PATH_INFO": path, "REQUEST_METHOD": method, **headers}
    return b"".join(WsgiMetrics(application)(environ, lambda *_: None))


def ask_asgi(path: str, headers: list[tuple[bytes, bytes]]) -> bytes:
    sent: list[bytes] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.body", "body": b"the application's own"})

    async def send(message: Any) -> None:
        sent.append(message.get("body", b""))

    async def receive() -> Any:
        raise AssertionError("nobody reads the request")

    scope = {"type": "http", "path": path, "method": "GET", "headers": headers}
    asyncio.run(AsgiMetrics(app)(scope, receive, send))
    return b"".join(sent)


def test_who_asks_the_process_directly_gets_the_metrics() -> None:
    assert b"colonnade_client_write_retries_total" in ask_wsgi()
    assert b"colonnade_client_write_retries_total" in ask_asgi("/metrics", [(b"host", b"x")])


@pytest.mark.parametrize(
    ("path", "method", "headers"),
    [
        ("/metrics", "GET", {"HTTP_X_REQUEST_ID": "5"}),
        ("/metrics", "GET", {"HTTP_X_FORWARDED_FOR": "192.0.2.1"}),
        ("/metrics", "POST", {}),
        ("/other", "GET", {}),
    ],
)
def test_everybody_else_gets_the_application(path: str, method: str, headers: dict[str, str]) -> None:
    assert ask_wsgi(path, method, **headers) == b"the application's own"


def test_behind_a_gateway_an_asgi_application_answers_itself() -> None:
    assert ask_asgi("/metrics", [(b"x-request-id", b"5")]) == b"the application's own"
    assert ask_asgi("/other", []) == b"the application's own"


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def lost() -> OperationalError:
    return OperationalError("COMMIT", {}, psycopg.OperationalError("the connection is lost"))


def test_a_commit_without_an_answer_is_counted_as_unknown() -> None:
    before = counted("colonnade_client_writes_total", outcome="unknown")
    attempts = Attempts(Token(), is_repeatable=False)
    attempts.begin()
    attempts.commit_sent = True
    with pytest.raises(CommitUnknown):
        attempts.failed(lost())
    assert counted("colonnade_client_writes_total", outcome="unknown") == before + 1


def test_attempts_that_are_repeated_are_counted_and_the_end_once() -> None:
    retries = counted("colonnade_client_write_retries_total")
    unavailable = counted("colonnade_client_writes_total", outcome="unavailable")
    attempts = Attempts(Token(), is_repeatable=False)
    for _ in range(2):
        attempts.begin()
        attempts.failed(lost())
    attempts.give_up()
    assert counted("colonnade_client_write_retries_total") == retries + 2
    assert counted("colonnade_client_writes_total", outcome="unavailable") == unavailable + 1
