"""Servers that are found in the DNS: HAProxy itself, with a name server of the test's, while containers come and go.

Each "pod" is an address of its own on loopback, with the agent that the image's entry program has. The names change as
a headless Service's do: ready pods are in them, and one that leaves is out before it is stopped.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
from tests.e2e.gateway.client import Connection, Load, Request
from tests.e2e.gateway.kit import environment, eventually, service, wait_for_port
from tests.e2e.gateway.server import Replica

from colonnade.gateway.config import GatewaySettings
from colonnade.gateway.discovered import CONNECT_TIMEOUT_S, discovered_gateway, found_pool
from colonnade.gateway.process import find_binary
from colonnade.gateway.state import Discovery, NamedServers
from colonnade.gateway.text import ProcessText
from colonnade.spec.model import GatewaySpec

pytestmark = pytest.mark.slow

FreePort = Callable[[], int]

NAME = "web-pods.shop.svc.cluster.local"
DRAIN_S = 0.7
"""As the entry program waits after it has said `drain`: three questions of the gateway."""


@dataclass
class Names(asyncio.DatagramProtocol):
    """A name server that knows one name (A records; RFC 1035)."""

    addresses: list[str] = field(default_factory=list)
    transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str | int, int]) -> None:
        end = data.index(b"\0", 12) + 5
        question = data[12:end]
        is_a = question[-4:-2] == b"\0\x01"
        records = b"".join(
            b"\xc0\x0c\0\x01\0\x01\0\0\0\x05\0\x04" + bytes(int(part) for part in address.split("."))
            for address in (self.addresses if is_a else [])
        )
        count = len(records) // 16
        head = data[:2] + b"\x84\0\0\x01" + count.to_bytes(2, "big") + b"\0\0\0\0"
        assert self.transport is not None
        self.transport.sendto(head + question + records, addr)


@dataclass
class Pod:
    address: str
    replica: Replica
    server: asyncio.Server
    agent: asyncio.Server
    says: bytes = b"ready\n"
    connections: set[asyncio.StreamWriter] = field(default_factory=set)

    def hang_up(self) -> None:
        for writer in self.connections:
            writer.transport.abort()

    async def leave(self, names: Names, *, dns_lag_s: float) -> None:
        """As Kubernetes and the entry program do: out of the names, `drain`, then no new connection, then the end.
        With a lag the name still has it when it is gone."""
        if dns_lag_s == 0:
            names.addresses.remove(self.address)
        self.says = b"drain\n"
        await asyncio.sleep(DRAIN_S)
        self.server.close()
        self.agent.close()
        await eventually(lambda: self.replica.in_flight == 0)
        self.hang_up()
        if dns_lag_s:
            await asyncio.sleep(dns_lag_s)
            names.addresses.remove(self.address)

    def kill(self) -> None:
        """Without a word: what it has begun is cut off."""
        for server in (self.server, self.agent):
            server.close()
        self.hang_up()


@dataclass
class Cluster:
    names: Names
    port: int
    http: int
    agent: int
    process: asyncio.subprocess.Process
    pods: dict[int, Pod] = field(default_factory=dict)

    async def add(self, number: int) -> Pod:
        address = f"127.77.0.{number}"
        replica = Replica(f"pod-{number}")

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            pod.connections.add(writer)
            await replica.serve(reader, writer)
            pod.connections.discard(writer)

        async def tell(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(pod.says)
            writer.close()

        server = await asyncio.start_server(serve, address, self.http)
        pod = Pod(address, replica, server, await asyncio.start_server(tell, address, self.agent))
        self.pods[number] = pod
        self.names.addresses.append(address)
        return pod


def read(_: int) -> Request:
    return Request()


def mixed(number: int) -> Request:
    """Every other one must not be sent twice."""
    return Request("POST", "/sleep/20", body=b"x" * 100) if number % 2 else Request(path="/sleep/20")


@asynccontextmanager
async def cluster(work_dir: Path, ports: list[int]) -> AsyncIterator[Cluster]:
    port, http, agent = ports
    loop = asyncio.get_running_loop()
    transport, names = await loop.create_datagram_endpoint(Names, local_addr=("127.0.0.1", 0))
    nameserver = "{}:{}".format(*transport.get_extra_info("sockname"))
    web = service(threads=8, stop_timeout="2s")
    discovery = Discovery((NamedServers(NAME, http, 16),), agent_port=agent)
    settings = GatewaySettings(
        GatewaySpec(),
        {"web": web},
        ProcessText(work_dir / "haproxy.sock", 1000, close_spread="infinite", old_process_s=10),
        connect_timeout_s=CONNECT_TIMEOUT_S,
    )
    pool = found_pool("web", web, discovery)
    config = work_dir / "haproxy.cfg"
    config.write_text(discovered_gateway(settings, [pool], {"public": f"127.0.0.1:{port}"}, nameservers=[nameserver]))
    log = (work_dir / "haproxy.log").open("wb")
    command = [find_binary(os.environ), "-db", "-f", str(config)]
    process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log, env=environment(work_dir))
    found = Cluster(names, port, http, agent, process)
    try:
        for number in (1, 2, 3):
            await found.add(number)
        await wait_for_port(f"127.0.0.1:{port}")
        async with Load(port, read, workers=4, pause_s=0.02):
            await eventually(lambda: all(pod.replica.served for pod in found.pods.values()))
        yield found
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        log.close()
        for pod in found.pods.values():
            pod.kill()
        transport.close()


@pytest.fixture
def ports(free_port: FreePort) -> list[int]:
    return [free_port(), free_port(), free_port()]


@pytest.mark.parametrize("dns_lag_s", [0.0, 1.0], ids=["names at once", "names late"])
def test_a_rollout_and_a_scaling_lose_nothing_not_even_writes_that_cannot_be_repeated(
    work_dir: Path, ports: list[int], dns_lag_s: float
) -> None:
    async def story() -> None:
        async with cluster(work_dir, ports) as found, Load(found.port, mixed, workers=6) as load:
            for old, new in ((1, 4), (2, 5), (3, 6)):
                pod = await found.add(new)
                await eventually(lambda pod=pod: pod.replica.served > 0)  # type: ignore[misc]
                await found.pods.pop(old).leave(found.names, dns_lag_s=dns_lag_s)
            await found.add(7)
            await eventually(lambda: found.pods[7].replica.served > 0)
            await found.pods.pop(7).leave(found.names, dns_lag_s=dns_lag_s)
            left = len(load.outcomes)
            await eventually(lambda: len(load.outcomes) > left + 40)
            outcomes = await load.finish()
            assert load.failed == []
            assert len(outcomes) > 100
            assert {outcome.replica.split()[0] for outcome in outcomes[-20:]} <= {"pod-4", "pod-5", "pod-6"}

    asyncio.run(story())


def test_a_gateway_that_leaves_answers_who_is_connected_and_says_that_it_goes(work_dir: Path, ports: list[int]) -> None:
    """After it is out of its Service nobody new comes; who has a connection open may still be about to use it."""

    async def story() -> None:
        async with cluster(work_dir, ports) as found:
            connections = [Connection(found.port) for _ in range(8)]
            for connection in connections:
                assert (await connection.send(Request())).status == 200
            found.process.send_signal(signal.SIGUSR1)
            # Longer than the two seconds in which a gateway on one machine closes idle connections.
            await asyncio.sleep(2.5)
            answers = [await connection.send(Request("POST", body=b"x")) for connection in connections]
            assert {(answer.status, answer.headers.get("connection")) for answer in answers} == {(200, "close")}
            await asyncio.wait_for(found.process.wait(), 10)

    asyncio.run(story())


def test_a_killed_pod_costs_no_read_though_the_names_still_have_it(work_dir: Path, ports: list[int]) -> None:
    async def story() -> None:
        async with cluster(work_dir, ports) as found, Load(found.port, read, workers=6, pause_s=0.005) as load:
            await eventually(lambda: load.in_flight > 0)
            found.pods.pop(2).kill()
            asked = len(load.outcomes)
            await eventually(lambda: len(load.outcomes) > asked + 300)
            await load.finish()
            assert load.failed == []

    asyncio.run(story())


def test_names_that_are_silent_take_nobody_out(work_dir: Path, ports: list[int]) -> None:
    async def story() -> None:
        async with cluster(work_dir, ports) as found:
            assert found.names.transport is not None
            found.names.transport.close()
            await asyncio.sleep(2.5)
            async with Load(found.port, read, workers=3, count=60) as load:
                await load.finish()
            assert load.failed == []

    asyncio.run(story())
