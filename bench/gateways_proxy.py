"""What every gateway of the comparison is asked for, and how its processes run: on a core of their own, and ended.

The limits are those of our own declaration's defaults, so that all are set up alike. Read next: `gateways_haproxy` and
its siblings for how each product writes them, `gateways` for what is measured.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import httpx

from colonnade.core import processes
from colonnade.core.processes import Command, Process
from colonnade.spec.model import GatewaySpec, ServiceSpec

PROGRAMS = Path(__file__).parent.parent / ".venv-gateways"

GATEWAY = GatewaySpec()
SERVICE = ServiceSpec.model_validate({"app": "app:app", "route": "/", "threads": 64})
"""64 is more than the load ever has in flight at one backend: the limit is kept count of, and stops nobody."""

CONNECT_TIMEOUT_S = 0.25
"""As our gateway has it (gateway/config.py)."""

PROXY_CORE, OTHERS_CORE = sorted(os.sched_getaffinity(0))[0], sorted(os.sched_getaffinity(0))[-1]

START_TIMEOUT_S = 20.0
DRAIN_TIMEOUT_S = 10.0
LOOK_EVERY_S = 0.02


@dataclass(frozen=True, slots=True)
class Place:
    """Where one gateway runs: a directory of its own that every user can read, and its ports."""

    directory: Path
    port: int
    admin_port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class Proxy(Protocol):
    """One gateway. What it started is gone after `stop`, also when `start` failed half way."""

    async def start(self, addresses: Sequence[str]) -> None:
        """Serve at the place's port from these backends."""

    async def replace(self, slot: int, address: str) -> None:
        """Send to `address` instead of the backend in `slot` (from 0); returns when the old one may be stopped."""

    def pids(self) -> list[int]: ...

    async def stop(self) -> None: ...


Make = Callable[[Place], Proxy]


class Programs:
    """Processes of one owner; `end` kills their groups, children included."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._started: list[Process] = []

    def start(self, argv: Sequence[str | Path], core: int, env: Mapping[str, str] | None = None) -> Process:
        command = Command(
            argv=[str(part) for part in argv],
            cwd=self._directory,
            env={**os.environ, "HOME": str(self._directory), **(env or {})},
            log_path=self._directory / f"{Path(argv[0]).name}.log",
        )
        with on_core(core):
            process = processes.start(command)
        self._started.append(process)
        return process

    def pids(self) -> list[int]:
        return [pid for process in self._started for pid in processes.group_members(process.pid)]

    async def end(self) -> None:
        for process in self._started:
            await processes.kill(process)
            process.close()
        self._started.clear()


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """What is started in here runs on this core only. Before it starts, because Go counts the cores then."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cpu_s(pids: Sequence[int]) -> float:
    """Processor time so far, user and system, of these processes with all their threads."""
    ticks = 0
    for pid in pids:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
        fields = stat[stat.rindex(b")") + 2 :].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def replace_file(path: Path, text: str) -> None:
    """At once, by renaming: nobody who watches it reads half of it."""
    new = path.with_name(f".{path.name}.new")
    new.write_text(text, encoding="utf-8")
    new.rename(path)


def program(*pattern: str) -> Path:
    """A program of the extra `gateways`. Raises SystemExit when it is not installed."""
    found = sorted(PROGRAMS.glob("/".join(pattern)))
    if not found:
        raise SystemExit(f"no {pattern[-1]} is installed here; `make bench-gateways` installs it beside and measures")
    found[0].chmod(0o755)
    return found[0]


async def until(what: str, condition: Callable[[], bool], timeout_s: float = DRAIN_TIMEOUT_S) -> None:
    """Raises TimeoutError. A connection that is refused is no yet."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            if await asyncio.to_thread(condition):
                return
        except httpx.TransportError:
            pass
        await asyncio.sleep(LOOK_EVERY_S)
    raise TimeoutError(f"{what}: not within {timeout_s:.0f} s")


async def until_served_by(url: str, names: set[str]) -> None:
    """All of these backends, and no others, answer requests to the gateway."""

    def is_so() -> bool:
        with httpx.Client(base_url=url, trust_env=False, timeout=5) as client:
            answers = [client.get("/") for _ in range(4 * len(names))]
        return {answer.headers.get("x-served-by", "") for answer in answers if answer.is_success} == names and all(
            answer.is_success for answer in answers
        )

    await until(f"{url} is served by {sorted(names)}", is_so, START_TIMEOUT_S)


class OneProgram:
    """A gateway that is one program: what its siblings have in common."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._programs = Programs(place.directory)

    def pids(self) -> list[int]:
        return self._programs.pids()

    async def stop(self) -> None:
        await self._programs.end()


def hang_up(process: Process) -> None:
    process.send(signal.SIGHUP)
