"""What `colonnade top` makes of a controller that answers, answers half, refuses, or is not there."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from colonnade.cli.top.watch import Contact, Watch
from colonnade.core.clock import SimulatedClock
from colonnade.core.processes import SYSTEM_MARK
from colonnade.system.paths import StatePaths, make_socket_directory

REFUSED = b'HTTP/1.1 400 Bad Request\r\nContent-Length: 19\r\n\r\n{"error": "stopped"}'
HALF = b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"phase": "stopp'
NO_JSON = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\nOops"
UNKNOWN = b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}"


@pytest.fixture
def paths(tmp_path: Path) -> Iterator[StatePaths]:
    found = StatePaths(tmp_path / ".colonnade")
    make_socket_directory(found, 0o700)
    yield found
    shutil.rmtree(found.sockets)


@contextmanager
def answering(paths: StatePaths, answer: bytes) -> Iterator[None]:
    """A controller that says this to whoever asks, and hangs up."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(paths.control_socket))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join()


@pytest.mark.parametrize("answer", [REFUSED, HALF, NO_JSON, UNKNOWN, b""], ids=["refused", "half", "500", "404", "cut"])
def test_a_controller_that_does_not_answer_as_it_should_is_away(paths: StatePaths, answer: bytes) -> None:
    with answering(paths, answer):
        sight = Watch(paths, SimulatedClock()).look()
    assert (sight.contact, sight.look.status) == (Contact.AWAY, None)


def test_without_a_controller_what_still_runs_decides(paths: StatePaths) -> None:
    watch = Watch(paths, SimulatedClock())
    assert watch.look().contact is Contact.DOWN
    marked = {SYSTEM_MARK: paths.mark}
    with subprocess.Popen(["cat"], env=marked, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as part:
        assert part.stdin is not None
        assert part.stdout is not None
        # In the middle of its exec() a process has no environment yet.
        part.stdin.write(b"begun\n")
        part.stdin.flush()
        assert part.stdout.readline() == b"begun\n"
        assert watch.look().contact is Contact.AWAY
        part.kill()
