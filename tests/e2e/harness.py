"""A real system under test: its directory, its command line, its state, and the proof that nothing of it is left.

Everything goes through the same door as a user's: `python -m colonnade.cli.main` as a process, the control socket,
HTTP to the gateway. No test waits by sleeping: `wait_until` looks for a condition and says what it waited for.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from colonnade.core.events import Event, read_events
from colonnade.core.ports import is_free
from colonnade.core.processes import marked_processes, start_ticks_of
from colonnade.system.paths import StatePaths

IS_ROOT = os.geteuid() == 0

SmallDisk = Callable[[Path, int], Path]
"""Mounts a file system of that many bytes at a path, until the test ends; skips the test where that is not allowed."""

EXAMPLES = Path(__file__).parents[2] / "examples"

COMMAND_TIMEOUT_S = 60.0
WAIT_S = 60.0
"""For anything that takes a second on an idle machine; two busy cores take longer."""

POLL_S = 0.02

TINY_APP = """
import os

def app(environ, start_response):
    body = f"{os.environ['COLONNADE_REPLICA']} {os.getpid()} {environ['PATH_INFO']}".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""
"""Starts in no time: it imports nothing. Answers with its replica, its process and the path."""

TINY_SERVICE = """
[services.web]
app = "tiny:app"
route = "/"
replicas = 2
"""


@dataclass(frozen=True)
class Ran:
    """A command that has ended."""

    exit_code: int
    out: str
    err: str
    duration_s: float

    @property
    def text(self) -> str:
        return self.out + self.err


@dataclass(frozen=True)
class Answer:
    status: int
    body: str
    headers: dict[str, str]


@dataclass
class Runner:
    """One system in a directory of its own, on a port of its own."""

    directory: Path
    port: int
    env: dict[str, str] = field(default_factory=dict)
    user_id: int | None = None
    state_directory: Path | None = None
    """Where it differs from `.colonnade` beside the file."""

    @property
    def paths(self) -> StatePaths:
        return StatePaths(self.state_directory or self.directory / ".colonnade")

    # The project

    def write(self, name: str, text: str) -> Path:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def declare(self, text: str = TINY_SERVICE) -> None:
        """Write colonnade.toml with our port in it, and without a dashboard unless the text has one; and the tiny
        application, should it be meant."""
        dashboard = "" if "[dashboard]" in text else "[dashboard]\nenabled = false\n\n"
        self.write("colonnade.toml", f'{dashboard}[gateway]\nlisten = "127.0.0.1:{self.port}"\n{text}')
        if "tiny:app" in text:
            self.write("tiny.py", TINY_APP)

    def take_example(self, name: str) -> None:
        """Copy an example, and have it listen on our port."""
        shutil.copytree(
            EXAMPLES / name,
            self.directory,
            dirs_exist_ok=True,
            ignore=shutil.ignore_patterns(".colonnade", "__pycache__"),
        )
        self.declare((EXAMPLES / name / "colonnade.toml").read_text())

    # The command line

    def run(self, *arguments: str, timeout_s: float = COMMAND_TIMEOUT_S) -> Ran:
        began = time.monotonic()
        with self.begin(*arguments) as process:
            try:
                out, err = process.communicate(timeout=timeout_s)
            except subprocess.TimeoutExpired:
                process.kill()
                out, err = process.communicate()
                raise AssertionError(f"`colonnade {' '.join(arguments)}` hangs:\n{out}{err}{self.story()}") from None
        return Ran(process.returncode, out, err, time.monotonic() - began)

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command and do not wait for it."""
        if self.state_directory is not None:
            arguments = (*arguments, "--state-dir", str(self.state_directory))
        return subprocess.Popen(
            [sys.executable, "-m", "colonnade.cli.main", *arguments],
            cwd=self.directory,
            env={**os.environ, "NO_COLOR": "1", **self.env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            user=self.user_id,
            group=self.user_id,
            extra_groups=[] if self.user_id is not None else None,
            # As the shell does it: Ctrl-C reaches the viewer's process group, not the test's.
            start_new_session=True,
        )

    def up(self) -> Ran:
        """Start it detached; it must succeed."""
        ran = self.run("up", "--detach")
        assert ran.exit_code == 0, ran.text + self.story()
        return ran

    # What is so

    def status(self) -> dict[str, Any] | None:
        """None while nobody answers."""
        connection = _ControlConnection(str(self.paths.control_socket))
        try:
            connection.request("GET", "/status")
            value: dict[str, Any] = json.loads(connection.getresponse().read())
            return value
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def running(self) -> dict[str, Any]:
        """The status, once everything declared is up and in rotation."""
        found = self.wait_until(lambda: is_all_well(self.status()), "the system is whole")
        assert isinstance(found, dict)
        return found

    def replicas(self, service: str = "web") -> dict[str, int]:
        """Pids of the replicas of a service that have one."""
        status = self.status() or {"services": []}
        return {
            replica["id"]: replica["pid"]
            for one in status["services"]
            if one["name"] == service
            for replica in one["replicas"]
            if replica["pid"] is not None
        }

    def events(self, *kinds: str) -> list[Event]:
        return [event for event in read_events(self.paths.events) if not kinds or event.kind in kinds]

    def processes(self) -> list[int]:
        return marked_processes(self.paths.mark)

    def find_process(self, words: str) -> int | None:
        """A process of this system with these words in its command line."""
        return next((pid for pid in self.processes() if words in command_of(pid)), None)

    def wait_until(self, condition: Callable[[], object], what: str, timeout_s: float = WAIT_S) -> object:
        """The first true value of `condition`; fails with the system's story when there is none in time."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            found = condition()
            if found:
                return found
            time.sleep(POLL_S)
        raise AssertionError(f"waited {timeout_s:.0f} s in vain until {what}{self.story()}")

    def wait_gone(self, *pids: int) -> None:
        self.wait_until(lambda: not any(is_alive(pid) for pid in pids), f"{pids} are gone")

    def get(self, path: str = "/", timeout_s: float = 10.0) -> Answer:
        """GET on a connection of its own. Raises OSError or HTTPException when there is no answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return Answer(response.status, response.read().decode(), dict(response.getheaders()))
        finally:
            connection.close()

    def story(self) -> str:
        """What a failed test should show: the last events and the keeper's log."""
        lines = [f"  {event.kind} {event.subject} ({event.reason}): {event.message}" for event in self.events()[-40:]]
        with contextlib.suppress(OSError):
            lines += ["keeper.log:", *(self.paths.logs / "keeper.log").read_text(errors="replace").splitlines()[-40:]]
        return "\n" + "\n".join(lines)

    # The end

    def finish(self) -> None:
        """Take it down; whatever happened, nothing runs afterwards. Fails when something would have been left."""
        try:
            if self.processes():
                ran = self.run("down", timeout_s=100)
                assert ran.exit_code == 0, ran.text + self.story()
            self.assert_nothing_left()
        finally:
            if self.processes():
                self.run("down", "--force")

    def assert_nothing_left(self) -> None:
        left = [f"{pid} {command_of(pid)}" for pid in self.processes()]
        assert not left, f"still running: {left}{self.story()}"
        assert is_free("127.0.0.1", self.port), f"port {self.port} is still taken"
        sockets = self.paths.sockets
        if self.user_id is not None:
            sockets = Path("/tmp") / f"colonnade-{self.user_id}" / sockets.name
        assert not sockets.exists(), f"{sockets} is still there"


