"""Answers on the control socket that are no answer of a controller as new as we are, and none at all."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from colonnade.core.errors import DriverError, DriverUnavailable
from colonnade.system.client import ControlClient, NotRunning
from colonnade.system.paths import StatePaths


@contextmanager
def answering(paths: StatePaths, text: bytes) -> Iterator[ControlClient]:
    """One connection is answered by this."""
    paths.sockets.mkdir(parents=True, exist_ok=True)
    paths.control_socket.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(paths.control_socket))
        listener.listen()

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                # The head and the body come apart: who closes between the two breaks the client's pipe.
                with connection.makefile("rb") as request:
                    lines = list(iter(request.readline, b"\r\n"))
                    sizes = [line.split(b":")[1] for line in lines if line.lower().startswith(b"content-length:")]
                    request.read(int(sizes[0]) if sizes else 0)
                connection.sendall(text)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield ControlClient(paths)
        finally:
            thread.join(5)
            paths.control_socket.unlink()


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StatePaths:
    monkeypatch.setattr("colonnade.system.paths.runtime_root", lambda: tmp_path)  # not among the real systems' sockets
    return StatePaths(tmp_path / "state")


def test_a_controller_that_knows_no_such_question_is_of_an_older_version(paths: StatePaths) -> None:
    text = b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nNot Found"
    with answering(paths, text) as client, pytest.raises(DriverError, match="/replicas/drain") as error:
        client.drain("backend/1")
    assert not isinstance(error.value, DriverUnavailable), "waiting does not help"
    assert "colonnade upgrade" in error.value.hint


def test_half_an_answer_is_none(paths: StatePaths) -> None:
    text = b'HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{"phase": '
    with answering(paths, text) as client, pytest.raises(DriverUnavailable):
        client.status()


def test_a_refusal_has_the_words_of_the_controller(paths: StatePaths) -> None:
    body = b'{"error": "is drained already", "hint": "h", "subject": "backend/1", "exit_code": 3}'
    text = b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    with answering(paths, text) as client, pytest.raises(DriverError, match="is drained already") as error:
        client.drain("backend/1")
    assert error.value.exit_code == 3


def test_nobody_at_the_socket_is_not_running(paths: StatePaths) -> None:
    with pytest.raises(NotRunning):
        ControlClient(paths).status()
