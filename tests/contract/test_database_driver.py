"""What every `DatabaseDriver` promises, asked of real PostgreSQL and of the cluster in memory alike."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import psycopg
import pytest
from tests.contract.database_kit import credentials, paths_in

from colonnade.core.clock import SimulatedClock, SystemClock
from colonnade.core.events import EventLog
from colonnade.core.ports import PortAllocator
from colonnade.core.processes import SYSTEM_MARK
from colonnade.database.driver import DatabaseDriver
from colonnade.database.fake import FakeDriver
from colonnade.database.fake_world import FakeWorld
from colonnade.database.postgres import Host, PostgresDriver
from colonnade.database.recording import new_record
from colonnade.database.secrets import SUPERUSER, load_or_make_secrets
from colonnade.database.state import NodeName, ObservedNode
from colonnade.spec.model import DatabaseSpec

MEMBERS = ("a", "b", "c")

Nodes = Mapping[NodeName, ObservedNode]


class Cluster(Protocol):
    """A driver, and what a test does behind its back."""

    driver: DatabaseDriver

    def successor(self) -> DatabaseDriver:
        """Another driver for the same nodes, as a new controller would have."""
        ...

    async def write(self, node: NodeName) -> None:
        """Something that makes the node's WAL grow, without waiting for standbys."""
        ...

    async def kill(self, node: NodeName) -> None: ...

    async def lose_data(self, node: NodeName) -> None: ...

    async def pass_time(self) -> None: ...


class CaseInMemory:
    def __init__(self) -> None:
        self.world = FakeWorld(MEMBERS, 1)
        self.driver: DatabaseDriver = FakeDriver(self.world, SimulatedClock())

    def successor(self) -> DatabaseDriver:
        return FakeDriver(self.world, SimulatedClock())

    async def write(self, node: NodeName) -> None:
        assert self.world.write(node) is not None

    async def kill(self, node: NodeName) -> None:
        self.world.kill(node)

    async def lose_data(self, node: NodeName) -> None:
        self.world.lose_data(node)

    async def pass_time(self) -> None:
        self.world.settle()


class CaseOnServers:
    def __init__(self, work_dir: Path) -> None:
        self.paths = paths_in(work_dir)
        self.work_dir = work_dir
        self.driver: DatabaseDriver = self.successor()

    def successor(self) -> DatabaseDriver:
        clock = SystemClock()
        ports = PortAllocator(str(self.work_dir))
        mark = {SYSTEM_MARK: str(self.work_dir)}
        host = Host(self.paths, credentials(), mark, ports, EventLog(clock), clock)
        driver = PostgresDriver(DatabaseSpec(), host)
        driver.configure(new_record(DatabaseSpec()))
        return driver

    async def write(self, node: NodeName) -> None:
        port = (await self.driver.observe())[node].address
        assert port is not None
        secrets = load_or_make_secrets(self.paths.root, credentials())
        connection: psycopg.AsyncConnection[Any] = await psycopg.AsyncConnection.connect(
            host=str(self.paths.sockets),
            port=port.port,
            user=SUPERUSER,
            password=secrets.superuser,
            dbname="postgres",
            autocommit=True,
            options="-c synchronous_commit=local",
        )
        async with connection:
            await connection.execute("CREATE TABLE IF NOT EXISTS t (n int)")
            await connection.execute("INSERT INTO t VALUES (1)")

    async def kill(self, node: NodeName) -> None:
        pid = (await self.driver.observe())[node].pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)

    async def lose_data(self, node: NodeName) -> None:
        await self.driver.fence(node)
        shutil.rmtree(self.paths.node(node))

    async def pass_time(self) -> None:
        await asyncio.sleep(0.02)


@asynccontextmanager
async def opened(kind: str, work_dir: Path) -> AsyncIterator[Cluster]:
    cluster: Cluster = CaseInMemory() if kind == "memory" else CaseOnServers(work_dir)
    await cluster.driver.open()
    try:
        yield cluster
    finally:
        for name in MEMBERS:
            await cluster.driver.stop(name, grace_period_s=5.0)
        await cluster.driver.close()


