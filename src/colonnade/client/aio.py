"""The database for event loops: what `database.py` is for threads, with `await`. Keep the two alike.

Bound a call by its policy's deadline rather than by cancelling it: a task that is cancelled during COMMIT hangs up,
so nothing is shown that no standby has, but its caller is left to find out whether it was written.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeVar

from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, create_async_engine

from colonnade.client import counts
from colonnade.client.connection import AsyncBoundedConnection, Bounded
from colonnade.client.engine import CONNECT_S, bounded, conninfo_of, pool_options, watch
from colonnade.client.errors import CommitUnknown, Unavailable
from colonnade.client.failures import DATABASE_ERRORS, Failure, NotReplicated
from colonnade.client.outcome import Attempts, is_declared_idempotent, log
from colonnade.client.policy import Policy, PositionKnowledge, Read, Written
from colonnade.client.position import NO_POSITION_STATES, POSITION_SQL, Position
from colonnade.client.routing import NotFresh, Route, Step, is_for_good
from colonnade.client.settings import Settings
from colonnade.client.token import Token
from colonnade.client.tracing import database_span, describe, note

Result = TypeVar("Result")


class Database:
    """The two endpoints of one cluster. For one event loop; connects when first used."""

    def __init__(self, settings: Settings, policy: Policy | None = None) -> None:
        self.policy = policy or Policy()
        self.primary = make_async_engine(settings.primary_url, settings)
        self.standbys: AsyncEngine | None = None
        if settings.standby_url is not None:
            self.standbys = make_async_engine(settings.standby_url, settings, takes_turns=True)
        self._turns = {node: asyncio.Semaphore(settings.pool_size) for node in ("primary", "standby")}
        self._knowledge = PositionKnowledge()

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None, policy: Policy | None = None) -> Database:
        """As `DATABASE_URL` and `DATABASE_READ_URL` say. Raises SettingsError."""
        return cls(Settings.from_environ(environ), policy)

    async def close(self) -> None:
        """Close all idle connections."""
        await self.primary.dispose()
        if self.standbys is not None:
            await self.standbys.dispose()

    async def read(
        self,
        work: Callable[[AsyncSession], Awaitable[Result]],
        *,
        token: Token | None = None,
        strict: bool = False,
        monotonic: bool = False,
        policy: Policy | None = None,
    ) -> Read[Result]:
        """The result of `work`, which only reads and may be run several times, from whichever node may answer.

        With a `token` from a node that has everything the token stands for. `strict`: from the primary.
        `monotonic`: the token that comes back also covers what was seen now, which costs one more round trip.
        Raises Unavailable when nobody answered in time, or what the database objects to in the query.
        """
        policy = policy or self.policy
        with database_span("read"):
            found = await self._read(work, policy, self._route(policy, token, strict=strict), monotonic=monotonic)
            describe(node=found.node, is_fresh=found.is_fresh)
            return found

    async def _read(
        self, work: Callable[[AsyncSession], Awaitable[Result]], policy: Policy, route: Route, *, monotonic: bool
    ) -> Read[Result]:
        last: Exception | None = None
        async for deadline in policy.read.attempts_async():
            at_once = True
            while at_once:
                step = route.next(time.monotonic())
                try:
                    async with self._reading_on(step, route, policy, deadline) as session:
                        value = await work(session)
                        if monotonic:
                            await self._note_seen(await session.connection(), route)
                    counts.READS.labels(step.node, "yes" if step.is_fresh else "no").inc()
                    return Read(value, step.node, route.token, step.is_fresh)
                except NotFresh as refusal:
                    counts.PASSED_OVER.inc()
                    log.debug("read: %s passed over: %s", step.node, refusal)
                    note("passed over", node=step.node, why=str(refusal))
                    at_once = step.node == "standby"
                except DATABASE_ERRORS as error:
                    last = error
                    at_once = self._after_failed_read(error, route, step)
        counts.UNAVAILABLE.inc()
        raise Unavailable(token=route.token) from last

    @asynccontextmanager
    async def reading(self, *, token: Token | None = None, strict: bool = False) -> AsyncIterator[AsyncSession]:
        """A session for reads on a node that may answer: chosen with care, but what fails inside is not repeated."""
        route = self._route(self.policy, token, strict=strict)
        with database_span("read"):
            for _ in range(4):  # two standbys, the primary, and one more because it had no position to tell
                step = route.next(time.monotonic())
                deadline = time.monotonic() + self.policy.read.deadline_s
                async with AsyncExitStack() as stack:
                    try:
                        session = await stack.enter_async_context(self._reading_on(step, route, self.policy, deadline))
                    except NotFresh:
                        counts.PASSED_OVER.inc()
                        continue
                    except DATABASE_ERRORS as error:
                        self._after_failed_read(error, route, step)
                        continue
                    counts.READS.labels(step.node, "yes" if step.is_fresh else "no").inc()
                    yield session
                    return
            counts.UNAVAILABLE.inc()
            raise Unavailable(token=route.token)

    async def write(
        self,
        work: Callable[[AsyncSession], Awaitable[Result]],
        *,
        idempotent: bool | None = None,
        token: Token | None = None,
        policy: Policy | None = None,
    ) -> Written[Result]:
        """Commit `work` on the primary, trying again while that is safe and time is left.

        `work` gets a fresh session for each attempt and must have no effect outside of it. `idempotent` says that two
        commits of it are as one; by default what `@idempotent` says of it.

        Raises CommitUnknown, Unavailable (nothing was written), or whatever `work` or the database objects to.
        """
        repeatable = is_declared_idempotent(work) if idempotent is None else idempotent
        attempts = Attempts(token or Token(), is_repeatable=repeatable)
        with database_span("write"):
            return await self._write(work, attempts, policy or self.policy)

    async def _write(
        self, work: Callable[[AsyncSession], Awaitable[Result]], attempts: Attempts, policy: Policy
    ) -> Written[Result]:
        async for deadline in policy.write.attempts_async():
            attempts.begin()
            try:
                async with self._writing_once(attempts, deadline) as session:
                    value = await work(session)
                return Written(value, attempts.token)
            except DATABASE_ERRORS as error:
                attempts.failed(error)
        raise attempts.give_up()

    @asynccontextmanager
    async def writing(self, *, token: Token | None = None) -> AsyncIterator[tuple[AsyncSession, Attempts]]:
        """A session that is committed at the end of the block, once: nothing is repeated, since a block cannot be.

        Afterwards `token` of the second value is the writer's. Raises CommitUnknown or what the database says.
        """
        attempts = Attempts(token or Token(), is_repeatable=False)
        attempts.begin()
        with database_span("write"):
            try:
                async with self._writing_once(attempts, time.monotonic() + self.policy.write.deadline_s) as session:
                    yield session, attempts
            except DATABASE_ERRORS as error:
                attempts.failed(error)
                raise attempts.give_up() from error

    @asynccontextmanager
    async def _writing_once(self, attempts: Attempts, deadline: float) -> AsyncIterator[AsyncSession]:
        async with (
            turn_until(self._turns["primary"], deadline),
            session_until(self.primary, deadline) as (session, raw),
        ):
            yield session
            await session.flush()
            attempts.commit_sent = True
            await session.commit()
            if raw.warnings:
                raise NotReplicated("; ".join(raw.warnings))
            attempts.token = await self._token_after_commit(await session.connection(), raw, attempts.token)
            counts.WRITES.labels("committed").inc()

    async def _token_after_commit(self, connection: AsyncConnection, raw: Bounded, token: Token) -> Token:
        """Never fails: what was committed is committed, and who cannot tell its place sends readers to the primary."""
        if self._knowledge.is_available(time.monotonic()) and isinstance(raw, AsyncBoundedConnection):
            try:
                await raw.set_autocommit(True)  # one round trip instead of three; no transaction is open now
                row = await (await raw.execute(POSITION_SQL)).fetchone()
                await raw.set_autocommit(False)
                position = None if row is None else Position.from_row(row)
                if position is not None and not position.in_recovery:
                    return token.merged(position.point)
            except DATABASE_ERRORS as error:
                self._note_if_missing(error)
                log.info("write: committed, but its position is not known: %s", type(error).__name__)
                await connection.invalidate()
        return token.with_primary()

    def _route(self, policy: Policy, token: Token | None, *, strict: bool) -> Route:
        now = time.monotonic()
        return Route(
            policy.wish(token, strict=strict),
            has_standbys=self.standbys is not None,
            has_position=self._knowledge.is_available(now),
            now=now,
        )

    @asynccontextmanager
    async def _reading_on(
        self, step: Step, route: Route, policy: Policy, deadline: float
    ) -> AsyncIterator[AsyncSession]:
        """A session for reading where `step` says, on a node that is fresh enough. Raises NotFresh."""
        engine, turns = self.primary, self._turns["primary"]
        if step.node == "standby" and self.standbys is not None:
            engine, turns = self.standbys, self._turns["standby"]
            deadline = min(deadline, time.monotonic() + policy.standby_answer_s)
        # Autocommit: a read is one statement, and BEGIN and ROLLBACK around it would triple the round trips.
        async with (
            turn_until(turns, deadline),
            session_until(engine, deadline, isolation="AUTOCOMMIT") as (session, raw),
        ):
            if step.asks_position:
                if route.refused is raw:
                    raise NotFresh("the same connection again")
                route.refused = raw
                route.met_position(await _ask_position(await session.connection()))
                route.refused = None
            if policy.snapshot:
                await (await session.connection()).exec_driver_sql("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                yield session
                await (await session.connection()).exec_driver_sql("COMMIT")
            else:
                yield session

    async def _note_seen(self, connection: AsyncConnection, route: Route) -> None:
        try:
            position = await _ask_position(connection) if self._knowledge.is_available(time.monotonic()) else None
        except DBAPIError as error:
            self._note_if_missing(error)
            position = None
        route.token = route.token.merged(position.seen) if position else route.token.with_primary()

    def _after_failed_read(self, error: Exception, route: Route, step: Step) -> bool:
        """Raises `error` when no attempt will be better; True when the next attempt should come at once."""
        failure = Failure.of(error)
        if failure is not None and step.asks_position and self._note_if_missing(error):
            route.without_position()
            return True
        if failure is None or is_for_good(failure):
            raise error
        log.info("read: trying again, node=%s sqlstate=%s", step.node, failure.sqlstate)
        counts.READ_RETRIES.inc()
        note("trying again", node=step.node, sqlstate=str(failure.sqlstate))
        return route.failed(failure, step)

    def _note_if_missing(self, error: Exception) -> bool:
        failure = Failure.of(error)
        if failure is None or failure.sqlstate not in NO_POSITION_STATES:
            return False
        self._knowledge.is_missing(time.monotonic())
        return True


class Visit:
    """`colonnade.client.Visit` for event loops. Not to be shared between tasks."""

    def __init__(self, database: Database, token: Token | None = None) -> None:
        self._database = database
        self.token = token or Token()
        self.is_used = False
        """Whether anything was asked of the database for this user."""

    async def read(
        self,
        work: Callable[[AsyncSession], Awaitable[Result]],
        *,
        strict: bool = False,
        monotonic: bool = False,
        policy: Policy | None = None,
    ) -> Read[Result]:
        """`Database.read` with this user's token."""
        self.is_used = True
        found = await self._database.read(work, token=self.token, strict=strict, monotonic=monotonic, policy=policy)
        self.token = found.token
        return found

    async def write(
        self,
        work: Callable[[AsyncSession], Awaitable[Result]],
        *,
        idempotent: bool | None = None,
        policy: Policy | None = None,
    ) -> Result:
        """`Database.write` with this user's token. Whatever goes wrong, the user's next reads will show the truth."""
        self.is_used = True
        try:
            written = await self._database.write(work, idempotent=idempotent, token=self.token, policy=policy)
        except (CommitUnknown, Unavailable) as error:
            self.token = error.token or self.token.with_primary()
            raise
        except Exception:
            # An earlier attempt may have been committed, with this one failing on account of it.
            self.token = self.token.with_primary()
            raise
        self.token = written.token
        return written.value


