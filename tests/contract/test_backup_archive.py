"""What backups rest on, asked of real PostgreSQL: who archives what at a fork, races, clones, and who has no vote."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.contract.database_kit import Harness, credentials, running_cluster

from colonnade.core.clock import SystemClock
from colonnade.core.processes import SYSTEM_MARK
from colonnade.database.backup import wal
from colonnade.database.backup.base_backup import Source, take_backup
from colonnade.database.backup.catalogue import read_catalogue
from colonnade.database.backup.workplace import Workplace, open_workplace
from colonnade.database.state import Address
from colonnade.spec.model import BackupSpec, DatabaseSpec

pytestmark = pytest.mark.slow

RACES = 8
SEGMENT_BYTES = 4 * 1024 * 1024


def declared(work_dir: Path) -> DatabaseSpec:
    return DatabaseSpec(backup=BackupSpec(directory=str(work_dir / "backups")))


async def workplace(harness: Harness) -> Workplace:
    env = {SYSTEM_MARK: str(harness.work_dir)}
    return await open_workplace(harness.spec, harness.paths, credentials(), env, SystemClock())


def source(harness: Harness) -> Source:
    node = next(node for node in harness.controller.view().nodes if node.name == harness.primary)
    return Source(Address("127.0.0.1", node.port or 0), node.timeline or 0)


async def fail_over(harness: Harness) -> None:
    old = harness.primary
    os.kill(harness.pid(old), signal.SIGKILL)
    await harness.until(lambda: harness.controller.view().primary not in (None, old), "another one is primary")
    await harness.until_well()


def status_of(harness: Harness, node: str) -> set[str]:
    return {file.name for file in (harness.paths.node(node) / "pg_wal" / "archive_status").iterdir()}


async def _fork(work_dir: Path) -> None:
    archive = work_dir / "backups" / "wal"
    async with running_cluster(work_dir, declared(work_dir)) as harness:
        await harness.until_well()
        async with await harness.connect(harness.primary) as connection:
            await connection.execute("CREATE TABLE filling AS SELECT repeat('x', 500) FROM generate_series(1, 20000)")
        await fail_over(harness)
        winner = harness.primary
        follower = next(name for name in "bc" if name != winner)
        async with await harness.connect(winner) as connection:
            row = await (await connection.execute("SELECT pg_walfile_name(pg_switch_wal())")).fetchone()
        assert row is not None
        await harness.until((archive / row[0]).exists, "the new timeline is archived")
        ((_, fork),) = wal.read_forks(str(archive))[2]
        number = f"{0:08X}{fork // SEGMENT_BYTES:08X}"
        # The standby archives the old timeline's last segment under its plain name; the winner as partial.
        plain, partial = f"00000001{number}", f"00000001{number}.partial"
        await harness.until(lambda: f"{plain}.done" in status_of(harness, follower), "the follower has archived it")
        await harness.until(lambda: f"{partial}.done" in status_of(harness, winner), "the winner has archived it")
        assert not (archive / plain).exists()
        assert (archive / partial).exists()
        for name in "abc":
            await harness.until(
                lambda node=name: not any(mark.endswith(".ready") for mark in status_of(harness, node)),  # type: ignore[misc]
                f"{name} has archived everything",
            )
        complete = sorted(file.name for file in archive.iterdir() if len(file.name) == 24)
        assert len(complete) == len({file[8:] for file in complete}), "no segment is complete on two timelines"


def test_at_a_fork_no_archiver_gets_stuck_and_no_incomplete_segment_has_a_plain_name(work_dir: Path) -> None:
    asyncio.run(_fork(work_dir))


async def _backups(work_dir: Path) -> None:
    async with running_cluster(work_dir, declared(work_dir)) as harness:
        await harness.until_well()
        work = await workplace(harness)
        told: list[str] = []
        taking = asyncio.create_task(take_backup("full", None, source(harness), work, told.append))
        seen: set[tuple[str, str]] = set()
        while not taking.done():
            async with await harness.connect(harness.primary) as connection:
                query = "SELECT application_name, sync_state FROM pg_stat_replication"
                seen |= {(row[0], row[1]) for row in await (await connection.execute(query)).fetchall()}
        full = await taking
        assert {state for name, state in seen if name.startswith("backup-")} <= {"async"}, "a backup has no vote"
        assert any(name.startswith("backup-") for name, _ in seen)
        part = await take_backup("incremental", full, source(harness), work, told.append)
        assert (part.kind, part.parent, told) == ("incremental", full.id, [])
        assert part.size_bytes < full.size_bytes
        await fail_over(harness)
        again = await take_backup("incremental", part, source(harness), work, told.append)
        assert again.kind == "full"
        assert "timeline 2" in told[0]
        cut = asyncio.create_task(take_backup("full", None, source(harness), work, told.append))
        await harness.until(lambda: len(work.storage.backups()) == 4, "a fourth one is begun")
        cut.cancel()
        await asyncio.gather(cut, return_exceptions=True)
        assert work.storage.backups() == sorted(each.id for each in read_catalogue(work.storage))
        assert len(work.storage.backups()) == 3


def test_backups_have_no_vote_build_on_each_other_and_leave_nothing_when_cut_off(work_dir: Path) -> None:
    asyncio.run(_backups(work_dir))


async def _clone(work_dir: Path) -> None:
    archive = work_dir / "backups" / "wal"
    async with running_cluster(work_dir, declared(work_dir)) as harness:
        await harness.until_well()
        async with await harness.connect(harness.primary) as connection:
            await connection.execute("CREATE TABLE filling AS SELECT repeat('x', 500) FROM generate_series(1, 20000)")
        archive.chmod(0o500)
        os.kill(harness.pid("c"), signal.SIGKILL)
        (harness.paths.node("c") / "PG_VERSION").unlink()
        await harness.until(
            lambda: any(event.kind == "node_clone_done" for event in harness.events.recent()), "c is cloned"
        )
        await harness.until_well()
        waiting = status_of(harness, "c")
        archive.chmod(0o700)
        assert not any(mark.endswith(".done") and len(mark) == 29 for mark in waiting), waiting


def test_a_clone_does_not_believe_that_what_it_got_is_archived(work_dir: Path) -> None:
    asyncio.run(_clone(work_dir))


def test_three_archivers_of_one_segment_at_once_all_succeed_and_a_fourth_with_other_bytes_does_not(
    work_dir: Path,
) -> None:
    archive, source_file = work_dir / "wal", work_dir / "segment"
    archive.mkdir()
    source_file.write_bytes(os.urandom(SEGMENT_BYTES))
    program = [sys.executable, "-I", "-S", "-E", wal.__file__, "store", str(source_file)]
    for number in range(RACES):
        name = f"{1:08X}{0:08X}{number:08X}"
        racers = [subprocess.Popen([*program, name, str(archive)]) for _ in range(3)]
        assert [racer.wait(30) for racer in racers] == [0, 0, 0]
    assert sorted(file.name for file in archive.iterdir()) == [f"{1:08X}{0:08X}{n:08X}" for n in range(RACES)]
    content = source_file.read_bytes()
    assert all(file.read_bytes() == content for file in archive.iterdir())
    source_file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    refused = subprocess.run([*program, f"{1:08X}{0:08X}{0:08X}", str(archive)], capture_output=True, check=False)
    assert refused.returncode == wal.CONFLICT
    assert wal.MARK.encode() in refused.stderr
