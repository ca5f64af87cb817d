"""The dashboard as a part of the system: its address, its process, and the way on which it asks the controller.

It may die, and nothing else notices: here it is started anew. It runs as the user of the other parts; where that is
not ours (as root), it gets a control socket of its own, which no other process of that user can use. What it shows is
its own affair (`colonnade/dashboard`).
"""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from starlette.applications import Starlette

from colonnade.core import processes
from colonnade.core.clock import Clock
from colonnade.core.errors import HostError
from colonnade.core.events import EventLog
from colonnade.core.files import make_directory, read_json, write_json_durably
from colonnade.core.processes import Command, Credentials
from colonnade.spec.model import Spec
from colonnade.spec.syntax import ListenAddress, parse_listen
from colonnade.system.dashboard_tokens import load_or_make_tokens, tokens_path
from colonnade.system.keeper_link import KeeperLink, PortTaken
from colonnade.system.paths import StatePaths
from colonnade.system.serving import open_guarded_socket, serve
from colonnade.system.side_process import SideProcess, adopt_recorded, answers_http

LISTENER = "dashboard"
"""The keeper's name for the socket."""

PORTS_TRIED_MAX = 20
"""Above the gateway's port, where no port is declared."""

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
        self._process = SideProcess(
            LISTENER, paths.record, self._command, events, clock, partial(answers_http, f"{self.url}/healthz")
        )

    def describe(self) -> dict[str, Any]:
        """For `status`."""
        return self._process.describe(self.url)

    async def run(self, api: Starlette) -> None:
        """Adopt the process of an earlier controller or start one, and start the next whenever it ends."""
        async with self._control(api):
            await self._process.run(self.url)

    async def stop(self) -> None:
        """End it, whoever started it."""
        await self._process.stop(STOP_GRACE_S)

    def renew(self) -> None:
        """Replace it by one of the code that is installed now."""
        self._process.send(signal.SIGTERM)

    @contextlib.asynccontextmanager
    async def _control(self, api: Starlette) -> AsyncIterator[None]:
        if self._credentials is None:
            yield  # it runs as our own user, and asks on the control socket
            return
        async with serve(api, open_guarded_socket(self._paths.control, self._credentials, self._is_ours)):
            yield

    def _is_ours(self, pid: int) -> bool:
        return self._process.pid == pid

    @contextlib.contextmanager
    def _command(self) -> Iterator[Command]:
        argv = [sys.executable, "-m", "colonnade.dashboard", "--listener", str(self._descriptor)]
        argv += ["--control", str(self._paths.control), "--data", str(self._paths.data), "--state", self._mark]
        # As a descriptor: under root it runs as the user of the replicas, none of which may read this file.
        load_or_make_tokens(self._paths.root)
        with tokens_path(self._paths.root).open("rb") as tokens:
            argv += ["--tokens", str(tokens.fileno())]
            passed = (self._descriptor, tokens.fileno())
            yield Command(argv, Path("/"), self._env, self._paths.log, self._credentials, pass_fds=passed)


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
    place = DashboardPaths(paths.dashboard, paths.logs / "dashboard.log", control)
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
