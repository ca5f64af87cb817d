"""What tests of real database clusters share: a harness for controllers, a small gateway, and a stream of writes.

The gateway forwards TCP to the published primary and shuts the sessions of one that is no longer published, which is
what production does with HAProxy. The stream logs every attempt, and its table has no unique key, so that a doubled
write cannot hide.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import psycopg

from colonnade.core.clock import SystemClock
from colonnade.core.events import EventLog
from colonnade.core.ports import PortAllocator
from colonnade.core.processes import SYSTEM_MARK, Credentials
from colonnade.database.build import build_controller
from colonnade.database.controller import DatabaseController
from colonnade.database.driver import DatabaseDriver, DatabasePaths
from colonnade.database.links import Links, directly
from colonnade.database.postgres import Host, PostgresDriver
from colonnade.database.record import RecordFile
from colonnade.database.secrets import SUPERUSER, load_or_make_secrets
from colonnade.database.state import Address, NodeName, Routes
from colonnade.spec.model import DatabaseSpec

WAIT_S_MAX = 30.0


def credentials() -> Credentials | None:
    """As root PostgreSQL runs as `nobody`; otherwise as whoever runs the tests."""
    if os.getuid() != 0:
        return None
    user = pwd.getpwnam("nobody")
    return Credentials(user.pw_uid, user.pw_gid, user.pw_name, "/")


def paths_in(work_dir: Path) -> DatabasePaths:
    return DatabasePaths(work_dir / "database", work_dir / "logs", work_dir / "s")


class ControllerKilled(BaseException):
    """kill -9 of the controller: not an Exception, so nobody may catch it."""


class KillingDriver:
    """A driver during one of whose calls the controller dies: `before` its effect, or `after` it."""

    def __init__(self, driver: DatabaseDriver, method: str, when: Literal["before", "after"]) -> None:
        self._driver = driver
        self._method = method
        self._when = when

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._driver, name)
        if name != self._method:
            return attribute
        if name in ("rejoin", "clone"):
            return lambda *arguments: self._die_with(attribute(*arguments))
        return lambda *arguments: self._die_around(attribute, *arguments)

    def _die_with(self, _: None) -> None:
        raise ControllerKilled(self._method)

    async def _die_around(self, attribute: Any, *arguments: Any) -> None:
        if self._when == "after":
            await attribute(*arguments)
        raise ControllerKilled(self._method)


class SmallGateway:
    """`Endpoints` by forwarding TCP. Clients that come while there is no primary wait."""

    def __init__(self) -> None:
        self.history: list[Routes] = []
        self.port = 0
        self.read_port = 0
        self._servers: list[asyncio.Server] = []
        self._turn = 0
        self._sessions: set[asyncio.Task[None]] = set()
        self._is_led = asyncio.Event()

    @property
    def routes(self) -> Routes | None:
        return self.history[-1] if self.history else None

    async def open(self) -> None:
        for accept in (self._accept, self._accept_reader):
            self._servers.append(await asyncio.start_server(accept, "127.0.0.1", 0))
        self.port, self.read_port = (server.sockets[0].getsockname()[1] for server in self._servers)

    async def close(self) -> None:
        await self._shut_sessions()
        for server in self._servers:
            server.close()

    async def publish(self, routes: Routes) -> None:
        changed = self.routes is None or self.routes.primary != routes.primary
        self.history.append(routes)
        # Before anything is awaited: an event that is set beside routes that lead nowhere keeps a waiting client awake,
        # and the loop with it.
        if routes.primary is None:
            self._is_led.clear()
        if changed:
            await self._shut_sessions()
        if routes.primary is not None:
            self._is_led.set()

    def lead_nowhere(self) -> bool:
        return self.routes is None or self.routes.primary is None

    async def _shut_sessions(self) -> None:
        sessions = [session for session in self._sessions if getattr(session, "is_led", False)]
        for session in sessions:
            session.cancel()
        await asyncio.gather(*sessions, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._forward(reader, writer, self._primary)

    async def _accept_reader(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._forward(reader, writer, self._standby)

    async def _primary(self) -> Address:
        while self.routes is None or self.routes.primary is None:
            await self._is_led.wait()
        task = asyncio.current_task()
        task.is_led = True  # type: ignore[union-attr]
        return self.routes.primary

    async def _standby(self) -> Address:
        """In turns; the primary when there is none, as in production."""
        standbys = self.routes.standbys if self.routes is not None else ()
        if not standbys:
            return await self._primary()
        self._turn += 1
        return standbys[self._turn % len(standbys)][1]

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, choose: Callable[[], Awaitable[Address]]
    ) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._sessions.add(task)
        upstream: asyncio.StreamWriter | None = None
        try:
            to = await choose()
            answers, upstream = await asyncio.open_connection(to.host, to.port)
            pumps = [asyncio.create_task(_pump(reader, upstream)), asyncio.create_task(_pump(answers, writer))]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._sessions.discard(task)
            for stream in (writer, upstream):
                if stream is not None:
                    stream.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


@dataclass
class Harness:
    """One cluster and whoever controls it at the moment."""

    work_dir: Path
    spec: DatabaseSpec
    gateway: SmallGateway = field(default_factory=SmallGateway)
    controller: DatabaseController = field(init=False)
    links: Links = directly
    loop_task: asyncio.Task[None] | None = None
    events: EventLog = field(init=False)

    def __post_init__(self) -> None:
        self.paths = paths_in(self.work_dir)
        self.clock = SystemClock()
        self.events = EventLog(self.clock)
        self.controller = self.new_controller()

    def new_controller(self) -> DatabaseController:
        return build_controller(
            self.spec,
            self.paths,
            credentials(),
            {SYSTEM_MARK: str(self.work_dir)},
            PortAllocator(str(self.work_dir)),
            self.gateway,
            self.events,
            self.clock,
            self.links,
        )

    def doomed_controller(self, method: str, when: Literal["before", "after"]) -> DatabaseController:
        """One that dies at the first call of that method of the driver."""
        host = Host(
            self.paths,
            credentials(),
            {SYSTEM_MARK: str(self.work_dir)},
            PortAllocator(str(self.work_dir)),
            self.events,
            self.clock,
            self.links,
        )
        driver = KillingDriver(PostgresDriver(self.spec, host), method, when)
        store = RecordFile(self.paths.record)
        return DatabaseController(self.spec, driver, self.gateway, self.events, self.clock, store=store)

    async def start(self) -> None:
        await self.controller.start()
        self.run()

    def run(self) -> None:
        self.loop_task = asyncio.create_task(self.controller.run())

    async def end_loop(self) -> None:
        if self.loop_task is not None:
            self.loop_task.cancel()
            with contextlib.suppress(asyncio.CancelledError, ControllerKilled):
                await self.loop_task
            self.loop_task = None

    async def replace_controller(self, successor: DatabaseController | None = None) -> None:
        """Throw the controller away as it stands and start a successor from the disk."""
        await self.end_loop()
        await self.controller.abandon()
        self.controller = successor or self.new_controller()
        await self.start()

    def has_loop_ended(self) -> bool:
        return self.loop_task is not None and self.loop_task.done()

    async def until(self, holds: Callable[[], bool], what: str, *, within_s: float = WAIT_S_MAX) -> None:
        deadline = time.monotonic() + within_s
        while not holds():
            if self.loop_task is not None and self.loop_task.done() and not self.loop_task.cancelled():
                # A doomed controller's end is waited for by name (`has_loop_ended`); any other one is a defect.
                error = self.loop_task.exception()
                if error is not None and not isinstance(error, ControllerKilled):
                    raise AssertionError(f"the controller ended while waiting for: {what}") from error
            if time.monotonic() > deadline:
                story = "\n".join(f"{e.kind} {e.subject} {e.reason}: {e.message}" for e in self.events.recent()[-30:])
                raise AssertionError(f"not within {within_s:g} s: {what}\n{self.controller.view()}\n{story}")
            await asyncio.sleep(0.005)

    def reasons(self) -> list[str]:
        return [event.reason for event in self.events.recent()]

    def is_well(self) -> bool:
        view = self.controller.view()
        return view.reason == "all_well" and view.is_writable

    async def until_well(self) -> None:
        await self.until(self.is_well, "all members stream")

    @property
    def primary(self) -> NodeName:
        name = self.controller.view().primary
        assert name is not None
        return name

    def pid(self, name: NodeName) -> int:
        pid = next(node.pid for node in self.controller.view().nodes if node.name == name)
        assert pid is not None
        return pid

    def standbys(self) -> list[NodeName]:
        return [node.name for node in self.controller.view().nodes if node.role == "standby"]

    async def connect(self, name: NodeName, *, database: str | None = None) -> psycopg.AsyncConnection[Any]:
        """A superuser's session on one node."""
        port = next(node.port for node in self.controller.view().nodes if node.name == name)
        secrets = load_or_make_secrets(self.paths.root, credentials())
        return await psycopg.AsyncConnection.connect(
            host=str(self.paths.sockets),
            port=port,
            user=SUPERUSER,
            password=secrets.superuser,
            dbname=database or self.spec.name,
            autocommit=True,
        )

    async def ask(self, name: NodeName, statement: str) -> Any:
        async with await self.connect(name) as connection:
            row = await (await connection.execute(statement.encode())).fetchone()
            return row[0] if row else None

    async def client(self) -> psycopg.AsyncConnection[Any]:
        """An application's session through the gateway."""
        return await psycopg.AsyncConnection.connect(
            host="127.0.0.1",
            port=self.gateway.port,
            user=self.spec.name,
            password=load_or_make_secrets(self.paths.root, credentials()).application,
            dbname=self.spec.name,
            autocommit=True,
            sslmode="disable",
            gssencmode="disable",
        )

    def environ(self) -> dict[str, str]:
        """What an application is given to find the database."""
        password = load_or_make_secrets(self.paths.root, credentials()).application
        where = f"postgresql://{self.spec.name}:{password}@127.0.0.1"
        return {
            "DATABASE_URL": f"{where}:{self.gateway.port}/{self.spec.name}",
            "DATABASE_READ_URL": f"{where}:{self.gateway.read_port}/{self.spec.name}",
        }


