"""The process of the links and its client: a real child, told over its pipes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from colonnade.core.files import read_json
from colonnade.drill.links.client import Links, open_links
from colonnade.drill.links.rule import CUT, LinkRule
from colonnade.system.detours import Detours, port_file

NAMES = (("gateway", "web-1"), ("a", "b"))
LONG_S = 10.0


def play(directory: Path, case: Callable[[Links, Detours], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with open_links(directory, NAMES, 1) as links:
            await case(links, Detours(directory))

    asyncio.run(whole())


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(100):
        writer.write(data)
    writer.close()


async def says(writer: asyncio.StreamWriter, reader: asyncio.StreamReader, data: bytes, within_s: float) -> bytes:
    writer.write(data)
    async with asyncio.timeout(within_s):
        return await reader.readexactly(len(data))


@pytest.mark.slow
def test_a_way_leads_over_its_link_and_faults_on_it_overlap(work_dir: Path) -> None:
    async def case(links: Links, detours: Detours) -> None:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        place = detours.through("a", "b", server.sockets[0].getsockname()[:2])
        reader, writer = await asyncio.open_connection(*place)
        assert await says(writer, reader, b"x", LONG_S) == b"x"
        assert await links.connections_count([("a", "b")]) == 1
        first = await links.put([("a", "b")], CUT)
        second = await links.put(NAMES, LinkRule(delay_s=0.01))
        with pytest.raises(TimeoutError):
            await says(writer, reader, b"y", 0.05)
        await links.lift(first)
        assert await reader.readexactly(1) == b"y"
        await links.lift(second)
        await links.lift(second)
        assert await says(writer, reader, b"z", LONG_S) == b"z"
        assert await links.reset([("a", "b")]) == 1
        with pytest.raises(ConnectionResetError):
            await reader.read(1)
        writer.close()
        server.close()

    play(work_dir, case)


@pytest.mark.slow
def test_an_order_that_was_interrupted_does_not_put_answers_out_of_step(work_dir: Path) -> None:
    async def case(links: Links, _detours: Detours) -> None:
        for _ in range(3):
            order = asyncio.create_task(links.reset(NAMES))
            await asyncio.sleep(0)
            order.cancel()
            await asyncio.gather(order, return_exceptions=True)
        assert await links.connections_count(NAMES) == 0
        await links.put(NAMES, CUT)

    play(work_dir, case)


@pytest.mark.slow
def test_the_process_ends_with_who_holds_its_input_and_takes_its_ports_along(work_dir: Path) -> None:
    async def whole() -> None:
        async with open_links(work_dir, NAMES, 1):
            assert read_json(port_file(work_dir, "a", "b"))
        assert not port_file(work_dir, "a", "b").exists()

    asyncio.run(whole())
    assert os.listdir(work_dir) == []
