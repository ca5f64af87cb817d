"""The same key twice: one effect, one answer."""

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from colonnade.client.idempotency import PURGED_PER_WRITE, hash_request, is_valid_key
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from testing.postgres import Postgres

POST = {"title": "Keyed", "content": "Once"}


def send(api: FlaskClient, key: str, post: dict[str, Any] = POST) -> TestResponse:
    return api.post("/api/posts", json=post, headers={"Idempotency-Key": key})


def new_key() -> str:
    return str(uuid.uuid4())


def count(postgres: Postgres, title: str) -> int:
    number = postgres.query("SELECT count(*) FROM posts WHERE title = %s", title)[0][0]
    assert isinstance(number, int)
    return number


def test_a_request_is_its_method_path_and_content() -> None:
    reference = hash_request("POST", "/api/posts", {"title": "a", "content": "b"})
    assert reference == hash_request("POST", "/api/posts", {"content": "b", "title": "a"})
    others = [
        hash_request("PUT", "/api/posts", {"title": "a", "content": "b"}),
        hash_request("POST", "/api/posts/1", {"title": "a", "content": "b"}),
        hash_request("POST", "/api/posts", {"title": "ab", "content": ""}),
    ]
    assert reference not in others


@pytest.mark.parametrize(
    ("key", "valid"), [("a", True), ("x" * 255, True), ("x" * 256, False), ("", False), ("a b", False), ("ä", False)]
)
def test_keys_are_visible_ascii(key: str, valid: bool) -> None:
    assert is_valid_key(key) is valid


@pytest.mark.slow
def test_repetition_gets_the_first_answer_byte_for_byte(api: FlaskClient) -> None:
    key = new_key()
    first, second = send(api, key), send(api, key)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.data == second.data
    assert first.headers["Location"] == second.headers["Location"]
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"


@pytest.mark.slow
def test_put_is_repeated_as_it_was_even_if_the_post_has_changed_since(api: FlaskClient) -> None:
    post_id = send(api, new_key()).get_json()["id"]
    key = {"Idempotency-Key": new_key()}
    first = api.put(f"/api/posts/{post_id}", json=POST, headers=key)
    api.put(f"/api/posts/{post_id}", json={"title": "Later", "content": "Later"})
    assert api.put(f"/api/posts/{post_id}", json=POST, headers=key).data == first.data
    assert api.get(f"/api/posts/{post_id}").get_json()["title"] == "Later"


@pytest.mark.slow
def test_same_key_for_another_request_is_refused(api: FlaskClient) -> None:
    key = new_key()
    post_id = send(api, key).get_json()["id"]
    assert send(api, key, {**POST, "content": "Other"}).status_code == 422
    response = api.put(f"/api/posts/{post_id}", json=POST, headers={"Idempotency-Key": key})
    assert response.status_code == 422
    assert response.get_json()["code"] == "idempotency_key_reused"


@pytest.mark.slow
def test_failed_requests_do_not_use_up_their_key(api: FlaskClient) -> None:
    key = new_key()
    assert send(api, key, {"title": "", "content": ""}).status_code == 400
    assert api.put("/api/posts/999999999", json=POST, headers={"Idempotency-Key": key}).status_code == 404
    assert send(api, key).status_code == 201


@pytest.mark.slow
def test_odd_key_is_refused(api: FlaskClient) -> None:
    assert send(api, "with space").status_code == 400


@pytest.mark.slow
def test_twenty_at_once_have_one_effect(backend: Flask, postgres: Postgres) -> None:
    title = f"Twenty {uuid.uuid4()}"
    key = new_key()
    answers = at_once(20, lambda: send(backend.test_client(), key, {"title": title, "content": "c"}))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.data for answer in answers}) == 1
    assert sum("Idempotent-Replayed" not in answer.headers for answer in answers) == 1
    assert count(postgres, title) == 1


@pytest.mark.slow
def test_two_different_requests_at_once_under_one_key_have_one_effect(backend: Flask, postgres: Postgres) -> None:
    title = f"Mixed {uuid.uuid4()}"
    key = new_key()
    contents = iter(["one", "two"] * 5)
    answers = at_once(10, lambda: send(backend.test_client(), key, {"title": title, "content": next(contents)}))
    assert {answer.status_code for answer in answers} == {201, 422}
    assert count(postgres, title) == 1


@pytest.mark.slow
def test_an_expired_key_is_as_good_as_new(api: FlaskClient, postgres: Postgres) -> None:
    key = new_key()
    first = send(api, key).get_json()["id"]
    postgres.query("UPDATE idempotency_keys SET expires_at = now() - interval '1 s' WHERE key = %s", key)
    assert send(api, key, {**POST, "content": "Other"}).get_json()["id"] > first
    assert send(api, key, {**POST, "content": "Other"}).headers["Idempotent-Replayed"] == "true"


@pytest.mark.slow
def test_each_write_buries_a_few_expired_keys(api: FlaskClient, postgres: Postgres) -> None:
    prefix = new_key()
    postgres.query(
        "INSERT INTO idempotency_keys (key, request_hash, status, body, expires_at) "
        "SELECT %s::text || n, '', 201, '', now() - interval '1 day' FROM generate_series(1, 12) n",
        prefix,
    )

    def left() -> int:
        number = postgres.query("SELECT count(*) FROM idempotency_keys WHERE starts_with(key, %s)", prefix)[0][0]
        assert isinstance(number, int)
        return number

    for expected in (12 - PURGED_PER_WRITE, 12 - 2 * PURGED_PER_WRITE, 0):
        send(api, new_key())
        assert left() == expected


def at_once(times: int, call: Callable[[], TestResponse]) -> list[TestResponse]:
    with ThreadPoolExecutor(times) as pool:
        return [future.result() for future in [pool.submit(call) for _ in range(times)]]