def make_async_engine(url: URL, settings: Settings, *, takes_turns: bool = False) -> AsyncEngine:
    """`make_engine` for event loops."""
    conninfo = conninfo_of(url, settings)

    async def connect() -> AsyncBoundedConnection:
        connection = await AsyncBoundedConnection.connect(**conninfo)
        connection.deadline = time.monotonic() + CONNECT_S
        return connection

    engine = create_async_engine(url, async_creator=connect, **pool_options(settings, takes_turns=takes_turns))
    watch(engine.sync_engine, settings)
    return engine


@asynccontextmanager
async def turn_until(turns: asyncio.Semaphore, deadline: float) -> AsyncIterator[None]:
    """One of the pool's connections is ours, in the order of asking. Raises NoConnectionFree at the deadline.

    Threads that wait for the pool are few. Tasks are not: after a second without a primary hundreds may wait. If each
    gave up in between and asked again, at the end of the queue, they would keep the event loop too busy to serve any.
    """
    try:
        async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
            await turns.acquire()
    except TimeoutError:
        raise NoConnectionFree("no pooled connection became free before the deadline") from None
    try:
        yield
    finally:
        turns.release()


@asynccontextmanager
async def session_until(
    engine: AsyncEngine, deadline: float, *, isolation: str | None = None
) -> AsyncIterator[tuple[AsyncSession, Bounded]]:
    """A session on one connection that gives up at `deadline`, and that connection; rolled back unless committed."""
    if isolation is not None:
        engine = engine.execution_options(isolation_level=isolation)
    async with engine.connect() as connection:
        raw = bounded(await connection.get_raw_connection())
        raw.begin_use(deadline)
        async with AsyncSession(connection, expire_on_commit=False) as session:
            yield session, raw


async def _ask_position(connection: AsyncConnection) -> Position | None:
    row = (await connection.exec_driver_sql(POSITION_SQL)).fetchone()
    return None if row is None else Position.from_row(row)
