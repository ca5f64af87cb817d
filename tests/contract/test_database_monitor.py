"""How one real server is looked at: what a frozen, a stuck and an idle one say, and how long it takes to hear it."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
from tests.contract.database_kit import credentials, paths_in

from colonnade.core.clock import SystemClock
from colonnade.core.errors import DriverUnavailable
from colonnade.core.events import EventLog
from colonnade.core.ports import PortAllocator
from colonnade.core.processes import SYSTEM_MARK
from colonnade.database.monitor import Monitor
from colonnade.database.postgres import Host, PostgresDriver
from colonnade.database.secrets import load_or_make_secrets
from colonnade.database.state import ObservedNode
from colonnade.spec.model import DatabaseSpec

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]


class OneServer:
    """A primary without standbys, and its driver."""

    def __init__(self, work_dir: Path) -> None:
        self.paths = paths_in(work_dir)
        clock = SystemClock()
        ports = PortAllocator(str(work_dir))
        host = Host(self.paths, credentials(), {SYSTEM_MARK: str(work_dir)}, ports, EventLog(clock), clock)
        self.driver = PostgresDriver(DatabaseSpec(standbys=0), ("a",), host)
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


def play(case: Callable[[OneServer], Awaitable[None]], work_dir: Path) -> None:
    @asynccontextmanager
    async def running() -> AsyncIterator[OneServer]:
        server = OneServer(work_dir)
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


def test_statement_on_a_frozen_server_is_given_up_in_time_and_leaves_nothing_behind(work_dir: Path) -> None:
    async def case(server: OneServer) -> None:
        monitor = server.monitor()
        await monitor.execute("SELECT 1")
        server.freeze()
        for _ in range(2):  # on the open connection, and on one that cannot be opened
            began_s = time.monotonic()
            with pytest.raises(DriverUnavailable, match=r"no answer within 0\.3 s"):
                await monitor.execute("SELECT 1", time_limit_s=0.3)
            assert time.monotonic() - began_s < 0.5
        assert len(asyncio.all_tasks()) == 1
        server.thaw()
        assert await monitor.execute("SELECT 2") == [(2,)]
        await monitor.close()

    play(case, work_dir)


def test_monitor_of_a_frozen_server_is_closed_at_once_and_its_caller_can_be_cancelled(work_dir: Path) -> None:
    async def case(server: OneServer) -> None:
        monitor = server.monitor()
        assert await monitor.look() is not None
        server.freeze()
        assert await monitor.look() is None
        statement = asyncio.create_task(monitor.execute("SELECT 1"))
        await asyncio.sleep(0.05)
        statement.cancel()
        began_s = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await statement
        await monitor.close()
        assert time.monotonic() - began_s < 0.2
        server.thaw()

    play(case, work_dir)


def test_looks_go_on_while_a_long_statement_is_under_way(work_dir: Path) -> None:
    async def case(server: OneServer) -> None:
        monitor = server.monitor()
        assert await monitor.look() is not None
        long = asyncio.create_task(monitor.execute_apart("SELECT pg_sleep(1)", time_limit_s=5.0))
        while not long.done():
            began_s = time.monotonic()
            assert await monitor.look() is not None
            assert await monitor.execute("SELECT 1") == [(1,)]
            assert time.monotonic() - began_s < 0.5
            await asyncio.sleep(0.05)
        await long
        await server.driver.checkpoint("a")
        await monitor.close()

    play(case, work_dir)


def test_ended_sessions_are_the_clients_and_not_our_own(work_dir: Path) -> None:
    async def case(server: OneServer) -> None:
        monitor = server.monitor()
        await monitor.execute("SELECT 1")
        long = asyncio.create_task(monitor.execute_apart("SELECT pg_sleep(1)", time_limit_s=5.0))
        await asyncio.sleep(0.3)
        await server.driver.end_sessions("a")
        await long
        assert await monitor.execute("SELECT 1") == [(1,)]
        await monitor.close()

    play(case, work_dir)
