"""A proxy between nodes: what one sends the other can be delayed, or cut in both directions."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from functools import partial

from colonnade.database.state import Address, NodeName


@dataclass
class Link:
    """One way, from a node to one that it follows."""

    delay_s: float = 0.0
    is_cut: bool = False
    port: int = 0
    upstream: Address | None = None
    server: asyncio.Server | None = None
    writers: set[asyncio.StreamWriter] = field(default_factory=set)

    def cut(self) -> None:
        self.is_cut = True
        for writer in self.writers:
            writer.transport.abort()

    def heal(self) -> None:
        self.is_cut = False


class LinkMap:
    """`Links` for the driver. Ports are taken before the loop runs, servers are opened by `open`."""

    def __init__(self, names: str = "abc") -> None:
        self._links = {(who, whom): Link() for who in names for whom in names if who != whom}

    def __getitem__(self, pair: tuple[NodeName, NodeName]) -> Link:
        return self._links[pair]

    def all_to(self, whom: NodeName) -> list[Link]:
        return [link for (_, to), link in self._links.items() if to == whom]

    def __call__(self, who: NodeName, whom: NodeName, address: Address) -> Address:
        link = self._links[who, whom]
        link.upstream = address
        return Address("127.0.0.1", link.port)

    async def open(self) -> None:
        for link in self._links.values():
            link.server = await asyncio.start_server(partial(_forward, link), "127.0.0.1", 0)
            link.port = link.server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        for link in self._links.values():
            link.cut()
            if link.server is not None:
                link.server.close()
        await asyncio.sleep(0)


async def _forward(link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    if link.is_cut or link.upstream is None:
        writer.transport.abort()
        return
    try:
        answers, onward = await asyncio.open_connection(link.upstream.host, link.upstream.port)
    except OSError:
        writer.transport.abort()
        return
    link.writers |= {writer, onward}
    try:
        await asyncio.gather(_pump(link, reader, onward, 0.0), _pump(link, answers, writer, link.delay_s))
    finally:
        for each in (writer, onward):
            each.transport.abort()
            link.writers.discard(each)


async def _pump(link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_s: float) -> None:
    """Bytes arrive in their order, each `delay_s` after it was sent."""
    waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    async def deliver() -> None:
        with contextlib.suppress(OSError):
            while True:
                at_s, data = await waiting.get()
                await asyncio.sleep(max(0.0, at_s - loop.time()))
                writer.write(data)
                await writer.drain()

    delivery = asyncio.create_task(deliver())
    try:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                waiting.put_nowait((loop.time() + delay_s, data))
    finally:
        delivery.cancel()
        await asyncio.gather(delivery, return_exceptions=True)
        writer.transport.abort()