@asynccontextmanager
async def running_cluster(
    work_dir: Path, spec: DatabaseSpec | None = None, links: Links = directly
) -> AsyncIterator[Harness]:
    """A cluster that takes writes and is watched; stopped and proved gone afterwards."""
    harness = Harness(work_dir, spec or DatabaseSpec(), links=links)
    await harness.gateway.open()
    try:
        await harness.start()
        yield harness
    finally:
        await harness.end_loop()
        try:
            await harness.controller.stop()
        finally:
            await harness.gateway.close()


@dataclass
class Stream:
    """Writers that insert one number after the other, each attempt logged with its outcome."""

    harness: Harness
    acknowledged: dict[int, float] = field(default_factory=dict)
    attempted: list[int] = field(default_factory=list)
    unknown: set[int] = field(default_factory=set)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def __aenter__(self) -> Stream:
        async with await self.harness.client() as connection:
            await connection.execute("CREATE TABLE IF NOT EXISTS numbers (number bigint)")
        self._tasks = [asyncio.create_task(self._write()) for _ in range(4)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _write(self) -> None:
        while True:
            with contextlib.suppress(psycopg.Error, OSError):
                async with await self.harness.client() as connection:
                    while True:
                        await self._write_one(connection)
                        await asyncio.sleep(0.002)
            await asyncio.sleep(0.01)

    async def _write_one(self, connection: psycopg.AsyncConnection[Any]) -> None:
        number = len(self.attempted)
        self.attempted.append(number)
        self.unknown.add(number)
        await connection.execute("INSERT INTO numbers VALUES (%s)", (number,))
        self.unknown.discard(number)
        self.acknowledged[number] = time.monotonic()

    def gap_after(self, at_s: float) -> float:
        """The longest time without any acknowledgement, from the last one before `at_s` on."""
        times = sorted(self.acknowledged.values())
        before = max((at for at in times if at <= at_s), default=at_s)
        after = [before, *(at for at in times if at > at_s)]
        return max(late - early for early, late in pairwise(after))

    async def until_acknowledged_after(self, at_s: float) -> None:
        await self.harness.until(
            lambda: any(at > at_s for at in reversed(self.acknowledged.values())), "a write is acknowledged again"
        )

    async def check(self) -> None:
        """Nothing acknowledged is missing and nothing is there twice, on any node."""
        harness = self.harness
        lsn = await harness.ask(harness.primary, "SELECT pg_current_wal_lsn()::text")
        for name in [node.name for node in harness.controller.view().nodes]:
            if name != harness.primary:
                for _ in range(400):
                    if await harness.ask(name, f"SELECT pg_last_wal_replay_lsn() >= '{lsn}'::pg_lsn"):
                        break
                    await asyncio.sleep(0.02)
            async with await harness.connect(name) as connection:
                rows = [row[0] for row in await (await connection.execute("SELECT number FROM numbers")).fetchall()]
            assert len(rows) == len(set(rows)), f"{name} has a number twice"
            lost = self.acknowledged.keys() - set(rows)
            assert not lost, f"{name} lost {len(lost)} acknowledged writes, such as {min(lost)}"
            assert set(rows) <= set(self.attempted), f"{name} has numbers that nobody wrote"
