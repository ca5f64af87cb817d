"""Every example as its README starts it: up, answers through the gateway, down, nothing left."""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket

import httpx
import pytest

from colonnade.spec.load import load_spec

from .harness import Runner

pytestmark = pytest.mark.slow


def test_01_hello_flask(runner: Runner) -> None:
    runner.take_example("01-hello-flask")
    runner.up()
    assert runner.get().body.startswith("Hello from hello/")
    assert runner.get("/slow?ms=50").body == "waited 50 ms\n"


def test_02_fastapi_with_a_stream_and_a_websocket(runner: Runner) -> None:
    runner.take_example("02-fastapi")
    runner.up()
    assert json.loads(runner.get().body)["replica"].startswith("api/")
    answer = runner.get("/events?count=3&interval_ms=10")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert [line for line in answer.body.splitlines() if line.startswith("id")] == ["id: 0", "id: 1", "id: 2"]
    assert websocket_echo(runner.port, "/ws", "good morning").endswith(": good morning")


@pytest.mark.timeout(240)
def test_03_django_with_a_database(runner: Runner) -> None:
    runner.take_example("03-django")
    ran = runner.run("up", "--detach", timeout_s=120)
    assert ran.exit_code == 0, ran.text + runner.story()
    first, second = runner.get(), runner.get()
    assert first.status == second.status == 200, first.body
    assert first.body != second.body, "another replica answers each time"
    page = f"http://127.0.0.1:{runner.port}/page/about"
    assert [httpx.post(page).text.split(" says ")[0] for _ in range(2)] == ["1 visits,", "2 visits,"]
    assert runner.get("/page/about").body.startswith("2 visits, ")
    assert runner.get().body.startswith("0 visits, "), "each page is counted by itself"


@pytest.mark.skipif(shutil.which("perl") is None, reason="there is no perl here")
def test_04_any_command(runner: Runner) -> None:
    runner.take_example("04-any-command")
    runner.up()
    assert runner.get().body.startswith("Hello from perl/")
    assert runner.get("/nothing").status == 404


@pytest.mark.timeout(240)
def test_05_kinto_from_its_package(runner: Runner) -> None:
    pytest.importorskip("kinto", reason="needs `pip install -r examples/05-kinto/requirements.txt`")
    runner.take_example("05-kinto")
    ran = runner.run("up", "--detach", timeout_s=120)
    assert ran.exit_code == 0, ran.text + runner.story()
    declared = load_spec(runner.directory / "colonnade.toml").spec.drill
    write = declared.writes[0]
    records = f"http://127.0.0.1:{runner.port}{write.path}"
    headers = {**declared.headers, **write.headers}
    wrote = httpx.post(records, headers=headers, content=write.body.replace("{token}", "hello"))
    assert wrote.status_code == 201, wrote.text
    listed = httpx.get(records, headers=headers).json()["data"]
    assert [each["text"] for each in listed] == ["hello"]


def websocket_echo(port: int, path: str, text: str) -> str:
    """Open a WebSocket, send one text, return what comes back (RFC 6455; short messages only)."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        key = base64.b64encode(os.urandom(16)).decode()
        connection.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        with connection.makefile("rb") as answers:
            status = answers.readline().decode()
            assert " 101 " in status, status
            while answers.readline().strip():
                pass
            mask, data = os.urandom(4), text.encode()
            masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(data))
            connection.sendall(bytes([0x81, 0x80 | len(data)]) + mask + masked)
            _, length = answers.read(2)
            return answers.read(length).decode()
