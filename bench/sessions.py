"""Users of `colonnade.client` while the primary changes: what they read of their own writes, and what they noticed.

Everything goes through the gateway of a running system; the users live in this process, one task each.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from typing import Any

import psycopg
from blog import Blog, wait_for
from figures import distribution
from sqlalchemy import MetaData, text
from sqlalchemy.ext.asyncio import AsyncSession

from colonnade.client import Answer, CommitUnknown, IdempotencyKeys, Unavailable, idempotency_table
from colonnade.client.aio import Database, Visit

READS = 100_000
USERS = 100
THINK_S = 0.1
WRITE_SHARE = 0.1
FAULT_EVERY_S = 15.0
RATE_PER_S = 100.0
PLAIN_DRIVERS = 4

metadata = MetaData()
KEYS = IdempotencyKeys(idempotency_table(metadata, "bench_keys"))


@dataclass
class Tally:
    nodes: Counter[str] = field(default_factory=Counter)
    writes: int = 0
    violations: list[str] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    wanted: int = READS

    @property
    def reads(self) -> int:
        return sum(self.nodes.values())


def environ(blog: Blog) -> dict[str, str]:
    database = blog.status()["database"]
    name = database["database_name"]
    return {
        "DATABASE_URL": blog.dsn(),
        "DATABASE_READ_URL": f"postgresql://{name}:{blog.password()}@{database['standbys_endpoint']}/{name}",
        "DATABASE_POOL_SIZE": "16",
    }


# Reading one's own writes.


def measure(repetitions: int) -> dict[str, Any]:
    """Sessions with 10 % writes and 100 ms to think, while switchovers and kills of the primary alternate."""
    wanted = repetitions or READS
    with Blog() as blog:
        blog.up()
        return asyncio.run(_measure(blog, wanted))


async def _measure(blog: Blog, wanted: int) -> dict[str, Any]:
    database, tally, over = Database.from_environ(environ(blog)), Tally(wanted=wanted), asyncio.Event()
    await database.write(_make_counters, idempotent=True)
    began_s = time.monotonic()
    users = [asyncio.create_task(_live(database, number, over, tally)) for number in range(USERS)]
    faults = asyncio.create_task(_break(blog, over))
    last = dict(enumerate(await asyncio.gather(*users)))
    happened = await faults
    kept = await database.read(_counters, strict=True)
    await database.close()
    return {
        "reads": tally.reads,
        "reads_per_s": round(tally.reads / (time.monotonic() - began_s)),
        "writes": tally.writes,
        "faults": dict(happened),
        "read_your_writes_violations": len(tally.violations),
        "violations": tally.violations[:5],
        "share_from_standbys": round(tally.nodes["standby"] / max(1, tally.reads), 3),
        "errors": dict(tally.errors),
        "slowest_read_or_write_s": round(tally.slowest_s, 2),
        "counters_wrong_at_the_end": sum(kept.value[number] != value for number, value in last.items()),
    }


async def _make_counters(session: AsyncSession) -> None:
    await session.execute(text("CREATE TABLE counters (id int PRIMARY KEY, value int NOT NULL)"))
    await session.execute(text("INSERT INTO counters SELECT n, 0 FROM generate_series(0, :n - 1) n"), {"n": USERS})


async def _counters(session: AsyncSession) -> dict[int, int]:
    rows = await session.execute(text("SELECT id, value FROM counters"))
    return {row.id: row.value for row in rows}


async def _live(database: Database, number: int, over: asyncio.Event, tally: Tally) -> int:
    """One user: every read must show what they last wrote. Returns that."""
    visit, random, value = Visit(database), Random(number), 0  # noqa: S311 — spreads load, guards nothing

    async def read(session: AsyncSession) -> int:
        found = await session.execute(text("SELECT value FROM counters WHERE id = :i"), {"i": number})
        return int(found.scalar_one())

    async def write(session: AsyncSession) -> None:
        await session.execute(text("UPDATE counters SET value = :v WHERE id = :i"), {"v": value + 1, "i": number})

    while not over.is_set():
        await asyncio.sleep(random.uniform(0.5, 1.5) * THINK_S)
        began_s = time.monotonic()
        try:
            # Reads are what is counted, so a ninth of as many writes makes a tenth of all.
            if random.random() < WRITE_SHARE / (1 - WRITE_SHARE):
                await visit.write(write, idempotent=True)
                value += 1
                tally.writes += 1
            found = await visit.read(read)
        except (CommitUnknown, Unavailable) as error:
            tally.errors[type(error).__name__] += 1
            value = (await visit.read(read, strict=True)).value
            continue
        tally.slowest_s = max(tally.slowest_s, time.monotonic() - began_s)
        tally.nodes[found.node] += 1
        if tally.reads >= tally.wanted:
            over.set()
        if found.value != value:
            tally.violations.append(f"user {number} read {found.value} from a {found.node} after writing {value}")
    return value


async def _break(blog: Blog, over: asyncio.Event) -> Counter[str]:
    happened: Counter[str] = Counter()
    kinds: list[tuple[str, Callable[[Blog], object]]] = [("switchovers", _switch_over), ("kills", _kill_primary)]
    while not over.is_set():
        kind, act = kinds[sum(happened.values()) % 2]
        await asyncio.sleep(FAULT_EVERY_S / 2)
        await asyncio.to_thread(act, blog)
        happened[kind] += 1
        await asyncio.to_thread(_wait_well, blog)
        await asyncio.sleep(FAULT_EVERY_S / 2)
    return happened


def _switch_over(blog: Blog) -> None:
    blog.command("db", "switchover")


def _kill_primary(blog: Blog) -> None:
    os.kill(blog.node("primary")["pid"], signal.SIGKILL)
    time.sleep(0.5)


def _wait_well(blog: Blog) -> None:
    wait_for("all nodes serve", lambda: blog.status()["database"]["reason"] == "all_well")


# Switchovers.


def measure_switchovers(repetitions: int) -> dict[str, Any]:
    """Switchovers under 100 writes a second through the client, beside a few connections of a plain driver."""
    with Blog() as blog:
        blog.up()
        return asyncio.run(_measure_switchovers(blog, repetitions or 20))


@dataclass
class Writes:
    """Of one kind of writer: when each was acknowledged, and what else became of them."""

    at_s: list[float] = field(default_factory=list)
    acknowledged: set[int] = field(default_factory=set)
    errors: Counter[str] = field(default_factory=Counter)
    errors_at_s: list[tuple[int, float]] = field(default_factory=list)


async def _measure_switchovers(blog: Blog, count: int) -> dict[str, Any]:
    settings = environ(blog)
    database, over = Database.from_environ(settings), asyncio.Event()
    await database.write(_make_ledgers, idempotent=True)
    client, plain = Writes(), Writes()
    writing = asyncio.create_task(_write_steadily(database, over, client))
    drivers = [
        asyncio.create_task(_write_plainly(settings["DATABASE_URL"], number, over, plain))
        for number in range(PLAIN_DRIVERS)
    ]
    moments = []
    for _ in range(count):
        await asyncio.sleep(2.0)
        moments.append(time.monotonic())
        await asyncio.to_thread(_switch_over, blog)
        await asyncio.to_thread(_wait_well, blog)
    await asyncio.sleep(1.0)
    over.set()
    await asyncio.gather(writing, *drivers)
    ends = [*moments[1:], time.monotonic()]
    kept = await database.read(_ledgers, strict=True)
    await database.close()
    pauses = [_pause_s(client.at_s, began, end) for began, end in zip(moments, ends, strict=True)]
    per_driver = [
        sum(who == number and began <= at < end for who, at in plain.errors_at_s)
        for began, end in zip(moments, ends, strict=True)
        for number in range(PLAIN_DRIVERS)
    ]
    return {
        "switchovers": count,
        "pause_s": {**distribution(pauses), "p95": round(sorted(pauses)[int(0.95 * (count - 1))], 3)},
        "client_writes": len(client.acknowledged),
        "client_errors": dict(client.errors),
        "client_lost": len(client.acknowledged - kept.value["client"].keys()),
        "client_doubled": sum(times > 1 for times in kept.value["client"].values()),
        "plain_writes": len(plain.acknowledged),
        "plain_errors": dict(plain.errors),
        "plain_errors_per_connection_and_switchover_worst": max(per_driver),
        "plain_lost": len(plain.acknowledged - kept.value["plain"].keys()),
    }


def _pause_s(at_s: list[float], began_s: float, end_s: float) -> float:
    """The longest time without an acknowledgement, up to the first one after the end."""
    before = max((at for at in at_s if at <= began_s), default=began_s)
    after = min((at for at in at_s if at >= end_s), default=end_s)
    moments = [before, *sorted(at for at in at_s if began_s < at < end_s), after]
    return max(late - early for early, late in pairwise(moments))


async def _make_ledgers(session: AsyncSession) -> None:
    # Without a unique key: a doubled write must be able to show.
    await session.execute(text("CREATE TABLE ledger (who text NOT NULL, number int NOT NULL)"))
    await (await session.connection()).run_sync(metadata.create_all)


async def _ledgers(session: AsyncSession) -> dict[str, dict[int, int]]:
    rows = await session.execute(text("SELECT who, number, count(*) AS times FROM ledger GROUP BY 1, 2"))
    found: dict[str, dict[int, int]] = {"client": {}, "plain": {}}
    for row in rows:
        found[row.who][row.number] = row.times
    return found


async def _write_steadily(database: Database, over: asyncio.Event, writes: Writes) -> None:
    """One keyed write per intended moment, whatever became of the earlier ones."""
    began_s, number, under_way = time.monotonic(), 0, set[asyncio.Task[None]]()
    while not over.is_set():
        number += 1
        await asyncio.sleep(max(0.0, began_s + number / RATE_PER_S - time.monotonic()))
        task = asyncio.create_task(_write_keyed(database, number, writes))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    await asyncio.gather(*under_way)


async def _write_keyed(database: Database, number: int, writes: Writes) -> None:
    async def work(session: AsyncSession) -> None:
        key, request = f"w{number}", str(number).encode()
        if await session.run_sync(lambda known: KEYS.claim(known, key, request)) is None:
            await session.execute(text("INSERT INTO ledger VALUES ('client', :n)"), {"n": number})
            await session.run_sync(lambda known: KEYS.record(known, key, Answer.of(201, {})))

    try:
        await database.write(work, idempotent=True)
    except (CommitUnknown, Unavailable) as error:
        writes.errors[type(error).__name__] += 1
        return
    writes.acknowledged.add(number)
    writes.at_s.append(time.monotonic())


async def _write_plainly(dsn: str, who: int, over: asyncio.Event, writes: Writes) -> None:
    """What an application without the client does: one connection, made anew after an error."""
    number = who
    while not over.is_set():
        try:
            async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
                while not over.is_set():
                    number += PLAIN_DRIVERS
                    await connection.execute("INSERT INTO ledger VALUES ('plain', %s)", (number,))
                    writes.acknowledged.add(number)
                    await asyncio.sleep(0.05)
        except psycopg.Error as error:
            writes.errors[type(error).__name__] += 1
            writes.errors_at_s.append((who, time.monotonic()))
