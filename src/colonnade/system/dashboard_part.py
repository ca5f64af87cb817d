"""The dashboard as a part of the system: its address, its process, and the way on which it asks the controller.

It may die, and nothing else notices: here it is started anew. It runs as the user of the other parts; where that is
not ours (as root), it gets a control socket of its own, which no other process of that user can use. What it shows is
its own affair (`colonnade/dashboard`).
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.applications import Starlette

from colonnade.core import processes
from colonnade.core.clock import Clock
from colonnade.core.errors import HostError
from colonnade.core.events import EventLog
from colonnade.core.files import make_directory, read_json, write_json_atomically, write_json_durably
from colonnade.core.processes import Command, Credentials, Process, ProcessId
from colonnade.spec.model import Spec
from colonnade.spec.syntax import ListenAddress, parse_listen
from colonnade.system.dashboard_tokens import load_or_make_tokens, tokens_path
from colonnade.system.keeper_link import KeeperLink, PortTaken
from colonnade.system.paths import StatePaths
from colonnade.system.serving import open_guarded_socket, serve

LISTENER = "dashboard"
"""The keeper's name for the socket."""

PORTS_TRIED_MAX = 20
"""Above the gateway's port, where no port is declared."""

STABLE_AFTER_S = 10.0
"""One that lived this long is started again at once."""

RESTART_DELAY_S = 0.2
RESTART_DELAY_S_MAX = 10.0
"""Before one that ends again and again is started, doubling."""

STOP_GRACE_S = 2.0


@dataclass(frozen=True, slots=True)
class DashboardPaths:
    """`root` is ours, with the record of who it is; `data` is the dashboard's own: what it remembers."""

    root: Path
    log: Path
    control: Path

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def record(self) -> Path:
        return self.root / "process.json"

    @property
    def address(self) -> Path:
        """Where it listens when no port is declared: chosen once, then kept."""
        return self.root / "address.json"


class DashboardPart:
    """One process and its successors; `run` keeps one going."""

    def __init__(
        self,
        paths: DashboardPaths,
        mark: str,
        address: tuple[str, int],
        descriptor: int,
        credentials: Credentials | None,
        env: Mapping[str, str],
        events: EventLog,
        clock: Clock,
    ) -> None:
        self._paths = paths
        self._mark = mark
        self.url = f"http://{ListenAddress(*address)}"
        self._descriptor = descriptor
        self._credentials = credentials
        self._env = env
        self._events = events
        self._clock = clock
        self._process: Process | None = None
        self._restarts = 0

    def describe(self) -> dict[str, Any]:
        """For `status`."""
        process = self._process
        pid = process.pid if process is not None and not process.has_exited() else None
        return {"pid": pid, "url": self.url, "restarts": self._restarts}

    async def run(self, api: Starlette) -> None:
        """Adopt the process of an earlier controller or start one, and start the next whenever it ends."""
        async with self._control(api):
            self._process = self._adopt()
            delay_s = 0.0
            while True:
                began_s = self._clock.monotonic()
                if self._process is None:
                    self._start()
                if self._process is not None:
                    await _until_ended(self._process)
                    self._tell_end(self._process)
                    self._process.close()
                    self._process = None
                self._restarts += 1
                lived_s = self._clock.monotonic() - began_s
                is_stable = lived_s >= STABLE_AFTER_S
                delay_s = 0.0 if is_stable else min(RESTART_DELAY_S_MAX, max(RESTART_DELAY_S, 2 * delay_s))
                await self._clock.sleep(delay_s)

    async def stop(self) -> None:
        """End it, whoever started it."""
        process = self._process or self._adopt()
        if process is not None:
            await processes.stop(process, grace_period_s=STOP_GRACE_S)
            process.close()
        self._process = None
        self._paths.record.unlink(missing_ok=True)

    def renew(self) -> None:
        """Replace it by one of the code that is installed now."""
        if self._process is not None:
            self._process.send(signal.SIGTERM)

    @contextlib.asynccontextmanager
    async def _control(self, api: Starlette) -> AsyncIterator[None]:
        if self._credentials is None:
            yield  # it runs as our own user, and asks on the control socket
            return
        async with serve(api, open_guarded_socket(self._paths.control, self._credentials, self._is_ours)):
            yield

    def _is_ours(self, pid: int) -> bool:
        return self._process is not None and self._process.pid == pid and not self._process.has_exited()

    def _start(self) -> None:
        argv = [sys.executable, "-m", "colonnade.dashboard", "--listener", str(self._descriptor)]
        argv += ["--control", str(self._paths.control), "--data", str(self._paths.data), "--state", self._mark]
        try:
            # As a descriptor: under root it runs as the user of the replicas, none of which may read this file.
            load_or_make_tokens(self._paths.root)
            with tokens_path(self._paths.root).open("rb") as tokens:
                argv += ["--tokens", str(tokens.fileno())]
                passed = (self._descriptor, tokens.fileno())
                command = Command(argv, Path("/"), self._env, self._paths.log, self._credentials, pass_fds=passed)
                self._process = processes.start(command)
            identity = self._process.identity
            write_json_atomically(self._paths.record, {"pid": identity.pid, "start_ticks": identity.start_ticks})
        except HostError as error:
            self._events.emit("dashboard_start_failed", "dashboard", reason="host_refused", message=str(error))
            return
        message = f"dashboard {self._process.pid} at {self.url}"
        self._events.emit("dashboard_started", "dashboard", reason="declared", message=message)

    def _tell_end(self, process: Process) -> None:
        code = process.exit_code
        message = f"dashboard {process.pid} ended" + (f" (exit code {code})" if code is not None else "")
        self._events.emit("dashboard_exited", "dashboard", reason="process_exited", message=message)

    def _adopt(self) -> Process | None:
        return adopt_recorded(self._paths.record)


