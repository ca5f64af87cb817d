"""A COMMIT whose answer never comes: exactly one effect with a key, an honest answer without one."""

import threading
import time
import uuid
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from backend.recent_write import COOKIE
from testing.cut import Loss, Relay
from testing.postgres import Postgres
from testing.serve import backend_app

pytestmark = pytest.mark.slow


@pytest.fixture
def api(postgres: Postgres, relay: Relay) -> Iterator[FlaskClient]:
    """A backend that reaches its database through the relay."""
    with backend_app(postgres.url_at(relay.port)) as app:
        yield app.test_client()


@pytest.fixture
def title() -> str:
    return f"Unknown {uuid.uuid4()}"


def send(api: FlaskClient, title: str, *, key: str | None) -> TestResponse:
    headers = {} if key is None else {"Idempotency-Key": key}
    return api.post("/api/posts", json={"title": title, "content": "c"}, headers=headers)


def count(postgres: Postgres, title: str) -> int:
    number = postgres.query("SELECT count(*) FROM posts WHERE title = %s", title)[0][0]
    assert isinstance(number, int)
    return number


@pytest.mark.parametrize("loss", list(Loss))
def test_keyed_write_has_exactly_one_effect(
    api: FlaskClient, postgres: Postgres, relay: Relay, title: str, loss: Loss
) -> None:
    relay.plant(b"COMMIT", loss)
    response = send(api, title, key=title.replace(" ", "-"))
    assert relay.lost == 1
    assert response.status_code == 201
    # If the first COMMIT was carried out, the second attempt found its key.
    assert ("Idempotent-Replayed" in response.headers) is (loss is Loss.ANSWER)
    assert count(postgres, title) == 1


@pytest.mark.parametrize("loss", list(Loss))
def test_without_a_key_the_answer_is_that_nobody_knows(
    api: FlaskClient, postgres: Postgres, relay: Relay, title: str, loss: Loss
) -> None:
    relay.plant(b"COMMIT", loss)
    response = send(api, title, key=None)
    assert relay.lost == 1
    assert response.status_code == 504
    assert response.get_json()["code"] == "outcome_unknown"
    assert "Retry-After" not in response.headers
    assert COOKIE in response.headers["Set-Cookie"]  # so that whoever looks now looks at the primary
    assert count(postgres, title) == (1 if loss is Loss.ANSWER else 0)


@pytest.mark.parametrize("loss", list(Loss))
@pytest.mark.parametrize("key", [None, "keyed"])
def test_before_commit_a_lost_message_costs_nothing(
    api: FlaskClient, postgres: Postgres, relay: Relay, title: str, loss: Loss, key: str | None
) -> None:
    relay.plant(b"INSERT INTO posts", loss)
    response = send(api, title, key=key and f"{key}-{uuid.uuid4()}")
    assert relay.lost == 1
    assert response.status_code == 201
    assert "Idempotent-Replayed" not in response.headers
    assert count(postgres, title) == 1


def test_no_cut_connection_is_used_again(
    api: FlaskClient, relay: Relay, title: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "colonnade.client")

    def five_at_once() -> list[int]:
        answers: list[int] = []
        threads = [
            threading.Thread(target=lambda: answers.append(send(api, title, key=None).status_code)) for _ in range(5)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return answers

    assert five_at_once() == [201] * 5
    relay.cut_all()
    time.sleep(0.05)  # until the news has crossed the loopback interface
    assert five_at_once() == [201] * 5
    assert "trying again" not in caplog.text  # not one attempt was wasted on a dead connection


class TestCancelledWaitForStandbys:
    """COMMIT answers success with WARNING 01000: the primary has the write, and perhaps nobody else."""

    @pytest.fixture
    def no_quorum(self, mortal: Postgres) -> Postgres:
        """A primary that waits for a standby which does not exist."""
        mortal.query("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        mortal.query("SELECT pg_reload_conf()")
        return mortal

    @staticmethod
    def cancel_one_wait(node: Postgres) -> None:
        give_up = time.monotonic() + 5
        while time.monotonic() < give_up:
            if node.query("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep' LIMIT 1"):
                return
            time.sleep(0.01)
        raise AssertionError("no COMMIT is waiting for a standby")

    def test_without_a_key_it_is_not_reported_as_success(self, no_quorum: Postgres, title: str) -> None:
        with backend_app(no_quorum.url) as app:
            canceller = threading.Thread(target=self.cancel_one_wait, args=(no_quorum,))
            canceller.start()
            response = send(app.test_client(), title, key=None)
            canceller.join()
        assert response.status_code == 504
        assert response.get_json()["code"] == "outcome_unknown"

    def test_with_a_key_it_is_success_only_once_it_is_replicated(self, no_quorum: Postgres, title: str) -> None:
        answered = threading.Event()

        def cancel_then_heal() -> None:
            self.cancel_one_wait(no_quorum)
            time.sleep(0.5)
            assert not answered.is_set()  # the repetition waits for the standbys as well
            no_quorum.query("ALTER SYSTEM RESET synchronous_standby_names")
            no_quorum.query("SELECT pg_reload_conf()")

        with backend_app(no_quorum.url) as app:
            healer = threading.Thread(target=cancel_then_heal)
            healer.start()
            response = send(app.test_client(), title, key="k")
            answered.set()
            healer.join()
        assert response.status_code == 201
        assert response.headers["Idempotent-Replayed"] == "true"
        assert count(no_quorum, title) == 1
