"""The dashboard's process beside a real system: it shows it, it may die, and nobody else gets at what it may."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families

from .harness import IS_ROOT, TINY_SERVICE, Runner, kill

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shared(make_runner: Callable[[], Runner]) -> Runner:
    runner = make_runner()
    runner.declare(f"{TINY_SERVICE}\n[dashboard]\nenabled = true\n")
    ran = runner.up()
    assert address(runner) in ran.text, "`up` tells where it is"
    return runner


def dashboard(runner: Runner) -> dict[str, Any]:
    found: dict[str, Any] = (runner.status() or {})["dashboard"]
    return found


def address(runner: Runner) -> str:
    return str(dashboard(runner)["url"])


def ask(runner: Runner, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(urlsplit(address(runner)).netloc, timeout=20)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def metrics(runner: Runner) -> dict[str, float]:
    """By name and labels (by the alphabet), as `name{a=b,c=d}`; empty while there are none."""
    status, text = ask(runner, "/metrics")
    if status != 200:
        return {}
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {
        f"{one.name}{{{','.join(f'{k}={v}' for k, v in sorted(one.labels.items()))}}}": one.value for one in samples
    }


def test_requests_are_counted(shared: Runner) -> None:
    name = "colonnade_service_requests_total{service=web}"
    before = shared.wait_until(lambda: metrics(shared).get(name) is not None, "metrics are there")
    assert before
    count = metrics(shared)[name]
    for _ in range(10):
        assert shared.get().status == 200
    shared.wait_until(lambda: metrics(shared)[name] >= count + 10, "ten more requests are counted")
    found = metrics(shared)
    assert found["colonnade_service_request_duration_seconds_count{service=web}"] >= 10
    assert found["colonnade_replica_up{replica=web/1,service=web}"] == 1
    for part in ("keeper", "controller", "gateway", "dashboard"):
        assert found[f"colonnade_process_resident_memory_bytes{{instance={part},part={part}}}"] > 1e6


def test_a_killed_replica_shows(shared: Runner) -> None:
    kill(shared.replicas()["web/1"])
    restarts = "colonnade_replica_restarts_total{replica=web/1,service=web}"
    shared.wait_until(lambda: metrics(shared).get(restarts, 0) >= 1, "its restart shows")
    assert any(key.startswith("colonnade_decisions_total{kind=replica_") for key in metrics(shared))
    shared.running()


def test_a_killed_dashboard_is_started_anew_at_its_address(shared: Runner) -> None:
    old = dashboard(shared)
    kill(old["pid"])
    # Nobody is refused meanwhile: the socket is the keeper's, and whoever asks waits in it.
    assert ask(shared, "/healthz") == (200, "ok\n")
    new = dashboard(shared)
    assert new["pid"] != old["pid"]
    assert new["url"] == old["url"]


def test_a_killed_controller_finds_its_dashboard(shared: Runner) -> None:
    pid = dashboard(shared)["pid"]
    controller = (shared.status() or {})["controller_pid"]
    kill(controller)
    status = shared.running()
    assert status["controller_pid"] != controller
    assert dashboard(shared)["pid"] == pid
    label = "colonnade_system_start_time_seconds{}"
    shared.wait_until(lambda: metrics(shared).get(label) == status["started_at_s"], "it asks the new controller")


def test_keeper_and_controller_that_die_together_leave_it_where_it_is(shared: Runner) -> None:
    status = shared.running()
    url = dashboard(shared)["url"]
    kill(status["keeper_pid"], status["controller_pid"])
    assert "takes over" in shared.up().out
    shared.running()
    assert dashboard(shared)["url"] == url
    shared.wait_until(lambda: metrics(shared), "it shows the system")


@pytest.mark.skipif(not IS_ROOT, reason="only root's parts run as another user")
def test_as_root_only_the_dashboard_gets_to_its_control_socket(shared: Runner) -> None:
    path = shared.paths.sockets / "dashboard.sock"
    about = path.stat()
    assert about.st_uid == os.stat(f"/proc/{dashboard(shared)['pid']}").st_uid != 0
    assert about.st_mode & 0o777 == 0o600
    script = (
        "import socket, sys\n"
        "s = socket.socket(socket.AF_UNIX)\n"
        "s.settimeout(10)\n"
        "s.connect(sys.argv[1])\n"
        "try:\n"
        "    s.sendall(b'GET /status HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')\n"
        "    print(len(s.recv(100)))\n"
        "except (ConnectionResetError, BrokenPipeError):\n"
        "    print(0)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        user=about.st_uid,
        group=about.st_gid,
        extra_groups=[],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert said.stdout.strip() == "0", "a process of the same user was answered"


def test_a_declared_port_that_is_taken_is_told(runner: Runner, free_port: Callable[[], int]) -> None:
    with socket.socket() as other:
        port = free_port()
        other.bind(("127.0.0.1", port))
        other.listen()
        runner.declare(f'{TINY_SERVICE}\n[dashboard]\nlisten = "127.0.0.1:{port}"\n')
        ran = runner.run("up", "--detach")
    assert ran.exit_code == 3, ran.text
    assert f"port {port} is taken" in ran.text
    assert "[dashboard] listen" in ran.text