class _ControlConnection(http.client.HTTPConnection):
    """HTTP on the control socket. Not the product's own client: a refused connection must leave no open socket, for
    which a test would be blamed."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Trickle:
    """Clients that ask steadily, each request on a connection of its own: whatever fails, the system failed."""

    def __init__(self, runner: Runner, path: str = "/", clients: int = 2, interval_s: float = 0.02) -> None:
        self._runner = runner
        self._path = path
        self._interval_s = interval_s
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(clients)]
        self.answers: list[tuple[float, str]] = []
        self.failures: list[str] = []

    def __enter__(self) -> Trickle:
        for thread in self._threads:
            thread.start()
        self.wait_for_answers(5)
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join(15)

    def wait_for_answers(self, count: int) -> None:
        """Until `count` more were given: the system serves now."""
        wanted = len(self.answers) + count
        self._runner.wait_until(lambda: len(self.answers) >= wanted, f"{count} more answers")

    def longest_gap_s(self) -> float:
        """Between two answers that came one after the other."""
        times = sorted(at for at, _ in self.answers)
        return max((after - before for before, after in itertools.pairwise(times)), default=0.0)

    def _ask(self) -> None:
        while not self._is_over.is_set():
            began = time.monotonic()
            try:
                answer = self._runner.get(self._path)
                if answer.status == 200:
                    self.answers.append((time.monotonic(), answer.body))
                else:
                    self.failures.append(f"{answer.status}: {answer.body[:200]}")
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(f"{type(error).__name__}: {error}")
            self._is_over.wait(max(0.0, self._interval_s - (time.monotonic() - began)))


def is_all_well(status: dict[str, Any] | None) -> dict[str, Any] | None:
    """The status itself when all that is wanted is ready, in rotation, and nothing else is there."""
    if status is None or status["phase"] != "running" or status["problems"]:
        return None
    for service in status["services"]:
        states = [(replica["state"], replica["gateway"]) for replica in service["replicas"]]
        if states != [("ready", "UP")] * service["desired"]:
            return None
    return status


def is_alive(pid: int) -> bool:
    return start_ticks_of(pid) is not None


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return "(gone)"


def children_of(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def kill(*pids: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Several die as at one moment: all stand still before the first is gone, or one would replace another."""
    if number is signal.SIGKILL and len(pids) > 1:
        kill(*pids, number=signal.SIGSTOP)
    for pid in pids:
        os.kill(pid, number)
