"""One real primary without a controller: for tests of what the driver sees of it and does to it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
from tests.contract.database_kit import credentials, paths_in

from colonnade.core.clock import SystemClock
from colonnade.core.events import EventLog
from colonnade.core.ports import PortAllocator
from colonnade.core.processes import SYSTEM_MARK
from colonnade.database.monitor import Monitor
from colonnade.database.postgres import Host, PostgresDriver
from colonnade.database.recording import new_record
from colonnade.database.secrets import load_or_make_secrets
from colonnade.database.state import ObservedNode
from colonnade.spec.model import DatabaseSpec


class OneServer:
    """A primary none of whose standbys runs, and its driver."""

    def __init__(self, work_dir: Path, spec: DatabaseSpec) -> None:
        self.paths = paths_in(work_dir)
        clock = SystemClock()
        ports = PortAllocator(str(work_dir))
        host = Host(self.paths, credentials(), {SYSTEM_MARK: str(work_dir)}, ports, EventLog(clock), clock)
        self.driver = PostgresDriver(spec, host)
        self.driver.configure(new_record(spec))
        self.pid = 0
        self.port = 0

    async def start(self) -> None:
        await self.driver.open()
        await self.driver.create()
        await self.driver.start_primary("a")
        node = await self.until(lambda node: node.in_recovery is False)
        assert node.pid is not None
        assert node.address is not None
        self.pid, self.port = node.pid, node.address.port

    async def look(self) -> ObservedNode:
        return (await self.driver.observe())["a"]

    async def until(self, holds: Callable[[ObservedNode], bool]) -> ObservedNode:
        for _ in range(500):
            if holds(node := await self.look()):
                return node
            await asyncio.sleep(0.02)
        raise AssertionError(f"does not come to pass: {node}")

    def monitor(self) -> Monitor:
        return Monitor(self.paths.sockets, self.port, load_or_make_secrets(self.paths.root, credentials()).superuser)

    def processes(self) -> list[psutil.Process]:
        parent = psutil.Process(self.pid)
        return [parent, *parent.children(recursive=True)]

    def freeze(self) -> None:
        for process in self.processes():
            process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        for process in self.processes():
            process.send_signal(signal.SIGCONT)


def play(case: Callable[[OneServer], Awaitable[None]], work_dir: Path, spec: DatabaseSpec | None = None) -> None:
    @asynccontextmanager
    async def running() -> AsyncIterator[OneServer]:
        server = OneServer(work_dir, spec or DatabaseSpec(standbys=0))
        try:
            await server.start()
            yield server
        finally:
            await server.driver.stop("a", grace_period_s=1.0)
            await server.driver.close()

    async def body() -> None:
        async with running() as server:
            await case(server)

    asyncio.run(body())
