"""The API of posts on a real PostgreSQL, while nothing fails."""

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from flask.testing import FlaskClient

from backend.recent_write import COOKIE
from testing.postgres import Postgres, primary
from testing.serve import backend_app

pytestmark = pytest.mark.slow


def create(api: FlaskClient, title: str = "A title", content: str = "A text") -> int:
    response = api.post("/api/posts", json={"title": title, "content": content})
    assert response.status_code == 201, response.text
    post_id = response.get_json()["id"]
    assert isinstance(post_id, int)
    return post_id


def test_a_created_post_can_be_read(api: FlaskClient) -> None:
    response = api.post("/api/posts", json={"title": " Säulen 柱 ", "content": "One\r\ntwo 🏛"})
    assert response.status_code == 201
    post = api.get(response.headers["Location"]).get_json()
    assert post == response.get_json()
    assert (post["title"], post["content"]) == ("Säulen 柱", "One\ntwo 🏛")
    assert post["created_at"] == post["updated_at"]


def test_a_replaced_post_is_new_but_for_its_id_and_creation(api: FlaskClient) -> None:
    post_id = create(api)
    before = api.get(f"/api/posts/{post_id}").get_json()
    after = api.put(f"/api/posts/{post_id}", json={"title": "New", "content": "Newer"}).get_json()
    assert after == api.get(f"/api/posts/{post_id}").get_json()
    assert (after["id"], after["title"], after["content"]) == (post_id, "New", "Newer")
    assert after["created_at"] == before["created_at"] < after["updated_at"]


def test_pages_hold_every_post_once_and_the_newest_first(api: FlaskClient) -> None:
    mine = [create(api, f"Page test {number}") for number in range(7)]
    seen: list[int] = []
    for number in (1, 2, 3, 4):
        page = api.get(f"/api/posts?page={number}&per_page=2").get_json()
        assert (page["page"], page["per_page"]) == (number, 2)
        seen += [post["id"] for post in page["posts"]]
    assert seen[:7] == mine[::-1]
    everything = api.get("/api/posts?per_page=100").get_json()
    assert everything["has_next"] is False
    assert api.get(f"/api/posts?per_page={len(everything['posts'])}").get_json()["has_next"] is False
    assert api.get(f"/api/posts?per_page={len(everything['posts']) - 1}").get_json()["has_next"] is True


def test_a_page_after_the_last_is_empty(api: FlaskClient) -> None:
    assert api.get("/api/posts?page=9999&per_page=100").get_json()["posts"] == []


@pytest.mark.parametrize("query", ["page=0", "per_page=101", "per_page=0", "page=x"])
def test_pages_out_of_bounds_are_refused(api: FlaskClient, query: str) -> None:
    response = api.get(f"/api/posts?{query}")
    assert response.status_code == 400
    assert response.get_json()["code"] == "invalid"


def test_what_is_wrong_is_told_for_each_field(api: FlaskClient) -> None:
    response = api.post("/api/posts", json={"title": "", "content": "x" * 16_001})
    assert response.status_code == 400
    assert response.content_type == "application/problem+json"
    assert response.get_json()["errors"] == {
        "title": "The title is empty.",
        "content": "The content has 16,001 characters; at most 16,000 are possible.",
    }


@pytest.mark.parametrize("post_id", ["0", "999999999", str(2**63), "9" * 400])
def test_unknown_posts_are_404(api: FlaskClient, post_id: str) -> None:
    assert api.get(f"/api/posts/{post_id}").status_code == 404
    assert api.put(f"/api/posts/{post_id}", json={"title": "t", "content": "c"}).status_code == 404


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("text/plain", b'{"title":"t","content":"c"}', 415),  # what a foreign page could send without asking
        ("application/x-www-form-urlencoded", b"title=t&content=c", 415),
        ("application/json", b"{", 400),
        ("application/json", b"\xff", 400),
        ("application/json", b'"' + b"x" * 200_000 + b'"', 413),
    ],
)
def test_bodies_that_are_not_small_json_are_refused(
    api: FlaskClient, content_type: str, body: bytes, status: int
) -> None:
    response = api.post("/api/posts", data=body, content_type=content_type)
    assert response.status_code == status
    assert response.get_json()["status"] == status


def test_wrong_method_is_told_the_right_ones(api: FlaskClient) -> None:
    response = api.delete("/api/posts/1")
    assert response.status_code == 405
    assert "PUT" in response.headers["Allow"]


def test_answers_say_who_gave_them(api: FlaskClient) -> None:
    response = api.get("/api/posts")
    assert response.headers["X-Served-By"] == "backend/1"
    assert response.headers["X-Read-From"] == "primary"  # there is no standby here


def test_writes_are_marked_and_reads_are_not(api: FlaskClient) -> None:
    assert COOKIE not in api.get("/api/posts").headers.get("Set-Cookie", "")
    cookie = api.post("/api/posts", json={"title": "t", "content": "c"}).headers["Set-Cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    assert "Max-Age=5" in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


def test_pool_never_grows_beyond_its_size(postgres: Postgres) -> None:
    name = f"pool-{uuid.uuid4()}"
    with backend_app(postgres.url, DATABASE_POOL_SIZE="2", COLONNADE_REPLICA=name) as app:
        in_threads(app, 12)
        count = postgres.query("SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", name)
    assert 1 <= count[0][0] <= 2


def in_threads(app: Flask, threads: int) -> None:
    with ThreadPoolExecutor(threads) as pool:
        for post_id in pool.map(lambda _: create(app.test_client()), range(threads)):
            assert post_id > 0


@pytest.fixture
def nowhere() -> Iterator[Flask]:
    """A backend whose database cannot be reached."""
    with primary() as node:
        url = node.url
    with backend_app(url) as app:
        yield app


def test_live_and_ready_do_not_depend_on_the_database(nowhere: Flask) -> None:
    client = nowhere.test_client()
    assert client.get("/livez").status_code == 200
    assert client.get("/readyz").status_code == 200


def test_without_a_database_the_answer_is_503_within_the_deadline(nowhere: Flask) -> None:
    response = nowhere.test_client().get("/api/posts")
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "1"
    assert response.get_json()["code"] == "unavailable"
