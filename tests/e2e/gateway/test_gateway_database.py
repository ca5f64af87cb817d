"""dbgate: who gets which node, who waits, and who is cut off. The nodes are tiny TCP servers that say their name."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from tests.e2e.gateway.kit import NOBODY, environment, eventually, listen, port_of

from colonnade.core.clock import SystemClock
from colonnade.core.events import Event, EventLog
from colonnade.core.processor import cores_count
from colonnade.gateway.controller import GatewayController, Surroundings
from colonnade.gateway.dbconfig import (
    DatabaseGatewaySettings,
    database_membership,
    process_for_database,
    render_dbgate,
)
from colonnade.gateway.process import GatewayPaths, process_text

pytestmark = pytest.mark.slow


class Session:
    """One client connection, and the name of the node that it got; empty when it was closed instead."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, node: str, waited_s: float) -> None:
        self._reader = reader
        self._writer = writer
        self.node = node
        self.waited_s = waited_s

    async def works(self) -> bool:
        try:
            self._writer.write(b"?")
            await self._writer.drain()
            return await asyncio.wait_for(self._reader.read(1), 1.0) == b"?"
        except ConnectionError:
            return False

    def close(self) -> None:
        self._writer.close()


async def connect(port: int) -> Session:
    started = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    node = (await reader.read(10)).decode()
    return Session(reader, writer, node, time.monotonic() - started)