async def until(cluster: Cluster, holds: Callable[[Nodes], bool]) -> Nodes:
    nodes: Nodes = {}
    for _ in range(1000):
        nodes = await cluster.driver.observe()
        if holds(nodes):
            return nodes
        await cluster.pass_time()
    raise AssertionError(f"does not come to pass: {nodes}")


async def streaming(cluster: Cluster) -> Nodes:
    """A new cluster with its primary and two standbys streaming."""
    driver = cluster.driver
    await driver.create()
    await driver.start_primary("a")
    await until(cluster, lambda nodes: nodes["a"].in_recovery is False)
    await driver.prepare("a")
    for name in ("b", "c"):
        await driver.start_standby(name, "a")
    return await until(cluster, lambda nodes: nodes["b"].is_streaming and nodes["c"].is_streaming)


async def failed_over(cluster: Cluster) -> Nodes:
    """The same after a was killed and fenced, b promoted, and c led to it."""
    driver = cluster.driver
    await streaming(cluster)
    await cluster.write("a")
    await cluster.kill("a")
    await driver.fence("a")
    await driver.quiesce("b")
    await driver.quiesce("c")
    await until(cluster, lambda nodes: nodes["b"].is_quiet and nodes["c"].is_quiet)
    await driver.promote("b")
    await until(cluster, lambda nodes: nodes["b"].in_recovery is False)
    await driver.keep_history("b")
    await driver.follow("c", "b")
    return await until(cluster, lambda nodes: nodes["c"].is_streaming and nodes["c"].upstream == "b")


async def created_nodes_exist_and_do_not_run(cluster: Cluster) -> None:
    assert (await cluster.driver.create()).isdigit()
    nodes = await cluster.driver.observe()
    assert all(node.exists and not node.is_running for node in nodes.values())


async def standbys_are_counted_under_their_own_names(cluster: Cluster) -> None:
    await streaming(cluster)
    nodes = await until(cluster, lambda nodes: len(nodes["a"].followers) == 2)
    assert {(f.name, f.state, f.sync_state) for f in nodes["a"].followers} == {
        ("b", "streaming", "quorum"),
        ("c", "streaming", "quorum"),
    }


async def starting_again_changes_nothing(cluster: Cluster) -> None:
    before = await streaming(cluster)
    await cluster.driver.start_primary("a")
    await cluster.driver.start_standby("b", "a")
    after = await cluster.driver.observe()
    assert [before[name].process_key for name in MEMBERS] == [after[name].process_key for name in MEMBERS]


async def quiesced_standby_stands_still_while_its_primary_goes_on(cluster: Cluster) -> None:
    await streaming(cluster)
    await cluster.driver.quiesce("b")
    nodes = await until(cluster, lambda nodes: nodes["b"].is_quiet)
    still = nodes["b"].position
    for _ in range(5):
        await cluster.write("a")
        await cluster.pass_time()
    nodes = await until(cluster, lambda nodes: nodes["c"].position == nodes["a"].position)
    assert nodes["b"].position == still
    assert nodes["b"].upstream is None
    assert not nodes["b"].is_streaming


async def promotion_begins_a_timeline_that_contains_the_old_one(cluster: Cluster) -> None:
    nodes = await failed_over(cluster)
    position = nodes["b"].position
    assert position is not None
    assert position.timeline == 2
    assert [fork.timeline for fork in position.forks] == [1]
    assert nodes["b"].is_history_kept
    assert nodes["b"].opening_lsn is not None
    await cluster.driver.promote("b")
    again = (await cluster.driver.observe())["b"].position
    assert again is not None
    assert again.timeline == 2, "promoting again changes nothing"


async def fenced_node_is_proved_dead_and_stays_so(cluster: Cluster) -> None:
    await streaming(cluster)
    for _ in range(2):
        await cluster.driver.fence("a")
        node = (await cluster.driver.observe())["a"]
        assert node.is_proved_dead
        assert not node.is_running
        assert node.exists


