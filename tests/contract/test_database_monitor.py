"""How one real server is looked at: what a frozen, a stuck and an idle one say, and how long it takes to hear it."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import signal
import statistics
import time
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from tests.contract.database_kit import credentials
from tests.contract.one_server import OneServer, play
from tests.unit.observe.said import measurements, status

from colonnade.core.clock import SystemClock
from colonnade.core.errors import DriverUnavailable
from colonnade.database.monitor import ANSWER_S_MAX, Monitor
from colonnade.database.secrets import load_or_make_secrets
from colonnade.database.session import Session
from colonnade.database.state import DatabaseView, NodeState, NodeView
from colonnade.database.statistics import StatisticsReader
from colonnade.database.write_probe import WRITE, WRITE_S_MAX
from colonnade.observe.collect import collect
from colonnade.spec.model import DatabaseSpec

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]


def test_statement_on_a_frozen_server_is_given_up_in_time_and_leaves_nothing_behind(work_dir: Path) -> None:
    async def case(server: OneServer) -> None:
        monitor = server.monitor()
        await monitor.execute("SELECT 1")
        server.freeze()
        for _ in range(2):  # on the open connection, and on one that cannot be opened
            began_s = time.monotonic()
            with pytest.raises(DriverUnavailable, match=r"no answer within 0\.3 s"):
                await monitor.execute("SELECT 1", time_limit_s=0.3)
            assert time.monotonic() - began_s < 3.0
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
        assert time.monotonic() - began_s < 3.0
        server.thaw()

    play(case, work_dir)


def test_session_that_is_closed_twice_while_it_is_asked_leaves_no_connection(work_dir: Path) -> None:
    async def case(server: OneServer) -> None:
        password = load_or_make_secrets(server.paths.root, credentials()).superuser
        for _ in range(20):
            session = Session(server.paths.sockets, server.port, password)
            await session.ask("SELECT 1", time_limit_s=5.0)
            pid = session.backend_pid
            asked = session.begin("SELECT pg_sleep(30)")
            await asyncio.sleep(0.01)
            await asyncio.gather(session.close(), session.close())
            assert asked.done()
            assert session.backend_pid is None
            assert pid is not None
            with pytest.raises(psycopg.InterfaceError, match="was closed"):
                await session.begin("SELECT 1")
        del session, asked
        gc.collect()  # a connection that nobody closed warns here, and a warning is an error

    play(case, work_dir)


def test_session_that_is_closed_while_it_connects_leaves_no_connection(work_dir: Path) -> None:
    async def case(server: OneServer) -> None:
        password = load_or_make_secrets(server.paths.root, credentials()).superuser
        for rounds in range(200):  # of the loop: at whichever step of connecting and asking
            session = Session(server.paths.sockets, server.port, password)
            asked = session.begin("SELECT 1")
            for _ in range(rounds):
                await asyncio.sleep(0)
            await session.close()
            assert asked.done()
            assert session.backend_pid is None
        del session, asked
        gc.collect()

    play(case, work_dir)


def test_session_that_is_closed_in_the_moment_of_an_answer_leaves_no_connection(work_dir: Path) -> None:
    async def case(server: OneServer) -> None:
        password = load_or_make_secrets(server.paths.root, credentials()).superuser
        for rounds in range(60):  # of the loop: at whichever step of asking
            session = Session(server.paths.sockets, server.port, password)
            await session.ask("SELECT 1", time_limit_s=5.0)
            asked = session.begin("SELECT 1")
            while not asked.done() and rounds > 0:
                await asyncio.sleep(0)
                rounds -= 1
            await session.close()
        del session, asked
        gc.collect()

    play(case, work_dir)


def test_looks_go_on_while_a_long_statement_is_under_way(work_dir: Path) -> None:
    async def case(server: OneServer) -> None:
        monitor = server.monitor()
        assert await monitor.look() is not None
        long = asyncio.create_task(monitor.execute_apart("SELECT pg_sleep(1)", time_limit_s=5.0))
        looks_count = 0
        while not long.done():
            assert await monitor.look() is not None
            assert await monitor.execute("SELECT 1") == [(1,)]
            looks_count += 1
            await asyncio.sleep(0.05)
        assert looks_count > 1
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


def test_only_the_first_look_waits_for_a_frozen_server(work_dir: Path) -> None:
    async def case(server: OneServer) -> None:
        assert (await server.look()).answers
        server.freeze()
        took_s = []
        for _ in range(40):  # long enough for the attempt to connect to be given up and made again
            began_s = time.monotonic()
            assert not (await server.look()).answers
            took_s.append(time.monotonic() - began_s)
            await asyncio.sleep(0.15)
        assert took_s[0] > ANSWER_S_MAX * 0.9
        assert statistics.median(took_s[1:]) < ANSWER_S_MAX / 3
        server.thaw()
        assert (await server.until(lambda node: node.answers)).pid == server.pid

    play(case, work_dir)


def test_server_that_refuses_for_now_is_not_counted_as_silent(work_dir: Path) -> None:
    async def case(server: OneServer) -> None:
        monitor = Monitor(server.paths.sockets, server.port, "wrong")
        for _ in range(5):
            assert await monitor.look() is None
            await asyncio.sleep(0.25)
        monitor = server.monitor()
        assert await monitor.look() is not None
        await monitor.close()

    play(case, work_dir)


def test_answer_that_came_while_we_stood_still_ourselves_is_no_silence(work_dir: Path) -> None:
    async def case(server: OneServer) -> None:
        monitor = server.monitor()
        assert await monitor.look() is not None
        # Asked, and then the whole process stands still before it can read the answer, or even send the question.
        asyncio.get_running_loop().call_soon(time.sleep, 1.5)
        assert await monitor.look() is not None
        # Silent in time, answered during our pause.
        server.freeze()
        assert await monitor.look() is None
        server.thaw()
        time.sleep(1.5)  # noqa: ASYNC251 - it is the pause
        assert await monitor.look() is not None
        await monitor.close()

    play(case, work_dir)


async def pid_of_the_probe(server: OneServer, monitor: Monitor) -> int:
    for _ in range(100):
        await server.look()
        if rows := await monitor.execute(
            "SELECT pid FROM pg_stat_activity WHERE query LIKE '%emit_message%' AND state = 'idle'"
        ):
            return int(rows[0][0])
        await asyncio.sleep(0.05)
    raise AssertionError("nobody tries to write")


def test_primary_is_writing_though_no_standby_acknowledges(work_dir: Path) -> None:
    async def case(server: OneServer) -> None:
        monitor = server.monitor()
        await server.look()
        await monitor.execute(WRITE)
        node = await server.until(lambda node: node.is_writing is not None)
        assert node.is_writing
        await monitor.close()
        assert node.quorum == 'ANY 1 ("a", "b")'
        assert node.disk_answers is None
        assert not node.is_stopped
        assert not node.is_data_gone

    play(case, work_dir, DatabaseSpec(standbys=1))


def test_write_is_flushed_and_there_is_none_at_rest(work_dir: Path) -> None:
    async def case(server: OneServer) -> None:
        monitor = server.monitor()
        flushed = "SELECT pg_current_wal_flush_lsn() - '0/0'::pg_lsn, pg_current_wal_insert_lsn() - '0/0'::pg_lsn"
        await server.look()
        before, _ = (await monitor.execute(flushed))[0]
        await monitor.execute(WRITE)
        after, inserted = (await monitor.execute(flushed))[0]
        assert before < after == inserted, "it returns only when it is flushed"
        until_s = time.monotonic() + 4.0
        while time.monotonic() < until_s:
            assert (await server.look()).is_writing
            await asyncio.sleep(0.1)
        # PostgreSQL itself notes every 15 s which transactions run; one probe of ours may follow what we have written.
        assert (await monitor.execute(flushed))[0][0] - after < 500
        await monitor.close()

    play(case, work_dir)


def test_primary_whose_writes_hang_is_not_writing_until_they_are_done(work_dir: Path) -> None:
    async def case(server: OneServer) -> None:
        monitor = server.monitor()
        await monitor.execute("CREATE TABLE t (n int)")
        pid = await pid_of_the_probe(server, monitor)
        for _ in range(5):  # its write is seen as its own: one seen together with the next is taken for one
            await server.look()
            await asyncio.sleep(0.05)
        os.kill(pid, signal.SIGSTOP)  # its write is stuck, and the rest of the server answers
        await monitor.execute("INSERT INTO t VALUES (1)")
        began_s = time.monotonic()
        node = await server.until(lambda node: node.is_writing is False)
        assert WRITE_S_MAX < time.monotonic() - began_s < 20.0
        node = await server.until(lambda node: node.disk_answers is not None)
        assert node.disk_answers, "the disk is sound: it is the server"
        assert node.answers
        await monitor.execute("INSERT INTO t VALUES (2)")
        node = await server.look()
        assert node.is_writing, "others' writes are flushed"
        os.kill(pid, signal.SIGCONT)
        await server.until(lambda node: node.is_writing is True)
        await monitor.close()

    play(case, work_dir)


def test_frozen_server_is_stopped_and_not_only_silent(work_dir: Path) -> None:
    async def case(server: OneServer) -> None:
        assert not (await server.look()).is_stopped
        os.kill(server.pid, signal.SIGSTOP)  # the postmaster alone: open connections go on
        node = await server.look()
        assert node.is_stopped
        assert node.answers
        os.kill(server.pid, signal.SIGCONT)
        assert not (await server.look()).is_stopped

    play(case, work_dir)


def test_server_whose_directory_was_removed_is_told_by_its_data(work_dir: Path) -> None:
    async def case(server: OneServer) -> None:
        shutil.rmtree(server.paths.node("a"))
        node = await server.look()
        assert node.is_running
        assert node.is_data_gone

    play(case, work_dir)


def test_a_server_tells_what_it_counts_about_its_work(work_dir: Path) -> None:
    async def case(server: OneServer) -> None:
        monitor = server.monitor()
        await monitor.execute("CREATE TABLE t (n int)")
        password = load_or_make_secrets(server.paths.root, credentials()).superuser
        node = NodeView("a", "primary", NodeState.PRIMARY, server.pid, server.port, 1, "", None, "")
        nodes = [node]
        view = DatabaseView((), "a", True, "", "", "", 1, None)
        reader = StatisticsReader(
            "postgres", server.paths.sockets, password, lambda: replace(view, nodes=tuple(nodes)), SystemClock()
        )
        running = asyncio.create_task(reader.run())
        while not reader.latest.nodes:  # noqa: ASYNC110 — the reader tells nobody, it is looked at
            await asyncio.sleep(0.01)
        (said,) = reader.latest.nodes.values()
        # What makes samples of it finds everything that it looks for.
        samples = collect(status(), {**measurements(), "database": {"nodes": {"a": said}}})
        found = {sample.name: sample.value for sample in samples if sample.label("node") == "a"}
        assert found["colonnade_database_connections_max"] == 100
        assert found["colonnade_database_size_bytes"] > 1_000_000
        assert found["colonnade_database_wal_bytes_total"] > 0
        assert found["colonnade_database_wal_kept_bytes"] > 0
        assert said["commits"] > 0
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await monitor.close()

    play(case, work_dir)
