"""The cases that once went wrong, each on real servers: leftover backends, blocked replay, phantom voters, …"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import psycopg
import pytest
from tests.contract.database_kit import Harness, Stream, credentials, paths_in, running_cluster

from colonnade.core.errors import HostError, SpecError
from colonnade.core.events import Event
from colonnade.database.fence import processes_in
from colonnade.database.secrets import passfile
from colonnade.database.state import NodeState
from colonnade.spec.model import DatabaseSpec

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

Case = Callable[[Harness], Awaitable[None]]


def play(case: Case, work_dir: Path, spec: DatabaseSpec | None = None) -> None:
    async def body() -> None:
        async with running_cluster(work_dir, spec) as harness:
            await harness.until_well()
            await case(harness)

    asyncio.run(body())


async def kill_primary(harness: Harness) -> str:
    old = harness.primary
    os.kill(harness.pid(old), signal.SIGKILL)
    await harness.until(lambda: harness.controller.view().primary not in (None, old), "another one is primary")
    return old


def shared_memory_of(pid: int) -> set[str]:
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return {line.split()[5] for line in lines if "/dev/shm/PostgreSQL." in line}


def arguments_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()


def segment_of(directory: Path) -> str:
    return (directory / "postmaster.pid").read_text().splitlines()[6].split()[1]


def shared_segments() -> set[str]:
    return {line.split()[1] for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]}


def test_stopped_and_busy_backends_do_not_outlive_their_primary(work_dir: Path) -> None:
    async def case(harness: Harness) -> None:
        old = harness.primary
        sessions = [await harness.connect(old) for _ in range(2)]
        pids = [session.info.backend_pid for session in sessions]
        spin = asyncio.create_task(sessions[1].execute("DO $$ BEGIN LOOP END LOOP; END $$"))
        await asyncio.sleep(0.2)
        os.kill(pids[0], signal.SIGSTOP)
        began_s = time.monotonic()
        await kill_primary(harness)
        assert time.monotonic() - began_s < 6.0
        await harness.until_well()
        left = processes_in((harness.paths.node(old),))
        assert not set(pids) & set(left), "a backend of the old run is still there"
        for session in sessions:
            await session.close()
        with contextlib.suppress(psycopg.Error):
            await spin

    play(case, work_dir)


def test_killed_server_leaves_no_shared_memory(work_dir: Path) -> None:
    async def body() -> None:
        async with running_cluster(work_dir) as harness:
            await harness.until_well()
            files = set[str]()
            for name in "abc":
                files |= shared_memory_of(harness.pid(name))
            assert len(files) == 3
            ours = set[str]()
            for name in "abc":
                ours.add(segment_of(harness.paths.node(name)))
            await harness.end_loop()
            for name in "abc":
                os.kill(harness.pid(name), signal.SIGKILL)
        assert not files & {f"/dev/shm/{name}" for name in os.listdir("/dev/shm")}
        assert not ours & shared_segments()
        assert not list(harness.paths.sockets.iterdir())

    asyncio.run(body())


def test_open_read_does_not_hold_up_a_promotion(work_dir: Path) -> None:
    async def case(harness: Harness) -> None:
        async with Stream(harness) as stream:
            await stream.until_acknowledged_after(time.monotonic() + 0.2)
            readers = []
            for name in harness.standbys():
                reader = await harness.connect(name)
                await reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
                await reader.execute("SELECT count(*) FROM numbers")
                readers.append(reader)
            async with await harness.client() as client:
                await client.execute("ALTER TABLE numbers ADD COLUMN more int")
            killed_at_s = time.monotonic()
            await kill_primary(harness)
            await stream.until_acknowledged_after(killed_at_s + 0.05)
            assert stream.gap_after(killed_at_s) < 2.0
            for reader in readers:
                await reader.close()
        await harness.until_well()
        await stream.check()

    play(case, work_dir)


def test_every_node_names_every_member_at_all_times(work_dir: Path) -> None:
    async def case(harness: Harness) -> None:
        for _ in range(2):
            for name in "abc":
                wanted = await harness.ask(name, "SHOW synchronous_standby_names")
                assert wanted == 'ANY 1 ("a", "b", "c")'
                for setting, value in (("fsync", "on"), ("full_page_writes", "on"), ("synchronous_commit", "on")):
                    if setting != "synchronous_commit":
                        assert await harness.ask(name, f"SHOW {setting}") == value
                assert await harness.ask(name, "SHOW restart_after_crash") == "off"
            await kill_primary(harness)
            await harness.until_well()

    play(case, work_dir)


def test_killed_backend_makes_a_failover_and_not_a_silent_restart(work_dir: Path) -> None:
    async def case(harness: Harness) -> None:
        old = harness.primary
        session = await harness.connect(old)
        os.kill(session.info.backend_pid, signal.SIGKILL)
        await harness.until(lambda: harness.controller.view().primary not in (None, old), "another one is primary")
        await harness.until_well()
        await session.close()

    play(case, work_dir)


def test_old_primary_is_rewound_only_after_the_endpoint_is_open(work_dir: Path) -> None:
    async def case(harness: Harness) -> None:
        seq = harness.events.recent()[-1].seq
        await kill_primary(harness)
        await harness.until_well()
        kinds = [event.kind for event in harness.events.recent(after_seq=seq)]
        assert kinds.index("promotion_intended") < kinds.index("node_promoted")
        assert kinds.index("history_kept") < kinds.index("endpoint_opened") < kinds.index("rewind_started")

    play(case, work_dir)


def test_primary_restarts_in_place_when_too_few_standbys_are_left_to_elect(work_dir: Path) -> None:
    async def case(harness: Harness) -> None:
        async with Stream(harness) as stream:
            await stream.until_acknowledged_after(time.monotonic() + 0.3)
            killed_at_s = time.monotonic()
            # With its data, so that it cannot be back in time to vote.
            await harness.end_loop()
            os.kill(harness.pid("c"), signal.SIGKILL)
            os.kill(harness.pid("a"), signal.SIGKILL)
            await asyncio.sleep(0.1)
            shutil.rmtree(harness.paths.node("c"))
            harness.run()
            await stream.until_acknowledged_after(killed_at_s + 0.05)
            await harness.until_well()
        assert harness.primary == "a"
        assert harness.controller.view().generation == 1
        assert "primary_restarts_in_place" in harness.reasons()
        await stream.check()

    play(case, work_dir)


def test_killed_standby_is_restarted_and_writes_go_on(work_dir: Path) -> None:
    async def case(harness: Harness) -> None:
        async with Stream(harness) as stream:
            for name in ("b", "c", "b"):
                await stream.until_acknowledged_after(time.monotonic() + 0.2)
                pid, killed_at_s = harness.pid(name), time.monotonic()
                os.kill(pid, signal.SIGKILL)
                await harness.until(lambda: not harness.is_well(), "it is missed", within_s=3)
                await harness.until_well()
                assert harness.pid(name) != pid
                assert stream.gap_after(killed_at_s) < 3.0
        assert harness.controller.view().generation == 1
        await stream.check()

    play(case, work_dir)


def test_clone_in_the_making_releases_no_commit(work_dir: Path) -> None:
    async def case(harness: Harness) -> None:
        async with await harness.client() as client:
            await client.execute("CREATE TABLE t (n int)")
        await harness.end_loop()
        os.kill(harness.pid("b"), signal.SIGKILL)
        await asyncio.sleep(0.3)
        shutil.rmtree(harness.paths.node("b"))
        client = await harness.client()
        commit = asyncio.create_task(client.execute("INSERT INTO t VALUES (1)"))
        await asyncio.sleep(0)
        was_released: list[bool] = []

        def note(event: Event) -> None:
            if event.kind == "node_clone_done":
                was_released.append(commit.done())

        harness.events.subscribe(note)
        harness.run()
        await harness.until_well()
        await asyncio.wait_for(commit, 5.0)
        assert was_released == [False], "the clone's own stream must not count in the quorum"
        await client.close()

    play(case, work_dir, DatabaseSpec(standbys=1))


def test_successor_adopts_the_running_servers(work_dir: Path) -> None:
    async def case(harness: Harness) -> None:
        pids = {name: harness.pid(name) for name in "abc"}
        async with Stream(harness) as stream:
            await stream.until_acknowledged_after(time.monotonic() + 0.1)
            began_s = time.monotonic()
            await harness.replace_controller()
            await harness.until_well()
            await stream.until_acknowledged_after(time.monotonic())
            assert stream.gap_after(began_s) < 3.0
        assert {name: harness.pid(name) for name in "abc"} == pids
        assert all(routes.primary is not None for routes in harness.gateway.history), "clients were never cut off"

    play(case, work_dir)


def test_stopped_system_starts_again_with_its_data(work_dir: Path) -> None:
    async def case(harness: Harness) -> None:
        async with await harness.client() as client:
            await client.execute("CREATE TABLE t AS SELECT generate_series(1, 1000) AS n")
        await kill_primary(harness)
        await harness.until_well()
        generation = harness.controller.view().generation
        await harness.end_loop()
        await harness.controller.stop()
        harness.controller = harness.new_controller()
        began_s = time.monotonic()
        await harness.start()
        assert time.monotonic() - began_s < 6.0
        await harness.until_well()
        assert harness.controller.view().generation == generation
        for name in "abc":
            assert await harness.ask(name, "SELECT count(*) FROM t") == 1000

    play(case, work_dir)


def test_single_node_restarts_in_place(work_dir: Path) -> None:
    async def case(harness: Harness) -> None:
        async with Stream(harness) as stream:
            await stream.until_acknowledged_after(time.monotonic() + 0.2)
            killed_at_s = time.monotonic()
            os.kill(harness.pid("a"), signal.SIGKILL)
            await stream.until_acknowledged_after(killed_at_s + 0.05)
        await stream.check()
        assert harness.controller.view().durability.startswith("single")

    play(case, work_dir, DatabaseSpec(standbys=0))


def test_with_one_standby_a_killed_primary_is_started_where_it_was_and_one_that_is_lost_is_replaced(
    work_dir: Path,
) -> None:
    async def case(harness: Harness) -> None:
        async with Stream(harness) as stream:
            await stream.until_acknowledged_after(time.monotonic() + 0.2)
            first, pid = harness.primary, harness.pid(harness.primary)
            os.kill(pid, signal.SIGKILL)
            await harness.until(lambda: pid not in [node.pid for node in harness.controller.view().nodes], "seen")
            await stream.until_acknowledged_after(time.monotonic())
            await harness.until_well()
            assert harness.primary == first
            assert "clone_started" not in [event.kind for event in harness.events.recent()]
            pid = harness.pid(first)
            await asyncio.to_thread(shutil.rmtree, harness.paths.node(first), ignore_errors=True)
            with contextlib.suppress(ProcessLookupError):  # the controller may have seen it and been quicker
                os.kill(pid, signal.SIGKILL)
            await harness.until(lambda: harness.controller.view().primary not in (None, first), "it is replaced")
            await stream.until_acknowledged_after(time.monotonic())
            await harness.until_well()
        await stream.check()

    play(case, work_dir, DatabaseSpec(standbys=1))


def test_passwords_are_private_and_in_no_argv_log_or_event(work_dir: Path) -> None:
    async def case(harness: Harness) -> None:
        await kill_primary(harness)
        await harness.until_well()
        for file in (harness.paths.root / "secrets.json", passfile(harness.paths.root)):
            assert file.stat().st_mode & 0o777 == 0o600
        words = [line.rsplit(":", 1)[1] for line in passfile(harness.paths.root).read_text().split()]
        told = "".join(event.to_json() for event in harness.events.recent())
        told += "".join(log.read_text(errors="replace") for log in harness.paths.logs.iterdir())
        for name in "abc":
            told += arguments_of(harness.pid(name))
            told += (harness.paths.node(name) / "postgresql.conf").read_text()
        assert not [word for word in words if word in told]
        assert (
            await harness.ask(harness.primary, "SELECT count(*) FROM pg_hba_file_rules WHERE auth_method = 'trust'")
            == 0
        )

    play(case, work_dir)


def test_data_of_another_major_version_is_refused_with_a_hint(work_dir: Path) -> None:
    async def case(harness: Harness) -> None:
        await harness.end_loop()
        await harness.controller.stop()
        (harness.paths.node("a") / "PG_VERSION").write_text("15\n")
        successor = harness.new_controller()
        with pytest.raises(HostError, match="holds data of PostgreSQL 15") as caught:
            await successor.start()
        assert caught.value.hint
        (harness.paths.node("a") / "PG_VERSION").write_text("18\n")
        await successor.abandon()

    play(case, work_dir)


def test_record_that_went_missing_is_not_taken_for_an_empty_place(work_dir: Path) -> None:
    async def case(harness: Harness) -> None:
        await harness.end_loop()
        await harness.controller.stop()
        harness.paths.record.rename(harness.paths.root / "away.json")
        successor = harness.new_controller()
        with pytest.raises(HostError, match="no record"):
            await successor.start()
        (harness.paths.root / "away.json").rename(harness.paths.record)
        await successor.abandon()

    play(case, work_dir)


def test_parameter_that_durability_rests_on_is_refused(work_dir: Path) -> None:
    with pytest.raises(SpecError, match="fsync"):
        Harness(work_dir, DatabaseSpec(parameters={"fsync": "off"}))
    assert paths_in(work_dir).root.exists() is False
    assert credentials() is None or os.getuid() == 0


def test_view_tells_roles_lag_and_the_last_failover(work_dir: Path) -> None:
    async def case(harness: Harness) -> None:
        await kill_primary(harness)
        await harness.until_well()
        await asyncio.sleep(0.1)
        view = harness.controller.view()
        assert [node.state for node in view.nodes].count(NodeState.PRIMARY) == 1
        assert {node.sync_state for node in view.nodes if node.role == "standby"} == {"quorum"}
        assert view.last_failover is not None
        assert view.last_failover.is_finished
        assert list(view.last_failover.phases_s) == ["detect", "fence", "elect", "promote", "reroute", "rejoin"]

    play(case, work_dir)
