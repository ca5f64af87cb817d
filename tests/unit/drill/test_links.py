"""Links on real sockets: each rule is seen from outside, by who connects and by who is reached."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random

import pytest

from colonnade.core.ports import is_free
from colonnade.drill.links.link import Link
from colonnade.drill.links.rule import CLEAR, CUT, LinkRule

SOON_S = 0.05
"""For what does not come. Long on loopback, where everything comes within a millisecond."""

LONG_S = 5.0
"""For what comes; longer than any busy machine takes."""


@dataclass
class Echo:
    """A server that sends back what it gets, and knows who is connected."""

    port: int = 0
    received: bytearray = field(default_factory=bytearray)
    resets: int = 0
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    server: asyncio.Server | None = None

    async def open(self, port: int = 0) -> None:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.port = self.server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self.server is not None:
            self.server.close()
        for writer in self.writers:
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        try:
            while data := await reader.read(65536):
                self.received += data
                writer.write(data)
                await writer.drain()
        except ConnectionResetError:
            self.resets += 1
        finally:
            writer.close()


@dataclass
class Peer:
    """Who connects over the link."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def says(self, data: bytes) -> bytes:
        self.writer.write(data)
        return await self.hears(len(data))

    async def hears(self, size: int) -> bytes:
        async with asyncio.timeout(LONG_S):
            return await self.reader.readexactly(size)

    async def hears_nothing(self) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SOON_S):
                await self.reader.read(1)

    async def is_reset(self) -> None:
        with pytest.raises(ConnectionResetError):
            async with asyncio.timeout(LONG_S):
                await self.reader.read(1)


@dataclass
class Stage:
    link: Link
    echo: Echo
    peers: list[Peer] = field(default_factory=list)

    async def connect(self) -> Peer:
        async with asyncio.timeout(LONG_S):
            peer = Peer(*await asyncio.open_connection("127.0.0.1", self.link.port))
        self.peers.append(peer)
        return peer

    async def meets_silence(self) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SOON_S):
                await self.connect()

    async def is_refused(self) -> None:
        with pytest.raises(ConnectionRefusedError):
            await self.connect()


@asynccontextmanager
async def on_stage() -> AsyncIterator[Stage]:
    echo = Echo()
    await echo.open()
    link = Link(lambda: ("127.0.0.1", echo.port) if echo.port else None, Random(1))
    stage = Stage(link, echo)
    try:
        yield stage
    finally:
        for peer in stage.peers:
            peer.writer.transport.abort()
        await link.close()
        await echo.close()


