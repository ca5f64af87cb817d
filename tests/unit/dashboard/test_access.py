"""Who gets in: every route of the dashboard, asked without a token, from elsewhere, under another name, by a viewer."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Route

from colonnade.core.clock import SimulatedClock, SystemClock
from colonnade.dashboard.web import guard
from colonnade.dashboard.web.attempts import FAILURES_MAX, WINDOW_S
from colonnade.dashboard.web.guard import HEADERS, OPEN, PROOF_HEADER
from colonnade.dashboard.web.sessions import CODE_S_MAX, Role, Session, Sessions, make_code
from colonnade.dashboard.web.spent import FILE_BYTES_MAX, Spent
from colonnade.system.dashboard_tokens import Tokens, load_or_make_tokens, renew_tokens, tokens_path

from .page import HOST, ORIGIN, TOKENS, Page

EVIL = "http://evil.example"
FOREIGN = ("http://127.0.0.1:8080", "null", EVIL, "https://127.0.0.1:8082")
"""Origins that are not this page; the first is the application behind the gateway."""


@pytest.fixture
def page(tmp_path: Path) -> Page:
    return Page(tmp_path)


def sessions_in(directory: Path) -> Sessions:
    """Those of one process; another one with the same directory is its successor."""
    return Sessions(TOKENS, Spent(directory / "spent.json", SystemClock()))


def routes_of(page: Page) -> list[tuple[str, str]]:
    """(method, path) of everything that there is, from the application itself: a new route cannot be forgotten."""
    found = []
    for route in page.app.routes:
        assert isinstance(route, Route), f"{route} is not walked over"
        found += [(method, route.path) for method in sorted(route.methods or ()) if method != "HEAD"]
    return found


def walked(page: Page, *, opened: bool = False) -> list[tuple[str, str]]:
    """Those that nobody may use without a session, with an example for each parameter of a path."""
    chosen = [(method, path) for method, path in routes_of(page) if (path in OPEN) == opened]
    return [(method, path.replace("{run}", "x").replace("{name}", "main.js")) for method, path in chosen]


def test_what_is_open_is_exactly_what_is_meant(page: Page) -> None:
    assert {path for _, path in routes_of(page)} >= OPEN
    assert {path for method, path in routes_of(page) if path in OPEN and method != "GET"} == {"/api/login"}
    assert len(walked(page)) > 20


def test_nobody_gets_in_without_a_session(page: Page) -> None:
    async def walk() -> None:
        whole = await page.log_in()
        cookie, proof = ({"Cookie": whole["Cookie"]}, {PROOF_HEADER: whole[PROOF_HEADER]})
        other = await page.log_in()
        mixed = {**cookie, PROOF_HEADER: other[PROOF_HEADER]}
        forged = {"Cookie": whole["Cookie"][:-3] + "AAA", **proof}
        for method, path in walked(page):
            for headers in ({}, cookie, proof, mixed, forged):
                answer = await page.ask(method, path, headers={**headers, "Origin": ORIGIN})
                assert answer.status_code == 401, (method, path, headers)

    asyncio.run(walk())
    assert page.controller.asked == []


def test_nothing_changes_for_another_origin(page: Page) -> None:
    async def walk() -> None:
        whole = await page.log_in()
        for method, path in [*walked(page), ("POST", "/api/login")]:
            for origin in FOREIGN:
                answer = await page.ask(method, path, headers={**whole, "Origin": origin})
                assert answer.status_code == 403, (method, path, origin)
            if method != "GET":
                without = {key: value for key, value in whole.items() if key != "Origin"}
                assert (await page.ask(method, path, headers=without)).status_code == 403, (method, path)
            for site in ("same-site", "cross-site"):
                answer = await page.ask(method, path, headers={**whole, "Sec-Fetch-Site": site})
                assert answer.status_code == 403, (method, path, site)

    asyncio.run(walk())
    assert page.controller.asked == []


def test_no_other_name_of_this_machine_is_answered(page: Page) -> None:
    async def walk() -> None:
        whole = await page.log_in()
        for method, path in [*walked(page), *walked(page, opened=True)]:
            for host in ("evil.example:8081", "127.0.0.1.evil.example", "localhost.evil.example:80", "", "x]:1"):
                headers = {**whole, "Host": host, "Origin": f"http://{host}"}
                assert (await page.ask(method, path, headers=headers)).status_code == 421, (method, path, host)

    asyncio.run(walk())
    assert page.controller.asked == []


def test_a_viewer_changes_nothing(page: Page) -> None:
    async def walk() -> None:
        viewer = await page.log_in(TOKENS.viewer)
        for method, path in walked(page):
            if method != "GET" and path not in guard.FOR_VIEWERS:
                assert (await page.ask(method, path, headers=viewer, json={})).status_code == 403, (method, path)
        assert (await page.ask("GET", "/api/session", headers=viewer)).json() == {"role": "viewer"}
        assert (await page.ask("GET", "/api/picture", headers=viewer)).status_code == 200
        assert (await page.ask("POST", "/api/logout", headers=viewer)).status_code == 200
        assert (await page.ask("GET", "/api/picture", headers=viewer)).status_code == 401

    asyncio.run(walk())
    assert page.controller.asked == []


def test_an_operator_is_let_through_to_every_action(page: Page) -> None:
    bodies: dict[str, dict[str, Any]] = {
        "/api/scale": {"service": "web", "replicas": 3},
        "/api/restart": {"id": "web/1"},
        "/api/drain": {"id": "web/1"},
        "/api/undrain": {"id": "web/1"},
    }
    silent = {"/api/login", "/api/logout", "/api/drill"}

    async def walk() -> None:
        operator = await page.log_in()
        for method, path in routes_of(page):
            if method == "POST" and path not in silent:
                answer = await page.ask(method, path, headers=operator, json=bodies.get(path, {}))
                assert answer.status_code == 200, (path, answer.text)
        refused = await page.ask("POST", "/api/drill", headers=operator, json={})
        assert refused.status_code == 409
        assert "colonnade.toml" in refused.text

    asyncio.run(walk())
    assert ("scale", "web", 3) in page.controller.asked
    assert len(page.controller.asked) == len([1 for method, path in routes_of(page) if method == "POST"]) - len(silent)


def test_every_answer_has_its_headers(page: Page) -> None:
    async def walk() -> None:
        for method, path in [*walked(page), *walked(page, opened=True), ("GET", "/nothing")]:
            answer = await page.ask(method, path, headers={"Origin": ORIGIN})
            assert {name: answer.headers[name] for name in HEADERS} == HEADERS, path

    asyncio.run(walk())
    assert "unsafe" not in HEADERS["Content-Security-Policy"]


def test_who_guesses_has_to_wait(page: Page) -> None:
    async def guess(token: str) -> int:
        answer = await page.ask("POST", "/api/login", json={"token": token}, headers={"Origin": ORIGIN})
        return answer.status_code

    async def walk() -> None:
        assert [await guess("wrong") for _ in range(FAILURES_MAX)] == [401] * FAILURES_MAX
        assert await guess(TOKENS.operator) == 429
        page.clock.advance(WINDOW_S + 1)
        assert await guess(TOKENS.operator) == 200

    asyncio.run(walk())


def test_a_code_logs_in_once(tmp_path: Path) -> None:
    sessions = sessions_in(tmp_path)
    code = make_code(TOKENS, Role.VIEWER)
    session = sessions.begin_by_code(code)
    assert session is not None
    assert sessions.role_of(session.cookie, session.proof) is Role.VIEWER
    assert sessions.begin_by_code(code) is None
    assert sessions_in(tmp_path).begin_by_code(code) is None, "nor by the next process"
    assert sessions.begin_by_code(code[:-1]) is None
    assert sessions.begin_by_code(make_code(Tokens("o" * 43, "v" * 43, "x" * 43), Role.OPERATOR)) is None
    assert CODE_S_MAX <= 300


def test_who_logged_out_is_not_let_in_by_the_next_process_either(tmp_path: Path) -> None:
    def begin(sessions: Sessions) -> Session:
        session = sessions.begin_by_token(TOKENS.operator)
        assert session is not None
        return session

    sessions = sessions_in(tmp_path)
    ended, kept = begin(sessions), begin(sessions)
    sessions.end(ended.cookie)
    for each in (sessions, sessions_in(tmp_path)):
        assert each.role_of(ended.cookie, ended.proof) is None
        assert each.role_of(kept.cookie, kept.proof) is Role.OPERATOR
    (file,) = tmp_path.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert ended.cookie not in file.read_text()


def test_what_is_spent_is_bounded_and_forgotten_in_time(tmp_path: Path) -> None:
    clock = SimulatedClock()
    spent = Spent(tmp_path / "spent.json", clock)
    spent.add("short", 10.0)
    for number in range(3):
        spent.add(f"long {number}", 1000.0)
    clock.advance(11.0)
    spent.add("last", 1000.0)
    again = Spent(tmp_path / "spent.json", clock)
    assert ["short" in again, "long 0" in again, "last" in again] == [False, True, True]


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"a": "x", "b": NaN}', f'{{"a": 1{"0" * 400}}}', "[" * 100_000, "x" * (FILE_BYTES_MAX + 1)],
)
def test_a_damaged_file_of_what_is_spent_stops_nobody(tmp_path: Path, text: str) -> None:
    path = tmp_path / "spent.json"
    path.write_text(text)
    spent = Spent(path, SimulatedClock())
    assert "a" not in spent
    spent.add("b", 10.0)
    assert "b" in Spent(path, SimulatedClock())


def test_a_pass_opens_one_path(page: Page, tmp_path: Path) -> None:
    sessions = sessions_in(tmp_path)
    assert sessions.opens(sessions.pass_for("/reports/a"), "/reports/a")
    assert not sessions.opens(sessions.pass_for("/reports/a"), "/reports/b")
    assert not sessions.opens(make_code(TOKENS, Role.OPERATOR), "/reports/a")

    async def walk() -> None:
        given = sessions.pass_for("/reports/x")
        assert (await page.ask("GET", f"/reports/x?pass={given}")).status_code == 400, "there is no such report"
        assert (await page.ask("GET", f"/api/picture?pass={given}")).status_code == 401

    asyncio.run(walk())


def test_tokens_are_private_and_their_own(tmp_path: Path) -> None:
    made = load_or_make_tokens(tmp_path)
    assert load_or_make_tokens(tmp_path) == made
    assert tokens_path(tmp_path).stat().st_mode & 0o777 == 0o600
    assert len({made.operator, made.viewer, made.key}) == 3
    assert made.operator not in repr(made)
    assert renew_tokens(tmp_path) != made


@pytest.mark.parametrize("host", [HOST, "localhost:1", "LOCALHOST", "[::1]:8081", "[::1]", "192.0.2.7:80"])
def test_addresses_of_digits_are_ours(host: str) -> None:
    assert guard.is_ours(host)
