"""Systems to measure: any declaration, or a copy of the blog, each on a free port with a directory of its own."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from colonnade.system.client import ControlClient
from colonnade.system.paths import STATE_DIRECTORY_NAME, StatePaths

BLOG = Path(__file__).parent.parent / "apps" / "blog"


class Scratch:
    """A system in a directory of its own. Use as a context manager: it is down and its directory gone afterwards,
    whatever happened. `{port}` in the declaration becomes a free one."""

    def __init__(self, files: Mapping[str, str], declaration: str) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="colonnade-bench-"))
        self.root.chmod(0o755)
        self.directory = self.root / "system"
        self.directory.mkdir(mode=0o755)
        self.port = free_port()
        for name, text in files.items():
            (self.directory / name).write_text(text, encoding="utf-8")
        self._declare(declaration.replace("{port}", str(self.port)))

    def _declare(self, text: str) -> None:
        (self.directory / "colonnade.toml").write_text(text, encoding="utf-8")
        self.paths = StatePaths(self.directory / STATE_DIRECTORY_NAME)
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.command("down", check=False)
        self._keep_logs()
        self.command("down", "--force", check=False)
        shutil.rmtree(self.root, ignore_errors=True)

    def _keep_logs(self) -> None:
        """Events and logs of the last run stay in .bench: a figure that surprises has its reasons there."""
        kept = Path(__file__).parent.parent / ".bench" / "last"
        shutil.rmtree(kept, ignore_errors=True)
        for part in ("events", "logs"):
            if (self.paths.root / part).is_dir():
                shutil.copytree(self.paths.root / part, kept / part)

    def command(self, *words: str, check: bool = True) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "colonnade.cli.main", *words],
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        if check and done.returncode != 0:
            raise RuntimeError(f"colonnade {' '.join(words)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def up(self) -> None:
        self.command("up", "--detach")

    def status(self) -> dict[str, Any]:
        with ControlClient(self.paths) as client:
            return client.status()

    def events(self) -> list[dict[str, Any]]:
        lines = self.paths.events.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def replicas(self, service: str) -> list[dict[str, Any]]:
        services = self.status()["services"]
        found: list[dict[str, Any]] = next(item for item in services if item["name"] == service)["replicas"]
        return found

    def wait_ready(self, service: str, count: int) -> float:
        """Seconds until exactly `count` replicas are there and ready."""
        return wait_for(
            f"{service}={count}", lambda: [replica["state"] for replica in self.replicas(service)] == ["ready"] * count
        )


class Blog(Scratch):
    """A copy of the blog on a free port."""

    def __init__(self) -> None:
        super().__init__({}, "")
        ignored = shutil.ignore_patterns(".colonnade", "__pycache__", "tests")
        shutil.copytree(BLOG, self.directory, ignore=ignored, dirs_exist_ok=True)
        text = (BLOG / "colonnade.toml").read_text(encoding="utf-8")
        self._declare(re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{self.port}", text))

    def password(self) -> str:
        found: str = json.loads((self.paths.root / "database" / "secrets.json").read_text())["application"]
        return found

    def dsn(self) -> str:
        database = self.status()["database"]
        name = database["database_name"]
        return f"postgresql://{name}:{self.password()}@{database['primary_endpoint']}/{name}"

    def node(self, role: str) -> dict[str, Any]:
        """The first database node in this role."""
        found: dict[str, Any] = next(node for node in self.status()["database"]["nodes"] if node["role"] == role)
        return found


def kill(pid: int) -> float:
    """SIGKILL; returns the monotonic moment of it."""
    moment = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    return moment


def wait_for(what: str, condition: Callable[[], bool], timeout_s: float = 60.0, poll_s: float = 0.02) -> float:
    """Seconds until `condition` holds; raises TimeoutError when it does not in time."""
    began = time.monotonic()
    while time.monotonic() - began < timeout_s:
        try:
            if condition():
                return time.monotonic() - began
        except Exception as error:  # noqa: BLE001 — the system is being broken on purpose: not answering is an answer
            last = error
            del last
        time.sleep(poll_s)
    raise TimeoutError(f"{what}: not within {timeout_s:.0f} s")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
