"""Commands that go on while the system changes: events and logs that are followed, and an `up` that meets a `down`."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .harness import Runner, kill

pytestmark = pytest.mark.slow

TALKER = """
import os

print("begins", os.environ["COLONNADE_REPLICA"])

def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""

STUBBORN = """
import os, signal
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

signal.signal(signal.SIGTERM, signal.SIG_IGN)
HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


@pytest.fixture
def runner(work_dir: Path, free_port: Callable[[], int]) -> Iterator[Runner]:
    system = Runner(work_dir, free_port())
    yield system
    system.finish()


@contextlib.contextmanager
def lines_of(runner: Runner, *arguments: str) -> Iterator[tuple[list[str], subprocess.Popen[str]]]:
    """A command that goes on, and the lines that it has printed so far."""
    lines: list[str] = []
    with runner.begin(*arguments) as process:
        assert process.stdout is not None
        reader = threading.Thread(target=lambda: lines.extend(process.stdout or ()), daemon=True)
        reader.start()
        try:
            yield lines, process
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()  # or closing its output would wait for the thread that reads it, for ever
                raise
            finally:
                reader.join(10)


def test_events_are_followed_as_json_through_another_controller_until_the_end(runner: Runner) -> None:
    runner.declare()
    runner.up()
    with lines_of(runner, "events", "--follow", "--json") as (lines, process):

        def kinds() -> list[str]:
            return [json.loads(line)["kind"] for line in list(lines)]

        runner.wait_until(lambda: "system_running" in kinds(), "what was before is shown")
        assert runner.run("scale", "web=3").exit_code == 0
        runner.wait_until(lambda: "service_scaled" in kinds(), "what happens is shown")
        runner.running()
        kill((runner.status() or {})["controller_pid"])
        runner.wait_until(lambda: kinds().count("system_running") == 2, "the next controller's events are shown")
        assert runner.run("down").exit_code == 0
        assert process.wait(10) == 0
        runner.wait_until(lambda: "gateway_stopped" in kinds(), "the last words are shown")
        numbers = [json.loads(line)["seq"] for line in lines]
        assert numbers == sorted(set(numbers))


def test_logs_are_followed_into_replicas_that_come_later(runner: Runner) -> None:
    runner.declare('[services.web]\napp = "talker:app"\nroute = "/"\nreplicas = 1\n')
    runner.write("talker.py", TALKER)
    runner.up()
    with lines_of(runner, "logs", "web", "-F") as (lines, _):
        runner.wait_until(lambda: any("begins web/1" in line for line in list(lines)), "the first replica's words")
        assert runner.run("scale", "web=2").exit_code == 0
        runner.wait_until(
            lambda: any(line.split() == ["web/2", "begins", "web/2"] for line in list(lines)), "the new one's words"
        )


def test_an_up_that_meets_a_down_waits_and_then_starts(runner: Runner) -> None:
    runner.declare('[services.web]\ncommand = "python stubborn.py"\nroute = "/"\nreplicas = 1\nstop_timeout = "3s"\n')
    runner.write("stubborn.py", STUBBORN)
    runner.up()
    before = runner.running()
    with runner.begin("down") as down:
        runner.wait_until(lambda: (runner.status() or {}).get("phase") == "stopping", "it is being taken down")
        ran = runner.run("up", "--detach")
        assert ran.exit_code == 0, ran.text
        assert "is being taken down" in ran.text
        down_out, _ = down.communicate(timeout=20)
        assert down.returncode == 0, down_out
    after = runner.running()
    assert after["keeper_pid"] != before["keeper_pid"]
    assert runner.get("/").status == 200


def test_an_up_that_follows_finds_a_system_that_runs_outlived_by_it_and_ends_with_it(runner: Runner) -> None:
    """As systemd runs it: the viewer may die, and the next one finds the system (`export systemd`)."""
    runner.declare()
    runner.up()
    before = runner.replicas()
    for _ in range(2):
        with lines_of(runner, "up", "--follow") as (lines, viewer):
            runner.wait_until(lambda: any("events follow" in line for line in lines), "the viewer follows")
            viewer.kill()
            viewer.wait(10)
    assert runner.replicas() == before
    with lines_of(runner, "up", "--follow") as (lines, viewer):
        runner.wait_until(lambda: any("events follow" in line for line in lines), "the viewer follows")
        assert runner.run("down").exit_code == 0
        assert viewer.wait(30) == 0
