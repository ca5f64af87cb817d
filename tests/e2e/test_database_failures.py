"""Failures that are not a death, on real servers: frozen, cut off, gone, full. Clients write all the while."""

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
from tests.contract.database_kit import Harness, Stream, running_cluster
from tests.contract.links import LinkMap, NodeLink

from colonnade.database.disk import BALLAST_BYTES
from colonnade.database.fence import processes_in
from colonnade.database.links import directly
from colonnade.database.state import Disk, NodeName
from colonnade.spec.model import DatabaseSpec

from .harness import SmallDisk

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

Case = Callable[[Harness, Stream], Awaitable[None]]


def play(case: Case, work_dir: Path, spec: DatabaseSpec | None = None, links: LinkMap | None = None) -> None:
    async def with_links() -> None:
        if links is None:
            await body()
            return
        await links.open()
        try:
            await body()
        finally:
            await links.close()

    async def body() -> None:
        async with running_cluster(work_dir, spec, links or directly) as harness:
            await harness.until_well()
            async with Stream(harness) as stream:
                await stream.until_acknowledged_after(time.monotonic())
                await case(harness, stream)
                await stream.until_acknowledged_after(time.monotonic())
            await harness.until_well()
            await stream.check()

    asyncio.run(with_links())


def all_processes(harness: Harness, name: NodeName) -> list[int]:
    return processes_in((harness.paths.node(name),))