class Node:
    """Says its name to each who connects, then echoes."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.address = ""
        self._server: asyncio.Server | None = None
        self._sessions: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        port = int(self.address.rpartition(":")[2]) if self.address else 0
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def die(self) -> None:
        """Nobody listens any more, and every session breaks, as when the process is killed."""
        if self._server is not None:
            self._server.close()
        for writer in self._sessions:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._sessions.add(writer)
        try:
            writer.write(self.name.encode())
            while data := await reader.read(100):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            self._sessions.discard(writer)
            writer.close()


@dataclass
class Database:
    """Three nodes behind dbgate."""

    controller: GatewayController
    nodes: dict[int, Node]
    primary_port: int
    standbys_port: int
    events: list[Event]

    async def roles(self, primary: int | None, standbys: Iterable[int]) -> None:
        addresses = {number: node.address for number, node in self.nodes.items()}
        await self.controller.apply(database_membership(addresses, primary, standbys))


@asynccontextmanager
async def database(work_dir: Path, connections_max: int = 80) -> AsyncIterator[Database]:
    paths = GatewayPaths(work_dir, work_dir / "log", work_dir / "s")
    events: list[Event] = []
    log = EventLog(SystemClock())
    log.subscribe(events.append)
    text = process_text(paths, 1000, NOBODY if os.geteuid() == 0 else None)
    settings = DatabaseGatewaySettings(process_for_database(text, cores_count()), connections_max)
    listeners = {"db:primary": listen(), "db:standbys": listen()}
    controller = GatewayController(
        "dbgate",
        partial(render_dbgate, settings),
        {name: listener.fileno() for name, listener in listeners.items()},
        Surroundings(paths, environment(work_dir), log, SystemClock()),
    )
    nodes = {number: Node(f"n{number}") for number in (1, 2, 3)}
    for node in nodes.values():
        await node.start()
    ports = [port_of(listener) for listener in listeners.values()]
    loop: asyncio.Task[None] | None = None
    try:
        await controller.start(database_membership({n: node.address for n, node in nodes.items()}, 1, [2, 3]))
        loop = asyncio.create_task(controller.run())
        yield Database(controller, nodes, ports[0], ports[1], events)
    finally:
        await controller.stop(0.1)
        if loop is not None:
            await loop
        for node in nodes.values():
            node.die()
        for listener in listeners.values():
            listener.close()


async def sessions(port: int, count: int) -> list[Session]:
    return list(await asyncio.gather(*(connect(port) for _ in range(count))))


def close_all(opened: Iterable[Session]) -> None:
    for session in opened:
        session.close()


def test_each_endpoint_leads_to_its_role(work_dir: Path) -> None:
    async def story() -> None:
        async with database(work_dir) as db:
            opened = await sessions(db.primary_port, 4)
            assert [session.node for session in opened] == ["n1"] * 4
            reads = await sessions(db.standbys_port, 4)
            assert sorted(session.node for session in reads) == ["n2", "n2", "n3", "n3"]
            close_all([*opened, *reads])

    asyncio.run(story())


def test_clients_wait_through_a_failover_and_none_is_turned_away(work_dir: Path) -> None:
    async def story() -> None:
        async with database(work_dir) as db:
            pid = db.controller.view().pid
            old = await connect(db.primary_port)
            db.nodes[1].die()
            early = [asyncio.create_task(connect(db.primary_port)) for _ in range(10)]
            await asyncio.sleep(0.3)
            # The old slot is out while nobody is elected yet: they go on waiting, and so do newcomers.
            await db.roles(None, [3])
            assert not await old.works()
            late = [asyncio.create_task(connect(db.primary_port)) for _ in range(10)]
            await asyncio.sleep(1.0)
            assert not any(task.done() for task in (*early, *late))
            opened_at = time.monotonic()
            await db.roles(2, [3])
            got = await asyncio.gather(*early, *late)
            assert time.monotonic() - opened_at < 3.0
            assert {session.node for session in got} == {"n2"}
            assert db.controller.view().pid == pid
            close_all([old, *got])

    asyncio.run(story())


def test_a_client_that_waits_for_ever_is_told_after_ten_seconds(work_dir: Path) -> None:
    async def story() -> None:
        async with database(work_dir) as db:
            await db.roles(None, [])
            turned_away = await connect(db.primary_port)
            assert turned_away.node == ""
            assert 8.0 < turned_away.waited_s < 20.0
            turned_away.close()

    asyncio.run(story())


def test_a_switchover_cuts_the_old_role_off_on_both_endpoints(work_dir: Path) -> None:
    async def story() -> None:
        async with database(work_dir) as db:
            writing = await connect(db.primary_port)
            reading = {session.node: session for session in await sessions(db.standbys_port, 2)}
            await db.roles(2, [1, 3])
            # n1 is no primary any more, n2 no standby; n3's session has no reason to end.
            assert not await writing.works()
            assert not await reading["n2"].works()
            assert await reading["n3"].works()
            again = await connect(db.primary_port)
            assert again.node == "n2"
            close_all([writing, *reading.values(), again])

    asyncio.run(story())


def test_reads_fall_back_to_the_primary_only_while_no_standby_is_there(work_dir: Path) -> None:
    async def story() -> None:
        async with database(work_dir) as db:
            await db.roles(1, [])
            alone = await connect(db.standbys_port)
            assert alone.node == "n1"
            await db.roles(1, [3])
            back = await connect(db.standbys_port)
            assert back.node == "n3"
            assert await alone.works()
            close_all([alone, back])

    asyncio.run(story())


def test_a_dead_standby_costs_a_reader_nothing_but_another_try(work_dir: Path) -> None:
    async def story() -> None:
        async with database(work_dir) as db:
            db.nodes[2].die()
            got = await sessions(db.standbys_port, 6)
            assert {session.node for session in got} == {"n3"}
            assert max(session.waited_s for session in got) < 2.0
            close_all(got)

    asyncio.run(story())


def test_a_node_gets_no_more_connections_than_it_is_given(work_dir: Path) -> None:
    async def story() -> None:
        async with database(work_dir, connections_max=8) as db:
            opened = await sessions(db.primary_port, 6)  # three quarters of eight
            waiting = asyncio.create_task(connect(db.primary_port))
            await asyncio.sleep(0.3)
            assert not waiting.done()
            opened[0].close()
            assert (await waiting).node == "n1"
            close_all([*opened[1:], waiting.result()])

    asyncio.run(story())


def test_a_killed_dbgate_is_back_at_once_with_the_roles_of_now(work_dir: Path) -> None:
    async def story() -> None:
        async with database(work_dir) as db:
            await db.roles(3, [1])
            pid = db.controller.view().pid or 0
            os.kill(pid, signal.SIGKILL)
            started = time.monotonic()
            opened = [await connect(db.primary_port), await connect(db.standbys_port)]
            assert time.monotonic() - started < 3.0
            assert [session.node for session in opened] == ["n3", "n1"]
            await eventually(lambda: db.controller.view().pid not in (None, pid))
            close_all(opened)

    asyncio.run(story())
