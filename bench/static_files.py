"""What a static file costs the application server: served by itself, and by Flask in the same process. One replica, one
keep-alive connection through the gateway, rounds of both by turns."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
from figures import distribution

from colonnade.core.processes import marked_processes
from colonnade.system.paths import StatePaths

ROUNDS = 5
REQUESTS = 300
PORT = 14_990
SIZES_BYTES = {"2 kB": 2_000, "200 kB": 200_000}
ROUTES = {"server": "/static", "flask": "/flask"}

APP = """
from flask import Flask

app = Flask(__name__, static_folder="files", static_url_path="/flask")
"""

DECLARED = f"""
[gateway]
listen = "127.0.0.1:{PORT}"

[services.web]
app = "app:app"
route = "/"
replicas = 1
static = {{ "/static" = "files" }}
"""


def measure(repetitions: int) -> dict[str, Any]:
    """Milliseconds of the replica's processor time, and of the clock, for one request."""
    results: dict[str, Any] = {}
    with _system() as paths, httpx.Client(base_url=f"http://127.0.0.1:{PORT}", trust_env=False) as client:
        for label, size in SIZES_BYTES.items():
            cpu_ms: dict[str, list[float]] = {name: [] for name in ROUTES}
            wall_ms: dict[str, list[float]] = {name: [] for name in ROUTES}
            for _ in range(repetitions or ROUNDS):
                for name, route in ROUTES.items():
                    used, took = _round(client, paths, f"{route}/{size}.css", size)
                    cpu_ms[name].append(1000 * used / REQUESTS)
                    wall_ms[name].append(1000 * took / REQUESTS)
            figures = {
                name: {"cpu_ms": distribution(cpu_ms[name]), "wall_ms": distribution(wall_ms[name])} for name in ROUTES
            }
            ratio = figures["flask"]["cpu_ms"]["median"] / max(1e-9, figures["server"]["cpu_ms"]["median"])
            results[label] = {**figures, "cpu_flask_to_server": round(ratio, 1)}
    return results


def _round(client: httpx.Client, paths: StatePaths, path: str, size: int) -> tuple[float, float]:
    before, began = _cpu_s(paths), time.monotonic()
    for _ in range(REQUESTS):
        answer = client.get(path)
        assert (answer.status_code, len(answer.content)) == (200, size), answer
    took = time.monotonic() - began
    return _cpu_s(paths) - before, took


def _cpu_s(paths: StatePaths) -> float:
    """Of the replica's processes."""
    used = 0.0
    for pid in marked_processes(paths.mark, with_variable="COLONNADE_REPLICA"):
        used += sum(psutil.Process(pid).cpu_times()[:2])
    return used


@contextmanager
def _system() -> Iterator[StatePaths]:
    with tempfile.TemporaryDirectory(prefix="colonnade-bench-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        (directory / "files").mkdir()
        for size in SIZES_BYTES.values():
            (directory / f"files/{size}.css").write_bytes(b"x" * size)
        (directory / "app.py").write_text(APP)
        (directory / "colonnade.toml").write_text(DECLARED)
        command = [sys.executable, "-m", "colonnade.cli.main"]
        subprocess.run([*command, "up", "--detach"], cwd=directory, check=True, stdout=subprocess.DEVNULL)
        try:
            yield StatePaths(directory / ".colonnade")
        finally:
            subprocess.run([*command, "down"], cwd=directory, check=True, stdout=subprocess.DEVNULL)
