"""Process 1 of a container, run as a process of its own without a container."""

from __future__ import annotations

import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from colonnade.deploy.docker.inside import entry

SCRIPT = Path(entry.__file__)
READY = (
    "import sys, signal, time\n"
    "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
    "print('up', flush=True)\n"
    "time.sleep(30)\n"
)


@contextmanager
def started(directory: Path, *arguments: str, **env: str) -> Iterator[subprocess.Popen[str]]:
    script = directory / "entry.py"
    script.write_text(SCRIPT.read_text())
    child = subprocess.Popen(
        [sys.executable, str(script), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"], **env},
    )
    try:
        yield child
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
        child.communicate(timeout=10)


def service(**changed: object) -> dict[str, object]:
    plain: dict[str, object] = {
        "directory": ".",
        "app": "",
        "kind": "auto",
        "command": [],
        "options": {},
        "release": [],
    }
    plain |= {"release_s": 60, "health": "/readyz", "stop_timeout_s": 5, "memory_bytes_max": None, "farewell": "drain"}
    return plain | changed


def test_a_url_comes_from_a_file_and_the_env_file_does_not_replace_what_is_given(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://u:p@h/d\n")
    (tmp_path / "env").write_text(json.dumps({"A": "file", "B": "file"}))
    env = entry.environment(
        {"DATABASE_URL_FILE": str(tmp_path / "url"), "COLONNADE_ENV_FILE": str(tmp_path / "env"), "A": "given"}
    )
    assert (env["DATABASE_URL"], env["A"], env["B"]) == ("postgresql://u:p@h/d", "given", "file")


def test_variables_of_the_environment_are_filled_into_a_command() -> None:
    words = entry.filled(["serve", "--bind", "$HOST:${PORT}", "$OTHER"], {"HOST": "0.0.0.0", "PORT": "8000"})
    assert words == ["serve", "--bind", "0.0.0.0:8000", "$OTHER"]


@pytest.mark.parametrize(("status", "code"), [(200, 0), (401, 0), (404, 0), (500, 1), (503, 1)])
def test_health_follows_the_page_and_a_missing_page_is_no_illness(status: int, code: int) -> None:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        assert entry.healthy(server.server_port, "/readyz") == code
        thread.join()


def test_an_unknown_service_is_told_with_those_there_are(tmp_path: Path) -> None:
    (tmp_path / "services.json").write_text(json.dumps({"a": service(), "b": service()}))
    with started(tmp_path, "serve") as child:
        _, told = child.communicate(timeout=10)
    assert (child.returncode, "a, b" in told) == (64, True)


@pytest.mark.slow
def test_sigterm_is_told_to_the_gateway_first_and_to_the_service_after_the_drain(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (tmp_path / "services.json").write_text(json.dumps({"web": service(command=[sys.executable, "-c", READY])}))
    with started(tmp_path, "serve", COLONNADE_AGENT_PORT=str(port), COLONNADE_DRAIN_S="1.0") as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "up\n"
        assert asked(port) == "ready\n"
        child.send_signal(signal.SIGTERM)
        while (word := asked(port)) == "ready\n":
            assert child.poll() is None
        assert word == "drain\n"
        assert child.wait(timeout=10) == 7


@pytest.mark.slow
def test_a_release_step_that_takes_too_long_is_ended_and_fails(tmp_path: Path) -> None:
    step = [sys.executable, "-c", "import time; time.sleep(30)"]
    (tmp_path / "services.json").write_text(json.dumps({"web": service(release=step, release_s=0.2)}))
    with started(tmp_path, "release") as child:
        assert child.wait(timeout=10) == 124


@pytest.mark.slow
def test_the_exit_code_is_that_of_the_service(tmp_path: Path) -> None:
    with started(tmp_path, "run", sys.executable, "-c", "raise SystemExit(5)") as child:
        assert child.wait(timeout=10) == 5


def asked(port: int) -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        return connection.makefile().readline()
