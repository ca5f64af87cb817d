"""The pages, before a backend that answers whatever a test wants."""

import json
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from flask import Flask, Response, jsonify, request
from flask.testing import FlaskClient

from testing.serve import frontend_app, served

POST = {
    "id": 7,
    "title": "A <b>title</b>",
    "content": "Some *text* <script>alert(1)</script>",
    "created_at": "2026-01-02T03:04:05+00:00",
    "updated_at": "2026-01-02T03:04:05+00:00",
}
FORM = {"title": "My title", "content": "My text", "idempotency_key": "0" * 8 + "-0000-4000-8000-" + "0" * 12}


@dataclass
class FakeBackend:
    """Gives the next planned answer, else a good one, and remembers what it was sent."""

    planned: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    seen: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)

    def answer(self, path: str) -> tuple[Response, int, dict[str, str]]:
        self.seen.append((request.method, f"/{path}", dict(request.headers), request.get_json(silent=True)))
        headers = {"X-Served-By": "backend/9"}
        if request.method != "GET":
            headers["Set-Cookie"] = "recent_write=w.stamp.sign; Max-Age=5; Path=/"
        if self.planned:
            status, body = self.planned.pop(0)
            return jsonify(body), status, headers
        if path == "api/posts" and request.method == "GET":
            page = int(request.args["page"])
            posts = [POST] if page < 3 else []
            return jsonify(posts=posts, page=page, per_page=8, has_next=page < 2), 200, headers
        return jsonify(POST), 201 if request.method == "POST" else 200, headers

    def app(self) -> Flask:
        app = Flask(__name__)
        app.add_url_rule("/<path:path>", view_func=self.answer, methods=["GET", "POST", "PUT"])
        return app


@pytest.fixture
def fake() -> FakeBackend:
    return FakeBackend()


@pytest.fixture
def web(fake: FakeBackend) -> Iterator[FlaskClient]:
    with served(fake.app()) as url, frontend_app(url) as app:
        yield app.test_client()


def key_in(html: str) -> str:
    found = re.search(r'name="idempotency_key" value="([^"]+)"', html)
    assert found is not None
    return found[1]


def test_list_shows_posts_and_who_answered(web: FlaskClient) -> None:
    page = web.get("/")
    assert page.status_code == 200
    assert "A &lt;b&gt;title&lt;/b&gt;" in page.text
    assert "frontend/1" in page.text
    assert "backend/9" in page.text
    assert page.headers["X-Served-By"] == "frontend/1"


def test_pager_leads_both_ways_and_ends(web: FlaskClient) -> None:
    first, second = web.get("/").text, web.get("/?page=2").text
    assert "Older" in first
    assert "Newer" not in first
    assert "Newer" in second
    assert "Older" not in second
    assert web.get("/?page=3").status_code == 404
    assert web.get("/?page=x").status_code == 404


def test_nothing_of_a_post_is_run(web: FlaskClient) -> None:
    html = web.get("/post/7").text
    assert "<script" not in html
    assert "<em>text</em>" in html
    assert "A &lt;b&gt;title&lt;/b&gt;" in html


def test_pages_bring_no_inline_code_and_forbid_it(web: FlaskClient) -> None:
    for path in ("/", "/post/7", "/new", "/nowhere"):
        page = web.get(path)
        assert not re.search(r"<style|style=|<script|\son\w+=", page.text)
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        assert "unsafe" not in page.headers["Content-Security-Policy"]
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert page.headers["Referrer-Policy"] == "same-origin"


def test_nothing_is_fetched_from_elsewhere(web: FlaskClient) -> None:
    for path in ("/", "/post/7", "/new"):
        assert not re.search(r'(src|href)="(https?:)?//', web.get(path).text)
    assert "url(" not in web.get("/static/blog.css", buffered=True).text


def test_stylesheet_is_kept_for_a_year_only_under_its_own_hash(web: FlaskClient) -> None:
    found = re.search(r'href="(/static/blog\.css\?v=\w+)"', web.get("/").text)
    assert found is not None
    assert "immutable" in web.get(found[1], buffered=True).headers["Cache-Control"]
    assert web.get("/static/blog.css?v=of-another-version", buffered=True).headers["Cache-Control"] == "no-cache"
    assert web.get("/static/none.css").headers["Cache-Control"] == "no-cache"


def test_each_form_has_a_key_of_its_own(web: FlaskClient) -> None:
    assert key_in(web.get("/new").text) != key_in(web.get("/new").text)


def test_publishing_sends_the_key_and_leads_to_the_post(web: FlaskClient, fake: FakeBackend) -> None:
    response = web.post("/new", data=FORM)
    assert response.status_code == 303
    assert response.headers["Location"] == "/post/7"
    method, path, headers, body = fake.seen[-1]
    assert (method, path) == ("POST", "/api/posts")
    assert headers["Idempotency-Key"] == FORM["idempotency_key"]
    assert body == {"title": "My title", "content": "My text"}


def test_editing_shows_the_post_and_replaces_it(web: FlaskClient, fake: FakeBackend) -> None:
    page = web.get("/post/7/edit").text
    assert "Some *text* &lt;script&gt;" in page
    assert web.post("/post/7/edit", data=FORM).status_code == 303
    assert fake.seen[-1][:2] == ("PUT", "/api/posts/7")