def play(case: Callable[[Stage], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with on_stage() as stage:
            await case(stage)

    asyncio.run(whole())


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LONG_S):
        while not condition():  # noqa: ASYNC110 — what is waited for happens in the kernel
            await asyncio.sleep(0.001)


def test_a_clear_link_passes_everything_in_order() -> None:
    async def case(stage: Stage) -> None:
        peer = await stage.connect()
        sent = bytes(range(256)) * 8_000  # more than any buffer on the way
        heard = asyncio.create_task(peer.hears(len(sent)))
        peer.writer.write(sent)
        assert await heard == sent
        assert stage.link.connections_count == 1

    play(case)


def test_a_closed_side_is_closed_at_the_other_after_the_last_byte() -> None:
    async def case(stage: Stage) -> None:
        peer = await stage.connect()
        stage.link.set(LinkRule(delay_s=0.02))
        peer.writer.write(b"last")
        peer.writer.write_eof()
        assert await peer.hears(4) == b"last"
        assert await peer.reader.read() == b""
        await until(lambda: stage.link.connections_count == 0)

    play(case)


def test_a_reset_side_resets_the_other() -> None:
    async def case(stage: Stage) -> None:
        peer = await stage.connect()
        await peer.says(b"x")
        stage.echo.writers[0].get_extra_info("socket").setsockopt(1, 13, b"\x01\0\0\0\0\0\0\0")  # SO_LINGER of 0 s
        stage.echo.writers[0].transport.abort()
        await peer.is_reset()
        assert stage.link.connections_count == 0

    play(case)


def test_last_words_to_one_that_has_closed_already_are_no_surprise() -> None:
    async def case(stage: Stage) -> None:
        surprises: list[dict[str, object]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: surprises.append(context))
        peer = await stage.connect()
        await peer.says(b"x")
        stage.echo.writers[0].close()
        assert await peer.reader.read() == b""
        stage.link.set(LinkRule(delay_s=0.02))
        peer.writer.write(b"good-bye")
        peer.writer.write_eof()
        await until(lambda: stage.link.connections_count == 0)
        assert surprises == []

    play(case)


def test_delay_is_felt_both_ways_and_gone_after_healing() -> None:
    async def case(stage: Stage) -> None:
        peer, loop = await stage.connect(), asyncio.get_running_loop()
        await peer.says(b"warm")
        stage.link.set(LinkRule(delay_s=0.03, jitter_s=0.01))
        began_s = loop.time()
        await peer.says(b"x")
        assert loop.time() - began_s >= 0.06
        stage.link.set(LinkRule(delay_s=30.0))
        peer.writer.write(b"y")
        await peer.hears_nothing()
        stage.link.set(CLEAR)
        assert await peer.hears(1) == b"y"

    play(case)


def test_jitter_does_not_reorder() -> None:
    async def case(stage: Stage) -> None:
        stage.link.set(LinkRule(jitter_s=0.01))
        peer, sent = await stage.connect(), bytes(range(64))
        for number in range(64):
            peer.writer.write(sent[number : number + 1])
            await asyncio.sleep(0)
        assert await peer.hears(64) == sent

    play(case)


def test_bandwidth_is_shared_by_the_connections_of_a_link() -> None:
    async def case(stage: Stage) -> None:
        first, second = await stage.connect(), await stage.connect()
        loop = asyncio.get_running_loop()
        stage.link.set(LinkRule(bytes_per_s=200_000))
        began_s = loop.time()
        await asyncio.gather(first.says(b"x" * 10_000), second.says(b"y" * 10_000))
        assert loop.time() - began_s >= 0.1

    play(case)


def test_what_waits_on_a_narrow_link_goes_by_the_next_rule() -> None:
    async def case(stage: Stage) -> None:
        peer = await stage.connect()
        for rule in (CLEAR, LinkRule(delay_s=0.01), LinkRule(bytes_per_s=1_000_000)):
            stage.link.set(LinkRule(bytes_per_s=1))
            peer.writer.write(b"x" * 100)
            await peer.hears_nothing()
            stage.link.set(rule)
            assert await peer.hears(100) == b"x" * 100

    play(case)


def test_what_is_lost_towards_arrives_after_healing_and_back_still_flows() -> None:
    async def case(stage: Stage) -> None:
        peer = await stage.connect()
        await peer.says(b"x")
        stage.link.set(LinkRule(loses_towards=True))
        stage.echo.writers[0].write(b"from there")
        assert await peer.hears(10) == b"from there"
        peer.writer.write(b"y")
        await peer.hears_nothing()
        assert stage.echo.received == b"x"
        await stage.meets_silence()
        stage.link.set(CLEAR)
        assert await peer.hears(1) == b"y"

    play(case)


def test_what_is_lost_back_was_heard_there() -> None:
    async def case(stage: Stage) -> None:
        peer = await stage.connect()
        await peer.says(b"x")
        stage.link.set(LinkRule(loses_back=True))
        peer.writer.write(b"y")
        await until(lambda: stage.echo.received == b"xy")
        await peer.hears_nothing()
        await stage.meets_silence()
        stage.link.set(CLEAR)
        assert await peer.hears(1) == b"y"

    play(case)


def test_a_cut_link_is_silent_and_goes_on_after_healing() -> None:
    async def case(stage: Stage) -> None:
        peer = await stage.connect()
        await peer.says(b"x")
        for _ in range(2):
            stage.link.set(CUT)
            peer.writer.write(b"y")
            await peer.hears_nothing()
            await stage.meets_silence()
            stage.link.set(CLEAR)
            assert await peer.hears(1) == b"y"
            assert await (await stage.connect()).says(b"new") == b"new"
        await until(lambda: stage.link.connections_count == 3)  # those that gave up, and our own plugs, are none

    play(case)


def test_a_refusing_link_keeps_its_port_and_its_connections() -> None:
    async def case(stage: Stage) -> None:
        peer, port = await stage.connect(), stage.link.port
        await peer.says(b"x")
        for _ in range(2):
            stage.link.set(LinkRule(is_refusing=True))
            await stage.is_refused()
            assert await peer.says(b"y") == b"y"
            assert not is_free("127.0.0.1", port)
            stage.link.set(CLEAR)
            assert await (await stage.connect()).says(b"new") == b"new"

    play(case)


def test_a_hanging_link_accepts_and_never_answers() -> None:
    async def case(stage: Stage) -> None:
        stage.link.set(LinkRule(is_hanging=True))
        peer = await stage.connect()
        peer.writer.write(b"x")
        await peer.hears_nothing()
        assert stage.echo.received == b""
        stage.link.set(CLEAR)
        assert await peer.hears(1) == b"x"

    play(case)


def test_reset_ends_every_connection_at_once_and_new_ones_come_in() -> None:
    async def case(stage: Stage) -> None:
        peers = [await stage.connect() for _ in range(3)]
        for peer in peers:
            await peer.says(b"x")
        assert stage.link.reset() == 3
        for peer in peers:
            await peer.is_reset()
        await until(lambda: stage.echo.resets == 3)
        assert await (await stage.connect()).says(b"new") == b"new"

    play(case)


REQUEST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"


def test_errors_are_answered_on_new_connections_and_on_idle_ones() -> None:
    async def case(stage: Stage) -> None:
        idle = await stage.connect()
        await idle.says(b"x")
        stage.link.set(LinkRule(http_error=502))
        for peer in (idle, await stage.connect()):
            peer.writer.write(REQUEST[:30])
            peer.writer.write(REQUEST[30:])
            async with asyncio.timeout(LONG_S):
                answer = await peer.reader.read()
            assert answer.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
            assert b"Connection: close" in answer
        assert stage.echo.received == b"x"
        stage.link.set(CLEAR)
        assert await (await stage.connect()).says(b"new") == b"new"

    play(case)


def test_a_request_in_flight_is_answered_by_its_server_although_errors_began() -> None:
    async def case(stage: Stage) -> None:
        peer = await stage.connect()
        stage.link.set(LinkRule(delay_s=0.02))
        peer.writer.write(b"asked")
        await until(lambda: stage.link.connections_count == 1)
        await asyncio.sleep(0.005)
        stage.link.set(LinkRule(delay_s=0.02, http_error=503))
        assert await peer.hears(5) == b"asked"

    play(case)


def test_a_link_to_nobody_refuses_until_somebody_is_there() -> None:
    async def case(stage: Stage) -> None:
        port = stage.echo.port
        await stage.echo.close()
        peer = await stage.connect()  # nobody knows yet
        await peer.is_reset()
        await stage.is_refused()
        await stage.echo.open(port)
        await until(lambda: stage.link.is_open)
        assert await (await stage.connect()).says(b"new") == b"new"

    play(case)


def test_the_death_of_who_had_connections_is_noticed_before_the_next_one() -> None:
    async def case(stage: Stage) -> None:
        peer = await stage.connect()
        await peer.says(b"x")
        await stage.echo.close()
        await until(lambda: not stage.link.is_open)
        await stage.is_refused()

    play(case)


def test_a_server_that_closes_a_connection_and_lives_is_no_dead_end() -> None:
    async def case(stage: Stage) -> None:
        peer = await stage.connect()
        await peer.says(b"x")
        stage.echo.writers[0].close()
        assert await peer.reader.read() == b""
        await until(lambda: len(stage.echo.writers) == 2)  # somebody looked
        assert stage.link.is_open
        assert await (await stage.connect()).says(b"new") == b"new"

    play(case)


def test_who_moved_is_found_at_the_next_connection() -> None:
    async def case(stage: Stage) -> None:
        peer, other = await stage.connect(), Echo()
        await peer.says(b"old")
        await other.open()
        stage.echo.port, there = other.port, stage.echo.port
        try:
            await (await stage.connect()).says(b"new")
            assert other.received == b"new"
            assert there != other.port
            assert await peer.says(b"old") == b"old"
        finally:
            await other.close()

    play(case)
