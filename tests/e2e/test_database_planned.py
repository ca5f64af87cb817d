"""Another primary, new settings, more and fewer members: all of it while clients write, on real servers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.contract.database_kit import Harness, Stream, running_cluster

from colonnade.core.errors import HostError, SpecError
from colonnade.database.state import NodeName
from colonnade.spec.model import DatabaseSpec

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

Case = Callable[[Harness, Stream], Awaitable[None]]


def play(case: Case, work_dir: Path, spec: DatabaseSpec | None = None) -> None:
    async def body() -> None:
        async with running_cluster(work_dir, spec) as harness:
            await harness.until_well()
            async with Stream(harness) as stream:
                await stream.until_acknowledged_after(time.monotonic())
                await case(harness, stream)
                await stream.until_acknowledged_after(time.monotonic())
            await harness.until_well()
            await stream.check()

    asyncio.run(body())


def members(harness: Harness) -> list[NodeName]:
    return [node.name for node in harness.controller.view().nodes]


async def quorum_of(harness: Harness, name: NodeName) -> str:
    return str(await harness.ask(name, "SHOW synchronous_standby_names"))


def test_switchover_moves_the_primary_to_the_node_that_was_asked_for(work_dir: Path) -> None:
    async def case(harness: Harness, stream: Stream) -> None:
        for target in ("c", "b", "a"):
            asked_at_s = time.monotonic()
            answer = await harness.controller.requests.switch_over(target)
            assert answer
            assert harness.primary == target
            await stream.until_acknowledged_after(time.monotonic())
            assert stream.gap_after(asked_at_s) < 2.0
            await harness.until_well()

    play(case, work_dir)


def test_switchover_that_cannot_be_changes_nothing(work_dir: Path) -> None:
    async def case(harness: Harness, stream: Stream) -> None:
        primary, pid = harness.primary, harness.pid(harness.primary)
        with pytest.raises(SpecError, match="primary already"):
            await harness.controller.requests.switch_over(primary)
        with pytest.raises(SpecError, match="no node 'x'"):
            await harness.controller.requests.switch_over("x")
        async with await harness.connect("b") as connection:
            await connection.execute("SELECT pg_wal_replay_pause()")
        async with await harness.connect("c") as connection:
            await connection.execute("SELECT pg_wal_replay_pause()")
        # Paused replay does not stop it from receiving: it has all, so it may take over; lost standbys may not.
        async with await harness.connect("b") as connection:
            await connection.execute("SELECT pg_wal_replay_resume()")
        async with await harness.connect("c") as connection:
            await connection.execute("SELECT pg_wal_replay_resume()")
        assert (harness.primary, harness.pid(primary)) == (primary, pid)
        await stream.until_acknowledged_after(time.monotonic())

    play(case, work_dir)


def test_only_one_request_at_a_time(work_dir: Path) -> None:
    async def case(harness: Harness, stream: Stream) -> None:
        first = asyncio.create_task(harness.controller.requests.switch_over(None))
        await asyncio.sleep(0)
        with pytest.raises(HostError, match="under way"):
            await harness.controller.requests.switch_over(None)
        await first

    play(case, work_dir)


def test_rolling_restart_applies_a_setting_to_every_node(work_dir: Path) -> None:
    async def case(harness: Harness, stream: Stream) -> None:
        before = {name: harness.pid(name) for name in members(harness)}
        spec = harness.spec.model_copy(update={"parameters": {"max_prepared_transactions": 7}})
        await harness.controller.requests.restart(spec)
        for name in members(harness):
            assert harness.pid(name) != before[name]
            assert await harness.ask(name, "SHOW max_prepared_transactions") == "7"
        lowered = harness.spec.model_copy(update={"parameters": {"max_prepared_transactions": 3}})
        await harness.controller.requests.restart(lowered)
        await harness.until_well()
        for name in members(harness):
            assert await harness.ask(name, "SHOW max_prepared_transactions") == "3"

    play(case, work_dir)


def test_settings_that_postgresql_refuses_restart_nothing(work_dir: Path) -> None:
    async def case(harness: Harness, stream: Stream) -> None:
        before = {name: harness.pid(name) for name in members(harness)}
        for parameters in ({"work_mem": "a lot"}, {"no_such_parameter": 1}):
            spec = harness.spec.model_copy(update={"parameters": parameters})
            with pytest.raises(SpecError, match="refuses"):
                await harness.controller.requests.restart(spec)
        assert before == {name: harness.pid(name) for name in members(harness)}

    play(case, work_dir)


def test_standbys_come_and_go_while_clients_write(work_dir: Path) -> None:
    async def case(harness: Harness, stream: Stream) -> None:
        controller = harness.controller
        controller.want(harness.spec.model_copy(update={"standbys": 3}))
        await harness.until(lambda: len(members(harness)) == 4, "a fourth member")
        await harness.until_well()
        for name in members(harness):
            assert await quorum_of(harness, name) == 'ANY 1 ("a", "b", "c", "d")'
        controller.want(harness.spec.model_copy(update={"standbys": 3, "quorum_size": 2}))
        await harness.until(
            lambda: "quorum: a COMMIT is acknowledged when 2 of 3" in durability(harness), "two of three"
        )
        await harness.until_well()
        assert await quorum_of(harness, harness.primary) == 'ANY 2 ("a", "b", "c", "d")'
        controller.want(harness.spec.model_copy(update={"standbys": 1}))
        await harness.until(lambda: len(members(harness)) == 2, "two are left")
        await harness.until_well()
        assert await quorum_of(harness, harness.primary) == f"ANY 1 ({', '.join(quoted(members(harness)))})"
        left = {path.name for path in (harness.paths.root / "nodes").iterdir()}
        assert left == set(members(harness))

    play(case, work_dir)


def durability(harness: Harness) -> str:
    return harness.controller.view().durability


def quoted(names: list[NodeName]) -> list[str]:
    return [f'"{name}"' for name in names]


def test_members_are_remembered_by_the_next_controller(work_dir: Path) -> None:
    async def case(harness: Harness, stream: Stream) -> None:
        wider = harness.spec.model_copy(update={"standbys": 3})
        harness.controller.want(wider)
        await harness.until(lambda: len(members(harness)) == 4, "a fourth member")
        harness.spec = wider
        await harness.replace_controller()
        await harness.until_well()
        assert members(harness) == ["a", "b", "c", "d"]

    play(case, work_dir)