def test_mark_of_a_write_reaches_the_browser_and_comes_back(web: FlaskClient, fake: FakeBackend) -> None:
    cookie = web.post("/new", data=FORM).headers["Set-Cookie"]
    assert cookie.startswith("recent_write=w.stamp.sign;")
    assert "HttpOnly" in cookie
    web.get("/")
    assert fake.seen[-1][2]["Cookie"] == "recent_write=w.stamp.sign"


def test_mark_of_one_visitor_does_not_reach_another(web: FlaskClient, fake: FakeBackend) -> None:
    web.post("/new", data=FORM)
    web.application.test_client().get("/")
    assert "Cookie" not in fake.seen[-1][2]


def test_odd_mark_is_not_passed_on(web: FlaskClient, fake: FakeBackend) -> None:
    web.get("/", headers={"Cookie": 'recent_write="a\\015\\012X-Evil: 1"'})
    assert "Cookie" not in fake.seen[-1][2]


def test_errors_stand_beside_their_field_and_the_text_is_kept(web: FlaskClient, fake: FakeBackend) -> None:
    fake.planned = [(400, {"code": "invalid", "errors": {"title": "The title is <empty>."}})]
    response = web.post("/new", data={**FORM, "title": " "})
    assert response.status_code == 422
    assert '<p class="error" id="title-error">The title is &lt;empty&gt;.</p>' in response.text
    assert 'aria-describedby="title-error"' in response.text
    assert "My text</textarea>" in response.text
    assert key_in(response.text) == FORM["idempotency_key"]


def test_text_and_key_are_kept_while_the_database_changes_hands(web: FlaskClient, fake: FakeBackend) -> None:
    fake.planned = [(503, {"code": "unavailable"})]
    response = web.post("/new", data=FORM)
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "1"
    assert "Your text is kept" in response.text
    assert "My text</textarea>" in response.text
    assert key_in(response.text) == FORM["idempotency_key"]


def test_a_form_sent_again_with_another_text_gets_a_new_key(web: FlaskClient, fake: FakeBackend) -> None:
    fake.planned = [(422, {"code": "idempotency_key_reused"})]
    response = web.post("/new", data=FORM)
    assert response.status_code == 409
    assert "My text</textarea>" in response.text
    assert key_in(response.text) != FORM["idempotency_key"]


def test_a_form_without_a_key_gets_one(web: FlaskClient, fake: FakeBackend) -> None:
    assert web.post("/new", data={"title": "t", "content": "c"}).status_code == 303
    assert len(fake.seen[-1][2]["Idempotency-Key"]) == 36


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.example"}])
def test_forms_from_other_sites_are_refused(web: FlaskClient, fake: FakeBackend, headers: dict[str, str]) -> None:
    for path in ("/new", "/post/7/edit"):
        assert web.post(path, data=FORM, headers=headers).status_code == 403
    assert fake.seen == []


def test_own_forms_are_not(web: FlaskClient) -> None:
    own = {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"}
    assert web.post("/new", data=FORM, headers=own).status_code == 303
    assert web.post("/new", data=FORM, headers={"Origin": "http://localhost"}).status_code == 303


@pytest.mark.parametrize(
    ("planned", "status", "words"),
    [
        ((404, {"code": "not_found"}), 404, "Nothing here"),
        ((503, {"code": "unavailable"}), 503, "The database is changing hands"),
        ((500, {"code": "internal_error"}), 503, "The database is changing hands"),
        ((418, {"code": "teapot"}), 500, "Our mistake"),
    ],
)
def test_errors_are_pages_of_the_same_design(
    web: FlaskClient, fake: FakeBackend, planned: tuple[int, dict[str, Any]], status: int, words: str
) -> None:
    fake.planned = [planned]
    page = web.get("/post/7")
    assert page.status_code == status
    assert f"<h1>{words}</h1>" in page.text
    assert "<footer" in page.text
    assert ("Retry-After" in page.headers) is (status == 503)


def test_other_errors_are_too(web: FlaskClient) -> None:
    assert "Nothing here" in web.get("/nowhere").text
    assert web.delete("/new").status_code == 405
    assert web.post("/new", data={"content": "x" * 300_000}).status_code == 413


def test_live_and_ready_do_not_depend_on_the_backend() -> None:
    with frontend_app("http://127.0.0.1:9") as app:
        assert app.test_client().get("/livez").status_code == 200
        assert app.test_client().get("/readyz").status_code == 200


class Hangs:
    """A server that hangs up on the first `times` connections after reading the request, then answers well."""

    def __init__(self, times: int) -> None:
        self.left = times
        self.requests: list[bytes] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        body = json.dumps(POST).encode()
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:  # closed
                return
            with connection:
                self.requests.append(connection.recv(65536))
                if self.left > 0:
                    self.left -= 1
                    continue
                head = b"HTTP/1.1 201 Created\r\nConnection: close\r\nContent-Type: application/json\r\n"
                connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(5)


@pytest.mark.parametrize(("hangs", "status", "sent"), [(0, 303, 1), (1, 303, 2), (2, 503, 2)])
def test_a_broken_connection_is_tried_once_more_with_the_same_key(hangs: int, status: int, sent: int) -> None:
    server = Hangs(hangs)
    try:
        with frontend_app(server.url) as app:
            assert app.test_client().post("/new", data=FORM).status_code == status
    finally:
        server.close()
    assert len(server.requests) == sent
    assert all(FORM["idempotency_key"].encode() in request for request in server.requests)
