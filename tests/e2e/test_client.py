"""`colonnade.client` on a real cluster: users read their own writes, and writes tell the truth, whatever fails."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import MetaData, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session
from tests.contract.database_kit import Harness, running_cluster

from colonnade.client import (
    Answer,
    CommitUnknown,
    Database,
    IdempotencyKeys,
    KeyReused,
    Policy,
    Unavailable,
    Visit,
    idempotency_table,
)
from colonnade.client.aio import Database as AsyncDatabase
from colonnade.client.aio import Visit as AsyncVisit

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

metadata = MetaData()
KEYS = IdempotencyKeys(idempotency_table(metadata))


def on_a_cluster(work_dir: Path, body: Callable[[Harness, Database], Awaitable[None]]) -> None:
    async def run() -> None:
        async with running_cluster(work_dir) as harness:
            await harness.until_well()
            database = Database.from_environ(harness.environ())
            try:
                await asyncio.to_thread(database.write, make_tables)
                await body(harness, database)
            finally:
                database.close()

    asyncio.run(run())


def make_tables(session: Session) -> None:
    session.execute(text("CREATE TABLE counters (id int PRIMARY KEY, value int NOT NULL)"))
    session.execute(text("INSERT INTO counters SELECT n, 0 FROM generate_series(0, 63) n"))
    metadata.create_all(session.connection())


def set_to(counter: int, value: int) -> Callable[[Session], None]:
    def work(session: Session) -> None:
        session.execute(text("UPDATE counters SET value = :v WHERE id = :i"), {"v": value, "i": counter})

    return work


def value_of(counter: int) -> Callable[[Session], int]:
    return lambda session: session.execute(
        text("SELECT value FROM counters WHERE id = :i"), {"i": counter}
    ).scalar_one()


async def on_standbys(harness: Harness, statement: str) -> None:
    for name in harness.standbys():
        await harness.ask(name, statement)


def test_reads_come_from_standbys_that_have_what_was_written_and_else_from_the_primary(work_dir: Path) -> None:
    async def body(harness: Harness, database: Database) -> None:
        visit = Visit(database)
        await asyncio.to_thread(visit.write, set_to(1, 1))
        nodes = Counter([(await asyncio.to_thread(visit.read, value_of(1))).node for _ in range(40)])
        assert nodes["standby"] >= 20, nodes

        await on_standbys(harness, "SELECT pg_wal_replay_pause()")
        try:
            await asyncio.to_thread(visit.write, set_to(1, 2))
            found = await asyncio.to_thread(visit.read, value_of(1))
            assert (found.value, found.node) == (2, "primary")
            stranger = await asyncio.to_thread(database.read, value_of(1))
            assert (stranger.value, stranger.node) == (1, "standby"), "who has written nothing is not slowed down"
            strict = await asyncio.to_thread(lambda: database.read(value_of(1), strict=True))
            assert (strict.value, strict.node) == (2, "primary")
            await asyncio.sleep(0.3)
            bounded = Policy(lag_s_max=0.2)
            fresh = await asyncio.to_thread(lambda: database.read(value_of(1), policy=bounded))
            assert (fresh.value, fresh.node) == (2, "primary")
        finally:
            await on_standbys(harness, "SELECT pg_wal_replay_resume()")

    on_a_cluster(work_dir, body)


def test_monotonic_reads_never_go_back_from_node_to_node(work_dir: Path) -> None:
    async def body(harness: Harness, database: Database) -> None:
        await asyncio.to_thread(database.write, set_to(1, 1))
        await harness.ask(harness.standbys()[0], "SELECT pg_wal_replay_pause()")
        try:
            await asyncio.to_thread(database.write, set_to(1, 2))
            visit = Visit(database)
            seen = [(await asyncio.to_thread(lambda: visit.read(value_of(1), monotonic=True))).value for _ in range(30)]
            assert seen == sorted(seen)
            assert seen[-1] == 2
        finally:
            await harness.ask(harness.standbys()[0], "SELECT pg_wal_replay_resume()")

    on_a_cluster(work_dir, body)


def test_without_the_position_function_a_writer_reads_from_the_primary_for_a_while(work_dir: Path) -> None:
    async def body(harness: Harness, database: Database) -> None:
        async with await harness.connect(harness.primary) as connection:
            await connection.execute("DROP FUNCTION colonnade.position()")
        visit = Visit(database)
        await asyncio.to_thread(visit.write, set_to(1, 1))
        found = await asyncio.to_thread(visit.read, value_of(1))
        assert (found.value, found.node) == (1, "primary")
        assert (await asyncio.to_thread(database.read, value_of(1))).node == "standby"

    on_a_cluster(work_dir, body)


def test_keys_have_one_effect_and_one_answer(work_dir: Path) -> None:
    def add(session: Session) -> Answer:
        value = session.execute(text("UPDATE counters SET value = value + 1 WHERE id = 2 RETURNING value")).scalar_one()
        return Answer.of(200, {"value": value})

    def once(key: str, wish: bytes) -> Callable[[Session], Answer]:
        return lambda session: KEYS.once(session, key, wish, add)

    async def body(harness: Harness, database: Database) -> None:
        def keyed() -> Answer:
            return database.write(once("k", b"1"), idempotent=True).value

        same = await asyncio.gather(*(asyncio.to_thread(keyed) for _ in range(8)))
        assert {answer.body for answer in same} == {'{"value":1}\n'}
        assert Counter(answer.replayed for answer in same) == {False: 1, True: 7}
        with pytest.raises(KeyReused):
            await asyncio.to_thread(lambda: database.write(once("k", b"2"), idempotent=True))
        async with await harness.connect(harness.primary) as connection:
            await connection.execute("UPDATE idempotency_keys SET expires_at = now() - interval '1 s'")
        later = await asyncio.to_thread(lambda: database.write(once("k", b"2"), idempotent=True))
        assert (later.value.body, later.value.replayed) == ('{"value":2}\n', False)

    on_a_cluster(work_dir, body)


@dataclass
class Tally:
    """What happened to many users at once."""

    nodes: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


async def live(database: AsyncDatabase, number: int, until: asyncio.Event, tally: Tally) -> int:
    """One user with a counter of their own: every read shows what they last wrote. Returns their last value."""
    visit, random, value = AsyncVisit(database), Random(number), 0

    async def read(session: AsyncSession) -> int:
        found = await session.execute(text("SELECT value FROM counters WHERE id = :i"), {"i": number})
        return int(found.scalar_one())

    async def write(session: AsyncSession) -> None:
        await session.execute(text("UPDATE counters SET value = :v WHERE id = :i"), {"v": value + 1, "i": number})

    while not until.is_set():
        await asyncio.sleep(random.uniform(0.01, 0.05))
        try:
            if random.random() < 0.1:
                await visit.write(write, idempotent=True)
                value += 1
            found = await visit.read(read)
        except (CommitUnknown, Unavailable) as error:
            tally.errors.append(repr(error))
            value = (await visit.read(read, strict=True)).value
            continue
        tally.nodes[found.node] += 1
        if found.value != value:
            tally.violations.append(f"user {number} read {found.value} from a {found.node} after writing {value}")
    return value


def test_many_users_read_their_own_writes_through_a_switchover_and_a_kill(work_dir: Path) -> None:
    async def body(harness: Harness, database: Database) -> None:
        users, over, tally = AsyncDatabase.from_environ(harness.environ()), asyncio.Event(), Tally()
        living = [asyncio.create_task(live(users, number, over, tally)) for number in range(30)]
        try:
            await asyncio.sleep(1.0)
            await harness.controller.requests.switch_over(None)
            await harness.until_well()
            os.kill(harness.pid(harness.primary), signal.SIGKILL)
            await asyncio.sleep(0.5)
            await harness.until_well()
            await asyncio.sleep(1.0)
        finally:
            over.set()
            values = await asyncio.gather(*living)
            await users.close()
        assert not tally.violations, tally.violations[:3]
        assert not tally.errors, "declared idempotent, every write goes through"
        assert tally.nodes["standby"] > tally.nodes["primary"], tally.nodes
        async with await harness.connect(harness.primary) as connection:
            kept = await (await connection.execute("SELECT value FROM counters ORDER BY id LIMIT 30")).fetchall()
        assert [row[0] for row in kept] == values

    on_a_cluster(work_dir, body)


def test_tasks_get_a_connection_in_the_order_of_asking_however_many_wait(work_dir: Path) -> None:
    async def body(harness: Harness, _: Database) -> None:
        patient = Policy(write=Policy().write.__class__(deadline_s=60.0))
        tasks = AsyncDatabase.from_environ({**harness.environ(), "DATABASE_POOL_SIZE": "2"}, patient)
        done: list[int] = []

        async def write(number: int) -> None:
            async def work(session: AsyncSession) -> None:
                await session.execute(text("SELECT pg_sleep(0.02)"))

            await tasks.write(work, idempotent=True)
            done.append(number)

        try:
            await asyncio.gather(*(write(number) for number in range(250)))  # the last one waits for over two seconds
        finally:
            await tasks.close()
        assert max(abs(place - number) for place, number in enumerate(done)) <= 4, done

    on_a_cluster(work_dir, body)


def test_a_write_that_is_cut_off_during_commit_is_unknown_and_the_next_look_is_at_the_primary(work_dir: Path) -> None:
    async def body(harness: Harness, database: Database) -> None:
        visit = Visit(database)
        for name in harness.standbys():  # COMMIT waits for a standby that will not answer
            os.kill(harness.pid(name), signal.SIGSTOP)
            for pid in children_of(harness.pid(name)):
                os.kill(pid, signal.SIGSTOP)
        frozen = [pid for name in harness.standbys() for pid in [harness.pid(name), *children_of(harness.pid(name))]]
        try:
            hurried = Policy(write=Policy().write.__class__(deadline_s=1.0))
            began_s = time.monotonic()
            with pytest.raises(CommitUnknown) as raised:
                await asyncio.to_thread(lambda: visit.write(set_to(3, 1), policy=hurried))
            assert time.monotonic() - began_s < 10.0
            assert not raised.value.is_repeatable
            assert visit.token.demands_primary()
        finally:
            for pid in frozen:
                os.kill(pid, signal.SIGCONT)
        await harness.until_well()
        assert (await asyncio.to_thread(visit.read, value_of(3))).node == "primary"

    on_a_cluster(work_dir, body)


def children_of(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(task) for task in tasks]


def test_blocks_commit_at_their_end_and_roll_back_on_an_error(work_dir: Path) -> None:
    async def body(_: Harness, database: Database) -> None:
        def write_and_fail() -> None:
            with database.writing() as (session, _):
                set_to(4, 2)(session)
                raise ZeroDivisionError

        def play() -> None:
            with database.writing() as (session, outcome):
                set_to(4, 1)(session)
            with database.reading(token=outcome.token) as session:
                assert value_of(4)(session) == 1
            with pytest.raises(ZeroDivisionError):
                write_and_fail()
            with database.reading(strict=True) as session:
                assert value_of(4)(session) == 1

        await asyncio.to_thread(play)

    on_a_cluster(work_dir, body)
