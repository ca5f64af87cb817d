"""Small servers on loopback that behave as a test wants, and load on them."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from colonnade.drill.load.arrivals import Arrivals
from colonnade.drill.load.history import History
from colonnade.drill.load.ledger import Outcome
from colonnade.drill.load.plan import Plan
from colonnade.drill.load.runner import run_load
from colonnade.drill.load.target import Target, resolve_target
from colonnade.drill.load.workload import BLOG, reads_of

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Served-By: backend/1\r\n\r\nok"
READS = reads_of(["/"])


@dataclass
class Peer:
    """One accepted connection, as the servers below see it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def request(self) -> tuple[str, bytes] | None:
        """Method with path, and body, of the next request; None once the client has closed."""
        try:
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        length = head.partition("Content-Length: ")[2].partition("\r\n")[0]
        return head.partition(" HTTP/")[0], await self.reader.readexactly(int(length or 0))

    def reset(self) -> None:
        """End the connection with RST instead of FIN."""
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.close()


Behaviour = Callable[[Peer], Awaitable[None]]


@asynccontextmanager
async def serving(behave: Behaviour) -> AsyncIterator[Target]:
    """A server on a free loopback port whose every connection is handled by `behave`."""
    connections: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connections.add(task)
        try:
            await behave(Peer(reader, writer))
        finally:
            writer.close()
            connections.discard(task)

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield await resolve_target(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    finally:
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


async def answer_ok(peer: Peer) -> None:
    while await peer.request() is not None:
        peer.writer.write(OK)


def plan(rate_per_s: float = 100, duration_s: float = 1.0, write_share: float = 0.0) -> Plan:
    return Plan(
        url="http://127.0.0.1:1",
        rate_per_s=rate_per_s,
        duration_s=duration_s,
        run_id="run",
        write_share=write_share,
        arrivals=Arrivals.CONSTANT,
        workload=BLOG if write_share else READS,
        timeout_s=3.0,
    )


def load(behave: Behaviour, planned: Plan) -> History:
    async def main() -> History:
        async with serving(behave) as target:
            return await run_load(planned, target)

    return asyncio.run(main())


def errors(history: History) -> set[str | None]:
    return {operation.error for operation in history.operations}


def outcomes(history: History) -> set[Outcome]:
    return {operation.outcome for operation in history.operations}
