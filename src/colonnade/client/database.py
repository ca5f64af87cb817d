"""The database for threads: reads on standbys, writes on the primary, each repeated as far as that is safe.

Acts on what `routing.py` and `outcome.py` decide. The same for event loops is `aio.py`; keep the two alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from colonnade.client import counts
from colonnade.client.connection import Bounded, BoundedConnection
from colonnade.client.engine import bounded, make_engine
from colonnade.client.errors import Unavailable
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
    """The two endpoints of one cluster. Safe to share between threads; connects when first used."""

    def __init__(self, settings: Settings, policy: Policy | None = None) -> None:
        self.policy = policy or Policy()
        self.primary = make_engine(settings.primary_url, settings)
        self.standbys: Engine | None = None
        if settings.standby_url is not None:
            self.standbys = make_engine(settings.standby_url, settings, takes_turns=True)
        self._knowledge = PositionKnowledge()

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None, policy: Policy | None = None) -> Database:
        """As `DATABASE_URL` and `DATABASE_READ_URL` say. Raises SettingsError."""
        return cls(Settings.from_environ(environ), policy)

    def close(self) -> None:
        """Close all idle connections."""
        self.primary.dispose()
        if self.standbys is not None:
            self.standbys.dispose()

    def read(
        self,
        work: Callable[[Session], Result],
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
            found = self._read(work, policy, self._route(policy, token, strict=strict), monotonic=monotonic)
            describe(node=found.node, is_fresh=found.is_fresh)
            return found

    def _read(
        self, work: Callable[[Session], Result], policy: Policy, route: Route, *, monotonic: bool
    ) -> Read[Result]:
        last: Exception | None = None
        for deadline in policy.read.attempts():
            at_once = True
            while at_once:
                step = route.next(time.monotonic())
                try:
                    with self._reading_on(step, route, policy, deadline) as session:
                        value = work(session)
                        if monotonic:
                            self._note_seen(session.connection(), route)
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

    @contextmanager
    def reading(self, *, token: Token | None = None, strict: bool = False) -> Iterator[Session]:
        """A session for reads on a node that may answer: chosen with care, but what fails inside is not repeated."""
        route = self._route(self.policy, token, strict=strict)
        with database_span("read"):
            for _ in range(4):  # two standbys, the primary, and one more because it had no position to tell
                step = route.next(time.monotonic())
                deadline = time.monotonic() + self.policy.read.deadline_s
                with ExitStack() as stack:
                    try:
                        session = stack.enter_context(self._reading_on(step, route, self.policy, deadline))
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

    def write(
        self,
        work: Callable[[Session], Result],
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
            return self._write(work, attempts, policy or self.policy)

    def _write(self, work: Callable[[Session], Result], attempts: Attempts, policy: Policy) -> Written[Result]:
        for deadline in policy.write.attempts():
            attempts.begin()
            try:
                with self._writing_once(attempts, deadline) as session:
                    value = work(session)
                return Written(value, attempts.token)
            except DATABASE_ERRORS as error:
                attempts.failed(error)
        raise attempts.give_up()

    @contextmanager
    def writing(self, *, token: Token | None = None) -> Iterator[tuple[Session, Attempts]]:
        """A session that is committed at the end of the block, once: nothing is repeated, since a block cannot be.

        Afterwards `token` of the second value is the writer's. Raises CommitUnknown or what the database says.
        """
        attempts = Attempts(token or Token(), is_repeatable=False)
        attempts.begin()
        with database_span("write"):
            try:
                with self._writing_once(attempts, time.monotonic() + self.policy.write.deadline_s) as session:
                    yield session, attempts
            except DATABASE_ERRORS as error:
                attempts.failed(error)
                raise attempts.give_up() from error

    @contextmanager
    def _writing_once(self, attempts: Attempts, deadline: float) -> Iterator[Session]:
        with session_until(self.primary, deadline) as (session, raw):
            yield session
            session.flush()
            attempts.commit_sent = True
            session.commit()
            if raw.warnings:
                raise NotReplicated("; ".join(raw.warnings))
            attempts.token = self._token_after_commit(session.get_bind(), raw, attempts.token)
            counts.WRITES.labels("committed").inc()

    def _token_after_commit(self, connection: object, raw: Bounded, token: Token) -> Token:
        """Never fails: what was committed is committed, and who cannot tell its place sends readers to the primary."""
        if self._knowledge.is_available(time.monotonic()) and isinstance(raw, BoundedConnection):
            try:
                raw.autocommit = True  # one round trip instead of three; no transaction is open now
                row = raw.execute(POSITION_SQL).fetchone()
                raw.autocommit = False
                position = None if row is None else Position.from_row(row)
                if position is not None and not position.in_recovery:
                    return token.merged(position.point)
            except DATABASE_ERRORS as error:
                self._note_if_missing(error)
                log.info("write: committed, but its position is not known: %s", type(error).__name__)
                if isinstance(connection, Connection):
                    connection.invalidate()
        return token.with_primary()

    def _route(self, policy: Policy, token: Token | None, *, strict: bool) -> Route:
        now = time.monotonic()
        return Route(
            policy.wish(token, strict=strict),
            has_standbys=self.standbys is not None,
            has_position=self._knowledge.is_available(now),
            now=now,
        )

    @contextmanager
    def _reading_on(self, step: Step, route: Route, policy: Policy, deadline: float) -> Iterator[Session]:
        """A session for reading where `step` says, on a node that is fresh enough. Raises NotFresh."""
        engine = self.primary
        if step.node == "standby" and self.standbys is not None:
            engine = self.standbys
            deadline = min(deadline, time.monotonic() + policy.standby_answer_s)
        # Autocommit: a read is one statement, and BEGIN and ROLLBACK around it would triple the round trips.
        with session_until(engine, deadline, isolation="AUTOCOMMIT") as (session, raw):
            if step.asks_position:
                if route.refused is raw:
                    raise NotFresh("the same connection again")
                route.refused = raw
                route.met_position(_ask_position(session.connection()))
                route.refused = None
            if policy.snapshot:
                session.connection().exec_driver_sql("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                yield session
                session.connection().exec_driver_sql("COMMIT")
            else:
                yield session

    def _note_seen(self, connection: Connection, route: Route) -> None:
        try:
            position = _ask_position(connection) if self._knowledge.is_available(time.monotonic()) else None
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


@contextmanager
def session_until(
    engine: Engine, deadline: float, *, isolation: str | None = None
) -> Iterator[tuple[Session, Bounded]]:
    """A session on one connection that gives up at `deadline`, and that connection; rolled back unless committed."""
    if isolation is not None:
        engine = engine.execution_options(isolation_level=isolation)
    with engine.connect() as connection:
        raw = bounded(connection.connection)
        raw.begin_use(deadline)
        with Session(connection, expire_on_commit=False) as session:
            yield session, raw


def _ask_position(connection: Connection) -> Position | None:
    row = connection.exec_driver_sql(POSITION_SQL).fetchone()
    return None if row is None else Position.from_row(row)