def adopt_recorded(record: Path) -> Process | None:
    """The process that an earlier controller started, if it lives."""
    found = read_json(record)
    return processes.adopt(ProcessId(found["pid"], found["start_ticks"])) if found is not None else None


async def _until_ended(process: Process) -> None:
    ended = asyncio.Event()
    process.on_exit(ended.set)
    await ended.wait()


async def assemble_dashboard(
    spec: Spec,
    paths: StatePaths,
    credentials: Credentials | None,
    env: Mapping[str, str],
    keeper: KeeperLink,
    events: EventLog,
    clock: Clock,
) -> DashboardPart | None:
    """None where it is not wanted. Raises HostError when its address cannot be had."""
    control = paths.sockets / "dashboard.sock" if credentials else paths.control_socket
    place = DashboardPaths(paths.root / "dashboard", paths.logs / "dashboard.log", control)
    if not spec.dashboard.enabled:
        return None
    make_directory(place.root, mode=0o711 if credentials else 0o700)
    owner = (credentials.user_id, credentials.group_id) if credentials else None
    make_directory(place.data, mode=0o700, owner=owner)
    if LISTENER in keeper.lost_addresses() and LISTENER not in keeper.descriptors:
        # Keeper and controller died together and its socket could not be taken over: it alone holds the port now.
        survivor = adopt_recorded(place.record)
        if survivor is not None:
            await processes.kill(survivor)
            survivor.close()
    address = listen_for_dashboard(spec, keeper, place)
    descriptor = keeper.descriptors[LISTENER]
    return DashboardPart(place, paths.mark, address, descriptor, credentials, env, events, clock)


def listen_for_dashboard(spec: Spec, keeper: KeeperLink, place: DashboardPaths) -> tuple[str, int]:
    """At the declared address; else where it was before, or at the first free port above the gateway's."""
    if spec.dashboard.listen is not None:
        declared = parse_listen(spec.dashboard.listen)
        return keeper.listen(LISTENER, declared.host, declared.port, key="[dashboard] listen")
    gateway = parse_listen(spec.gateway.listen)
    host = gateway.host if gateway.is_loopback else "127.0.0.1"
    known = read_json(place.address)
    kept = [(str(known["host"]), int(known["port"]))] if known is not None else []
    ports = range(gateway.port + 1, min(gateway.port + 1 + PORTS_TRIED_MAX, 65536))
    for candidate in [*kept, *((host, port) for port in ports)]:
        try:
            address = keeper.listen(LISTENER, *candidate)
        except PortTaken:
            continue
        if [address] != kept:
            write_json_durably(place.address, {"host": address[0], "port": address[1]})
        return address
    raise HostError(
        f"no free port for the dashboard among the {PORTS_TRIED_MAX} above the gateway's",
        subject="dashboard.listen",
        hint='name one in colonnade.toml: [dashboard] listen = "127.0.0.1:9000"',
    )