def signal_all(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


async def until_replaced(harness: Harness, old: NodeName, within_s: float) -> None:
    await harness.until(
        lambda: harness.controller.view().primary not in (None, old), "another one is primary", within_s=within_s
    )


@pytest.mark.parametrize("whole", [True, False], ids=["all of its processes", "its postmaster"])
def test_frozen_primary_is_replaced_and_never_acknowledges_again(work_dir: Path, whole: bool) -> None:
    async def case(harness: Harness, stream: Stream) -> None:
        old = harness.primary
        pids = all_processes(harness, old) if whole else [harness.pid(old)]
        frozen_at_s = time.monotonic()
        signal_all(pids, signal.SIGSTOP)
        await until_replaced(harness, old, 10.0)
        await stream.until_acknowledged_after(time.monotonic())
        assert stream.gap_after(frozen_at_s) < 8.0
        signal_all(pids, signal.SIGCONT)
        assert not [pid for pid in pids if pid in all_processes(harness, old)], "the old run is gone for good"
        assert "primary_frozen" in harness.reasons()

    play(case, work_dir)


def test_primary_that_is_frozen_for_a_moment_stays(work_dir: Path) -> None:
    async def case(harness: Harness, stream: Stream) -> None:
        old, pid = harness.primary, harness.pid(harness.primary)
        pids = all_processes(harness, old)
        signal_all(pids, signal.SIGSTOP)
        await asyncio.sleep(0.4)
        signal_all(pids, signal.SIGCONT)
        await asyncio.sleep(3.0)
        assert (harness.primary, harness.pid(old)) == (old, pid)

    play(case, work_dir)


def test_paused_controller_knows_nothing_when_it_goes_on(work_dir: Path) -> None:
    """Its first look after a pause sees answers that are late by the pause: nobody is given up for that."""

    async def case(harness: Harness, stream: Stream) -> None:
        old, pid = harness.primary, harness.pid(harness.primary)
        for _ in range(3):
            await asyncio.sleep(0.5)
            time.sleep(5.0)  # the whole loop, and with it the controller  # noqa: ASYNC251
        await asyncio.sleep(2.0)
        assert (harness.primary, harness.pid(old)) == (old, pid)
        assert "primary_frozen" not in harness.reasons()

    play(case, work_dir)


def test_frozen_standby_holds_up_nobody_and_is_started_anew(work_dir: Path) -> None:
    async def case(harness: Harness, stream: Stream) -> None:
        pids = all_processes(harness, "c")
        frozen_at_s = time.monotonic()
        signal_all(pids, signal.SIGSTOP)
        await harness.until(lambda: "c" not in routed(harness), "no reader is led to it", within_s=5.0)
        await harness.until(lambda: not set(pids) & set(all_processes(harness, "c")), "it is killed", within_s=15.0)
        await harness.until_well()
        assert harness.primary == "a"
        assert stream.gap_after(frozen_at_s) < 2.0

    play(case, work_dir)


def routed(harness: Harness) -> list[NodeName]:
    routes = harness.gateway.routes
    assert routes is not None
    return [name for name, _ in routes.standbys]


def test_standby_that_lags_gets_no_readers_until_it_has_caught_up(work_dir: Path) -> None:
    async def case(harness: Harness, stream: Stream) -> None:
        async with await harness.connect("c") as connection:
            await connection.execute("SELECT pg_wal_replay_pause()")
            async with await harness.connect(harness.primary) as writer:
                await writer.execute("CREATE TABLE wide AS SELECT repeat('x', 1000) FROM generate_series(1, 25000)")
            await harness.until(lambda: "c" not in routed(harness), "it shows the past")
            assert "b" in routed(harness)
            await connection.execute("SELECT pg_wal_replay_resume()")
        await harness.until(lambda: "c" in routed(harness), "it has caught up")

    play(case, work_dir)


@pytest.mark.parametrize("break_link", [NodeLink.cut, NodeLink.lose], ids=["refused", "silent"])
def test_primary_that_its_standbys_do_not_reach_is_given_up(
    work_dir: Path, break_link: Callable[[NodeLink], None]
) -> None:
    links = LinkMap()

    async def case(harness: Harness, stream: Stream) -> None:
        old, cut_at_s = harness.primary, time.monotonic()
        for link in links.all_to(old):
            break_link(link)
        await until_replaced(harness, old, 20.0)
        await stream.until_acknowledged_after(time.monotonic())
        assert "primary_cut_off" in harness.reasons()
        assert stream.gap_after(cut_at_s) < 15.0
        for link in links.all_to(old):
            link.heal()

    play(case, work_dir, links=links)


def test_primary_is_not_given_up_when_nobody_reaches_anybody(work_dir: Path) -> None:
    links = LinkMap()

    async def case(harness: Harness, stream: Stream) -> None:
        old, pid = harness.primary, harness.pid(harness.primary)
        for name in "abc":
            for link in links.all_to(name):
                link.cut()
        await asyncio.sleep(10.0)
        assert (harness.primary, harness.pid(old)) == (old, pid)
        assert harness.controller.view().reason == "writes_wait_for_standbys"
        assert not harness.controller.view().is_writable
        async with await harness.connect("b") as reader:
            assert await (await reader.execute("SELECT count(*) FROM numbers")).fetchone()
        for name in "abc":
            for link in links.all_to(name):
                link.heal()

    play(case, work_dir, links=links)


def test_both_standbys_gone_make_writes_wait_and_say_so(work_dir: Path) -> None:
    async def case(harness: Harness, stream: Stream) -> None:
        pids = [*all_processes(harness, "b"), *all_processes(harness, "c")]
        signal_all(pids, signal.SIGSTOP)
        await harness.until(
            lambda: harness.controller.view().reason == "writes_wait_for_standbys", "it says why", within_s=15.0
        )
        async with await harness.connect("a") as reader:
            assert await (await reader.execute("SELECT count(*) FROM numbers")).fetchone()
        await harness.until_well()  # by themselves: they are killed and started again
        assert harness.primary == "a"

    play(case, work_dir)


def test_primary_and_one_standby_gone_together(work_dir: Path) -> None:
    async def case(harness: Harness, stream: Stream) -> None:
        signal_all([harness.pid("a"), harness.pid("b")], signal.SIGKILL)
        await stream.until_acknowledged_after(time.monotonic() + 0.2)

    play(case, work_dir)


def test_deleted_data_directory_of_the_running_primary(work_dir: Path) -> None:
    async def case(harness: Harness, stream: Stream) -> None:
        old = harness.primary
        shutil.rmtree(harness.paths.node(old), ignore_errors=True)
        await until_replaced(harness, old, 15.0)
        await harness.until_well()

    play(case, work_dir)


def test_damaged_standby_is_copied_anew(work_dir: Path) -> None:
    async def case(harness: Harness, stream: Stream) -> None:
        control = harness.paths.node("c") / "global" / "pg_control"
        control.write_bytes(b"\0" * 8192)
        os.kill(harness.pid("c"), signal.SIGKILL)
        await harness.until(lambda: "clone_started" in kinds(harness), "it is cloned")
        await harness.until_well()

    play(case, work_dir)


def kinds(harness: Harness) -> list[str]:
    return [event.kind for event in harness.events.recent()]


def test_every_process_killed_at_once(work_dir: Path) -> None:
    async def case(harness: Harness, stream: Stream) -> None:
        await harness.end_loop()
        for name in "abc":
            signal_all(all_processes(harness, name), signal.SIGKILL)
        await harness.replace_controller()
        await stream.until_acknowledged_after(time.monotonic() + 0.1)

    play(case, work_dir)


def test_nearly_full_disk_makes_writers_wait_and_keeps_the_servers_up(work_dir: Path) -> None:
    """What the file system says is replaced, and nothing else: filling the machine's own would disturb others."""

    async def case(harness: Harness, stream: Stream) -> None:
        driver = harness.controller._driver
        pids = {name: harness.pid(name) for name in "abc"}
        ballast = harness.paths.ballast
        await harness.until(ballast.exists, "the ballast is there")
        assert ballast.stat().st_blocks * 512 >= BALLAST_BYTES
        free = 20 * 1024 * 1024

        def disk() -> Disk:
            return Disk(free, ballast.exists())

        driver.disk = disk  # type: ignore[method-assign]
        await harness.until(lambda: harness.controller.view().reason == "disk_full", "it says why")
        await harness.until(harness.gateway.lead_nowhere, "writers are held")
        assert len(routed(harness)) == 2, "readers go on"
        free = 1024
        await harness.until(lambda: not ballast.exists(), "the ballast gives its room back")
        free = 10**10
        await harness.until(ballast.exists, "and takes it again")
        await stream.until_acknowledged_after(time.monotonic())
        assert pids == {name: harness.pid(name) for name in "abc"}

    play(case, work_dir)


@pytest.mark.parametrize("role", ["primary", "standby"])
def test_one_node_alone_on_a_full_disk_is_left_and_comes_back_when_there_is_room(
    work_dir: Path, small_disk: SmallDisk, role: str
) -> None:
    async def case(harness: Harness, stream: Stream) -> None:
        node = harness.standbys()[0]
        await move_to_a_disk_of_its_own(harness, node, small_disk)
        if role == "primary":
            await harness.controller.requests.switch_over(node)
            await harness.until_well()
        filler = harness.paths.node(node) / "filler"
        await asyncio.to_thread(fill_up, filler)
        # Enough WAL for the node to want a further segment, which has no room.
        filled_s = time.monotonic()
        await harness.until(lambda: not is_serving(harness, node), "the full node serves nobody", within_s=60.0)
        await stream.until_acknowledged_after(time.monotonic() + 0.2)
        assert harness.primary != node
        assert stream.gap_after(filled_s) < 15.0
        filler.unlink()

    play(case, work_dir)


def is_serving(harness: Harness, name: NodeName) -> bool:
    routes = harness.gateway.routes
    return harness.controller.view().primary == name or (
        routes is not None and name in [standby for standby, _ in routes.standbys]
    )


async def move_to_a_disk_of_its_own(harness: Harness, node: NodeName, small_disk: SmallDisk) -> None:
    """Stop it, and put its directory on a small file system at the same path."""
    await harness.end_loop()
    directory = harness.paths.node(node)
    signal_all(all_processes(harness, node), signal.SIGKILL)
    aside = directory.with_name("aside")
    directory.rename(aside)
    about = aside.stat()
    used = sum(path.stat().st_blocks * 512 for path in aside.rglob("*"))
    small_disk(directory, used + 40 * 1024 * 1024)
    shutil.copytree(aside, directory, dirs_exist_ok=True, symlinks=True)
    for path in (directory, *directory.rglob("*")):
        os.chown(path, about.st_uid, about.st_gid, follow_symlinks=False)
    directory.chmod(0o700)
    shutil.rmtree(aside)
    await harness.replace_controller()
    await harness.until_well()


def fill_up(filler: Path) -> None:
    about = os.statvfs(filler.parent)
    with filler.open("wb") as file:
        for _ in range(about.f_bavail * about.f_frsize // 65536 + 1):
            with contextlib.suppress(OSError):  # full: what we want
                file.write(bytes(65536))
                file.flush()


def test_settings_that_a_power_cut_needs_are_in_force(work_dir: Path) -> None:
    """kill -9 keeps the kernel's page cache, so no test of ours is a power cut: what it rests on is asserted."""

    async def case(harness: Harness, stream: Stream) -> None:
        for name in "abc":
            for setting, value in {
                "fsync": "on",
                "full_page_writes": "on",
                "synchronous_commit": "on",
                "data_checksums": "on",
                "wal_log_hints": "on",
                "restart_after_crash": "off",
                "synchronous_standby_names": 'ANY 1 ("a", "b", "c")',
            }.items():
                assert await harness.ask(name, f"SHOW {setting}") == value
        with pytest.raises(psycopg.Error):
            async with await harness.client() as client:
                await client.execute("ALTER SYSTEM SET fsync = off")

    play(case, work_dir)
