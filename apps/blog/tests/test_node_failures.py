"""Nodes that die, freeze, or turn out to be standbys, under writes and reads."""

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from flask.testing import FlaskClient

from backend.recent_write import COOKIE
from testing.cut import relay_to
from testing.postgres import Postgres, standby_of
from testing.serve import backend_app

pytestmark = pytest.mark.slow


def send(api: FlaskClient, title: str, key: str | None = None) -> int:
    headers = {} if key is None else {"Idempotency-Key": key}
    return api.post("/api/posts", json={"title": title, "content": "c"}, headers=headers).status_code


class Load:
    """Threads that write with keys and read, until they are stopped; every answer is kept."""

    def __init__(self, client_of: list[FlaskClient]) -> None:
        self.reads: list[int] = []
        self.writes: dict[str, int] = {}
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(client,)) for client in client_of]

    def _run(self, client: FlaskClient) -> None:
        while not self._over.is_set():
            client.delete_cookie(COOKIE)  # else every read would go to the primary
            title = f"Load {uuid.uuid4()}"
            self.writes[title] = send(client, title, title.replace(" ", "-"))
            client.delete_cookie(COOKIE)
            self.reads.append(client.get("/api/posts?per_page=3").status_code)

    @contextmanager
    def running(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in self._threads:
                thread.join()


def test_primary_killed_and_restarted_under_load_costs_no_keyed_write_and_no_read(mortal: Postgres) -> None:
    with backend_app(mortal.url) as app:
        load = Load([app.test_client() for _ in range(6)])
        with load.running():
            for _ in range(3):
                time.sleep(0.4)
                before = len(load.writes)
                mortal.kill()
                time.sleep(0.3)
                mortal.start()
                assert before > 0
            time.sleep(0.4)
    assert set(load.writes.values()) == {201}
    assert set(load.reads) == {200}
    rows = dict(mortal.query("SELECT title, count(*) FROM posts WHERE title LIKE 'Load %' GROUP BY title"))
    assert rows == dict.fromkeys(load.writes, 1)


def test_promoted_standby_takes_over_and_nothing_is_lost(mortal: Postgres) -> None:
    with standby_of(mortal) as successor, relay_to(mortal.port) as endpoint:
        mortal.query("ALTER SYSTEM SET synchronous_standby_names = '*'")
        mortal.query("SELECT pg_reload_conf()")
        with backend_app(mortal.url_at(endpoint.port), successor.url) as app:
            load = Load([app.test_client() for _ in range(6)])
            with load.running():
                time.sleep(0.5)
                mortal.kill()
                successor.query("SELECT pg_promote()")
                endpoint.target_port = successor.port
                endpoint.cut_all()
                time.sleep(0.7)
        assert set(load.writes.values()) == {201}
        assert set(load.reads) == {200}
        rows = dict(successor.query("SELECT title, count(*) FROM posts WHERE title LIKE 'Load %' GROUP BY title"))
        assert rows == dict.fromkeys(load.writes, 1)


def test_demoted_primary_on_kept_connections_is_noticed(mortal: Postgres) -> None:
    """The endpoint still leads to a node that has become a standby; it answers 25006 and keeps the connection."""
    with (
        standby_of(mortal) as standby,
        relay_to(mortal.port) as endpoint,
        backend_app(mortal.url_at(endpoint.port)) as app,
    ):
        endpoint.target_port = standby.port
        healer = threading.Timer(0.3, setattr, (endpoint, "target_port", mortal.port))
        healer.start()
        assert send(app.test_client(), "Demoted") == 201
        healer.join()
    assert mortal.query("SELECT count(*) FROM posts WHERE title = 'Demoted'") == [(1,)]


def test_unkeyed_writes_during_a_restart_never_double_and_never_lie(mortal: Postgres) -> None:
    answers: dict[str, int] = {}
    over = threading.Event()

    def run(client: FlaskClient) -> None:
        while not over.is_set():
            title = f"Unkeyed {uuid.uuid4()}"
            answers[title] = send(client, title)

    with backend_app(mortal.url) as app:
        threads = [threading.Thread(target=run, args=(app.test_client(),)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for _ in range(3):
            time.sleep(0.3)
            mortal.kill()
            mortal.start()
        time.sleep(0.3)
        over.set()
        for thread in threads:
            thread.join()
    assert set(answers.values()) <= {201, 504}
    rows = dict(mortal.query("SELECT title, count(*) FROM posts WHERE title LIKE 'Unkeyed %' GROUP BY title"))
    assert set(rows.values()) == {1}
    assert {title for title, status in answers.items() if status == 201} <= set(rows)


def test_reads_outlive_a_dead_standby(mortal: Postgres) -> None:
    with standby_of(mortal) as standby, backend_app(mortal.url, standby.url) as app:
        api = app.test_client()
        assert api.get("/api/posts").headers["X-Read-From"] == "standby"
        standby.kill()
        started = time.monotonic()
        response = api.get("/api/posts")
        assert response.headers["X-Read-From"] == "primary"
        assert time.monotonic() - started < 0.5
        standby.start()
        assert api.get("/api/posts").headers["X-Read-From"] == "standby"


def test_reads_outlive_a_frozen_standby(mortal: Postgres) -> None:
    with standby_of(mortal) as standby, backend_app(mortal.url, standby.url) as app:
        api = app.test_client()
        api.get("/api/posts")
        standby.freeze()
        try:
            started = time.monotonic()
            response = api.get("/api/posts")
            took_s = time.monotonic() - started
        finally:
            standby.thaw()
        assert response.headers["X-Read-From"] == "primary"
        assert took_s < 4.5


def test_reads_outlive_the_primary_even_right_after_a_write(mortal: Postgres) -> None:
    with standby_of(mortal) as standby, backend_app(mortal.url, standby.url) as app:
        api = app.test_client()
        assert send(api, "Last words") == 201
        assert api.get("/api/posts").headers["X-Read-From"] == "primary"
        mortal.kill()
        response = api.get("/api/posts")
        assert response.status_code == 200
        assert response.headers["X-Read-From"] == "standby"


def test_frozen_primary_is_503_within_the_deadline(mortal: Postgres) -> None:
    with backend_app(mortal.url) as app:
        api = app.test_client()
        send(api, "Before")
        mortal.freeze()
        try:
            started = time.monotonic()
            assert send(api, "During", "frozen") == 503
            took_s = time.monotonic() - started
        finally:
            mortal.thaw()
        assert took_s < 10.5
        assert send(api, "During", "frozen") == 201
    assert mortal.query("SELECT count(*) FROM posts WHERE title = 'During'") == [(1,)]


class TestStandbyThatLagsBehind:
    @pytest.fixture
    def lagging(self, mortal: Postgres) -> Iterator[Postgres]:
        """A standby that has stopped replaying."""
        with standby_of(mortal) as standby:
            standby.query("SELECT pg_wal_replay_pause()")
            yield standby

    def test_who_has_just_written_reads_it_and_others_are_read_from_the_standby(
        self, mortal: Postgres, lagging: Postgres
    ) -> None:
        with backend_app(mortal.url, lagging.url) as app:
            writer, other = app.test_client(), app.test_client()
            assert send(writer, "Fresh") == 201
            mine, theirs = writer.get("/api/posts?per_page=1"), other.get("/api/posts?per_page=1")
        assert (mine.get_json()["posts"][0]["title"], mine.headers["X-Read-From"]) == ("Fresh", "primary")
        assert theirs.get_json()["posts"][0]["title"] != "Fresh"
        assert theirs.headers["X-Read-From"] == "standby"

    def test_a_post_unknown_to_the_standby_is_found_on_the_primary(self, mortal: Postgres, lagging: Postgres) -> None:
        with backend_app(mortal.url, lagging.url) as app:
            post_id = app.test_client().post("/api/posts", json={"title": "Link", "content": "c"}).get_json()["id"]
            friend = app.test_client().get(f"/api/posts/{post_id}")
            nobody = app.test_client().get("/api/posts/999999")
        assert (friend.get_json()["title"], friend.headers["X-Read-From"]) == ("Link", "primary")
        assert nobody.status_code == 404