async def timeline_of_a_lost_promotion_is_not_taken_again(cluster: Cluster) -> None:
    driver = cluster.driver
    await streaming(cluster)
    await driver.fence("a")
    await driver.quiesce("b")
    await driver.quiesce("c")
    await until(cluster, lambda nodes: nodes["b"].is_quiet and nodes["c"].is_quiet)
    await driver.promote("b")
    await driver.fence("b")  # it dies before anyone kept its history
    await driver.promote("c")
    nodes = await until(cluster, lambda nodes: nodes["c"].in_recovery is False)
    position = nodes["c"].position
    assert position is not None
    assert position.timeline == 3


async def rewound_primary_follows_its_successor(cluster: Cluster) -> None:
    await failed_over(cluster)
    await cluster.write("b")
    cluster.driver.rejoin("a", "b", 2)
    assert (await cluster.driver.observe())["a"].operation == "rewind"
    nodes = await until(cluster, lambda nodes: not nodes["a"].operation)
    assert nodes["a"].restored_generation == 2
    await cluster.driver.start_standby("a", "b")
    await until(cluster, lambda nodes: nodes["a"].is_streaming and nodes["a"].position == nodes["b"].position)
    await until(cluster, lambda nodes: {f.name for f in nodes["b"].followers} == {"a", "c"})


async def node_without_data_is_cloned(cluster: Cluster) -> None:
    await streaming(cluster)
    await cluster.lose_data("c")
    assert not (await cluster.driver.observe())["c"].exists
    cluster.driver.clone("c", "a", 1)
    nodes = await until(cluster, lambda nodes: not nodes["c"].operation)
    assert nodes["c"].exists
    assert nodes["c"].restored_generation == 1
    await cluster.driver.start_standby("c", "a")
    await until(cluster, lambda nodes: nodes["c"].is_streaming)


async def clone_of_a_dead_primary_fails_and_leaves_what_was_there(cluster: Cluster) -> None:
    await streaming(cluster)
    await cluster.driver.fence("b")
    await cluster.driver.fence("a")
    cluster.driver.clone("b", "a", 1)
    nodes = await until(cluster, lambda nodes: not nodes["b"].operation)
    assert nodes["b"].exists
    assert nodes["b"].failures == 1
    assert nodes["b"].restored_generation == 0


async def successor_adopts_what_runs(cluster: Cluster) -> None:
    before = await streaming(cluster)
    await cluster.driver.close()
    cluster.driver = cluster.successor()
    await cluster.driver.open()
    after = await until(cluster, lambda nodes: all(node.answers for node in nodes.values()))
    assert [before[name].process_key for name in MEMBERS] == [after[name].process_key for name in MEMBERS]
    assert after["b"].is_streaming


CASES: tuple[Callable[[Cluster], Awaitable[None]], ...] = (
    created_nodes_exist_and_do_not_run,
    standbys_are_counted_under_their_own_names,
    starting_again_changes_nothing,
    quiesced_standby_stands_still_while_its_primary_goes_on,
    promotion_begins_a_timeline_that_contains_the_old_one,
    fenced_node_is_proved_dead_and_stays_so,
    timeline_of_a_lost_promotion_is_not_taken_again,
    rewound_primary_follows_its_successor,
    node_without_data_is_cloned,
    clone_of_a_dead_primary_fails_and_leaves_what_was_there,
    successor_adopts_what_runs,
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_in_memory(case: Callable[[Cluster], Awaitable[None]], tmp_path: Path) -> None:
    run(case, "memory", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_on_servers(case: Callable[[Cluster], Awaitable[None]], work_dir: Path) -> None:
    run(case, "servers", work_dir)


def run(case: Callable[[Cluster], Awaitable[None]], kind: str, work_dir: Path) -> None:
    async def body() -> None:
        async with opened(kind, work_dir) as cluster:
            await case(cluster)

    asyncio.run(body())
