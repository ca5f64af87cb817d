"""Services of every kind on a real system: environments, commands, releases, logs, and the commands that show them."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from colonnade.core.files import LOG_FILE_BYTES_MAX

from .harness import Runner, Trickle, is_alive, kill

pytestmark = pytest.mark.slow

FRONTEND = """
import json, os, subprocess, urllib.request

helper = subprocess.Popen(["sleep", "600"], start_new_session=True)

def app(environ, start_response):
    if environ["PATH_INFO"] == "/call":
        with urllib.request.urlopen(os.environ["BACKEND_URL"] + "/env", timeout=5) as answer:
            body = answer.read()
    elif environ["PATH_INFO"] == "/env":
        body = json.dumps({"helper": helper.pid, **os.environ}).encode()
    else:
        print("asked for", environ["PATH_INFO"])
        body = b"front"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""
"""It keeps a helper in a session of its own, and prints on each request: with its output in a pipe that nobody reads,
it would answer 500."""

BACKEND = """
import json, os, signal, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

if os.path.exists(os.path.join(os.environ["RELEASE_DIRECTORY"], "broken")):
    sys.exit("broken by what it found")

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = json.dumps({"pid": os.getpid(), **os.environ}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_HEAD(self):
        self.do_GET()

signal.signal(signal.SIGTERM, signal.SIG_IGN)
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""

DECLARED = """
[services.frontend]
app = "front:app"
route = "/"
replicas = 2
uses = ["backend"]
release = "python release.py"
env = { SHARED = "from env", ONLY_ENV = "1" }
env_file = "secrets.env"

[services.backend]
command = "python -u back/server.py --name=$COLONNADE_REPLICA"
replicas = 2
stop_timeout = "2s"
"""

RELEASE = """
import os, pathlib, socket
place = pathlib.Path(os.environ["RELEASE_DIRECTORY"])
with (place / "released").open("a") as file:
    file.write("once\\n")
