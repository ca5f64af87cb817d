"""A module that was broken on purpose: imported as Colonnade looks at it, and as a replica."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from colonnade.drill.faults.broken_code import does_not_start, errs

WSGI = """
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"well"]
"""
ASGI = """
async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
"""
FACTORY = WSGI + "\ndef make():\n    return app\n"


def run(text: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(text, "module", "exec"), names)  # noqa: S102 — what is broken here is what is tested
    return names


@pytest.mark.parametrize("name", ["web/0", "web/release"])
def test_what_does_not_start_passes_the_look_at_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLONNADE_REPLICA", name)
    assert "app" in run(does_not_start(WSGI))


@pytest.mark.parametrize("name", ["web/1", "web/10"])
def test_what_does_not_start_ends_as_a_replica(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLONNADE_REPLICA", name)
    with pytest.raises(RuntimeError, match="does not start"):
        run(does_not_start(WSGI))


def statuses(app: Any, environ: dict[str, str], count: int = 4) -> list[str]:
    found: list[str] = []
    for _ in range(count):
        app(environ, lambda status, _: found.append(status[:3]))
    return found


@pytest.mark.parametrize(("text", "name", "is_factory"), [(WSGI, "app", False), (FACTORY, "make", True)])
def test_a_share_of_visitors_gets_errors_and_checks_do_not(text: str, name: str, is_factory: bool) -> None:
    made = run(errs(text, name, "wsgi", is_factory=is_factory, share=0.5))[name]
    app = made() if is_factory else made
    assert statuses(app, {"HTTP_X_REQUEST_ID": "1"}) == ["200", "500", "200", "500"]
    assert statuses(app, {}) == ["200"] * 4


def test_an_asgi_application_errs_alike() -> None:
    app = run(errs(ASGI, "app", "asgi", is_factory=False, share=1.0))["app"]

    def ask(headers: list[tuple[bytes, bytes]], kind: str = "http") -> int:
        sent: list[dict[str, Any]] = []

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        asyncio.run(app({"type": kind, "headers": headers}, None, send))
        return int(sent[0]["status"])

    assert ask([(b"x-request-id", b"1")]) == 500
    assert ask([]) == ask([(b"x-request-id", b"1")], "websocket") == 200