print("released")
"""


@pytest.fixture(scope="module")
def shared(make_runner: Callable[[], Runner]) -> Runner:
    runner = make_runner()
    runner.env = {"FROM_CALLER": "1", "ONLY_ENV": "caller", "RELEASE_DIRECTORY": str(runner.directory / "out")}
    (runner.directory / "out").mkdir()
    (runner.directory / "out").chmod(0o777)  # as root the release runs as somebody else
    runner.write("front.py", FRONTEND)
    runner.write("back/server.py", BACKEND)
    runner.write("release.py", RELEASE)
    runner.write("secrets.env", "SHARED=from file\nTOKEN='s3cret word'\n").chmod(0o600)
    runner.declare(DECLARED)
    runner.up()
    # Rotated within the next 20 s, while the tests go on; the last one looks.
    with (runner.paths.logs / "backend-1.log").open("ab") as file:
        file.write(b"x" * LOG_FILE_BYTES_MAX + b"\nlast line\n")
    return runner


@pytest.fixture
def blog(shared: Runner) -> Runner:
    if shared.status() is None:
        shared.up()
    shared.running()
    return shared


def environment(runner: Runner, path: str) -> dict[str, str]:
    answer = runner.get(path)
    assert answer.status == 200, answer.body
    value: dict[str, str] = json.loads(answer.body)
    return value


def test_environment_comes_from_caller_file_and_declaration(blog: Runner) -> None:
    env = environment(blog, "/env")
    assert (env["FROM_CALLER"], env["ONLY_ENV"], env["SHARED"], env["TOKEN"]) == ("1", "1", "from env", "s3cret word")
    assert env["COLONNADE_REPLICA"] in ("frontend/1", "frontend/2")
    assert "TOKEN" not in environment(blog, "/call")


def test_a_service_reaches_another_through_the_gateway(blog: Runner) -> None:
    seen = {environment(blog, "/call")["COLONNADE_REPLICA"] for _ in range(8)}
    assert seen == {"backend/1", "backend/2"}


def test_a_command_gets_its_variables_and_its_port(blog: Runner) -> None:
    env = environment(blog, "/call")
    arguments = Path(f"/proc/{env['pid']}/cmdline").read_bytes().split(b"\0")
    assert f"--name={env['COLONNADE_REPLICA']}".encode() in arguments
    assert 15_000 <= int(env["PORT"]) < 32_000


def test_the_release_ran_once_before_the_first_replica(blog: Runner) -> None:
    assert (blog.directory / "out" / "released").read_text() == "once\n"
    kinds = [(event.kind, event.subject) for event in blog.events()]
    assert kinds.index(("release_finished", "frontend")) < kinds.index(("replica_started", "frontend/1"))
    assert "released" in (blog.paths.logs / "frontend-release.log").read_text()


def test_no_secret_is_in_what_is_written_down(blog: Runner) -> None:
    files = [path for path in blog.paths.root.rglob("*") if path.is_file()]
    assert files
    found = [path for path in files if b"s3cret" in path.read_bytes()]
    # The env file belongs to the version that is kept, and is as closed as it was.
    assert [path.name for path in found if not path.is_relative_to(blog.paths.versions)] == []
    assert {path.name for path in found} == {"secrets.env"}
    assert [oct(path.stat().st_mode) for path in found if path.stat().st_mode & 0o077] == []


def test_an_application_that_prints_is_not_disturbed_by_a_dead_controller(blog: Runner) -> None:
    before = blog.running()["controller_pid"]
    log_bytes = sum(path.stat().st_size for path in blog.paths.logs.glob("frontend-?.log"))
    with Trickle(blog, path="/printed") as trickle:
        kill(before)
        blog.wait_gone(before)
        trickle.wait_for_answers(30)
        blog.running()
    assert trickle.failures == []
    assert sum(path.stat().st_size for path in blog.paths.logs.glob("frontend-?.log")) > log_bytes


def test_what_an_application_started_for_itself_outlives_the_controller(blog: Runner) -> None:
    helpers = {environment(blog, "/env")["helper"] for _ in range(4)}
    assert len(helpers) == 2
    before = blog.running()["controller_pid"]
    kill(before)
    blog.wait_gone(before)
    blog.running()
    assert all(is_alive(int(pid)) for pid in helpers)
    assert {environment(blog, "/env")["helper"] for _ in range(4)} == helpers


def test_logs_are_shown_with_their_origin(blog: Runner) -> None:
    for _ in range(4):
        assert blog.get("/hello-log").status == 200
    ran = blog.run("logs", "frontend", "-n", "50")
    assert ran.exit_code == 0
    assert {line.split()[0] for line in ran.out.splitlines()} >= {"frontend/1", "frontend/2"}
    assert "asked for /hello-log" in ran.out
    assert "backend" not in ran.out
    one = blog.run("logs", "frontend/2")
    assert {line.split()[0] for line in one.out.splitlines()} == {"frontend/2"}


def test_a_log_that_is_not_there_is_refused_with_those_that_are(blog: Runner) -> None:
    ran = blog.run("logs", "nobody")
    assert ran.exit_code == 3
    assert "frontend/1" in ran.err


def test_events_are_told_in_order_with_their_reasons(blog: Runner) -> None:
    ran = blog.run("events", "--json", "-n", "500")
    events = json.loads(ran.out)
    assert [event["seq"] for event in events] == sorted(event["seq"] for event in events)
    assert all(event["reason"] and event["message"] for event in events)
    lines = blog.run("events", "-n", "3").out.splitlines()
    assert len(lines) == 3


def test_status_is_a_promise(blog: Runner) -> None:
    value = json.loads(blog.run("status", "--json").out)
    assert value.keys() >= {"version", "name", "phase", "url", "keeper_pid", "controller_pid", "gateway", "services"}
    service = next(one for one in value["services"] if one["name"] == "frontend")
    assert (service["desired"], service["route"], len(service["replicas"])) == (2, "/", 2)
    shown = blog.run("status").out
    assert all(word in shown for word in ["frontend/1", "backend/2", "running", f"http://127.0.0.1:{blog.port}"])


def test_files_and_sockets_are_for_nobody_else(blog: Runner) -> None:
    for path in (blog.paths.control_socket, blog.paths.accepted, blog.paths.events):
        assert path.stat().st_mode & 0o077 == 0, path
    assert blog.paths.logs.stat().st_mode & 0o077 == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user drops nothing")
def test_as_root_the_parts_are_nobodys(blog: Runner) -> None:
    for pid in [*blog.replicas("frontend").values(), *blog.replicas("backend").values()]:
        status = Path(f"/proc/{pid}/status").read_text()
        ids = {line.split(":")[0]: line.split(":")[1].split() for line in status.splitlines() if ":" in line}
        assert "0" not in ids["Uid"] + ids["Gid"]
        assert ids["Groups"] in ([], [ids["Gid"][0]])


def test_a_replica_that_ignores_sigterm_is_killed_when_its_grace_period_is_over(blog: Runner) -> None:
    pid = blog.replicas("backend")["backend/2"]
    assert blog.run("scale", "backend=1").exit_code == 0
    blog.wait_gone(pid)
    assert blog.events("replica_killed")[-1].reason == "stop_timeout"
    assert blog.run("scale", "backend=2").exit_code == 0
    blog.wait_until(lambda: len(blog.replicas("backend")) == 2, "two backends")
    blog.running()


def test_a_crash_looping_service_is_named_and_the_others_serve(blog: Runner) -> None:
    # Beside the code, which is a copy that nobody edits.
    broken = Path(blog.env["RELEASE_DIRECTORY"]) / "broken"
    broken.touch()
    frontends, started = blog.replicas("frontend"), len(blog.events("controller_started"))
    kill(*blog.replicas("backend").values())

    def problems() -> str:
        return " ".join((blog.status() or {"problems": []})["problems"])

    blog.wait_until(lambda: "crash loop" in problems(), "the crash loop is named")
    assert blog.get("/").status == 200
    looping = blog.events("replica_crash_looping")[-1]
    assert "broken by what it found" in str(looping.data["log_tail"])
    # A controller that is replaced meanwhile looks after the others, too.
    kill((blog.status() or {})["controller_pid"])
    blog.wait_until(lambda: len(blog.events("controller_started")) > started, "the next controller")
    os.killpg(frontends["frontend/1"], signal.SIGKILL)
    blog.wait_until(lambda: blog.replicas("frontend").get("frontend/1", 0) not in (0, frontends["frontend/1"]), "new")
    broken.unlink()
    blog.running()


def test_a_log_that_grew_too_large_is_rotated(blog: Runner) -> None:
    log = blog.paths.logs / "backend-1.log"
    old = log.with_name("backend-1.log.1")
    blog.wait_until(lambda: old.exists() and log.stat().st_size < LOG_FILE_BYTES_MAX, "the log is rotated", 30)
    assert b"\nlast line\n" in old.read_bytes()[-100_000:]
    assert old.stat().st_size <= 2 * LOG_FILE_BYTES_MAX
