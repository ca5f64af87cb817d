"""A tiny HTTP server for the gateway's tests: on the standard library alone, as a process or inside a test's own loop.

What it does is in the path: `/sleep/MS`, `/hold` (until the test lets go), `/status/N`, `/headers` (echoes them),
`/write` (one line per request to the file in WRITES, then a pause), `/health/N` (sets what `/readyz` answers), `/ws`
(raw echo after an upgrade), `/sse/MS` (one event, and another after a pause), `/upload` (counts the body). Every answer
says who gave it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import socket
import sys
from dataclasses import dataclass, field


@dataclass
class Replica:
    """One server's state: its name, what its health page answers, how slow it is, what it has been asked."""

    name: str
    health_status: int = 200
    delay_s: float = 0.0
    writes_path: str = ""
    served: int = 0
    in_flight: int = 0
    in_flight_max: int = 0
    let_go: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        request_line, *lines = head.split("\r\n")
        method, path, _ = request_line.split(" ")
        headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines if line)]
        body = await read_body(reader, dict(headers))
        if path == "/readyz":
            await self._answer(writer, self.health_status, b"")
            return True
        self.served += 1
        self.in_flight += 1
        self.in_flight_max = max(self.in_flight, self.in_flight_max)
        try:
            return await self._act(method, path, headers, body, reader, writer)
        finally:
            self.in_flight -= 1

    async def _act(
        self,
        method: str,
        path: str,
        headers: list[tuple[str, str]],
        body: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        _, action, *rest = path.split("?")[0].split("/")
        number = int(rest[-1]) if rest and rest[-1].isdigit() else 0
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        status, content = 200, f"{self.name} {os.getpid()}".encode()
        match action:
            case "sleep":
                await asyncio.sleep(number / 1000)
            case "hold":
                await self.let_go.wait()
            case "status":
                status = number
            case "health":
                self.health_status = number
            case "headers":
                content = json.dumps(headers).encode()
            case "upload":
                content = str(len(body)).encode()
            case "write":
                note(self.writes_path, body)
                await asyncio.sleep(0.02)
            case "ws":
                await echo_raw(dict(headers)["sec-websocket-key"], reader, writer)
                return False
            case "sse":
                await stream_events(writer, number / 1000)
                return False
            case _:
                pass
        await self._answer(writer, status, content, is_head=method == "HEAD")
        return True

    async def _answer(
        self, writer: asyncio.StreamWriter, status: int, content: bytes, *, is_head: bool = False
    ) -> None:
        writer.write(
            f"HTTP/1.1 {status} X\r\nContent-Length: {len(content)}\r\nX-Replica: {self.name}\r\n\r\n".encode()
            + (b"" if is_head else content)
        )
        await writer.drain()


def note(path: str, line: bytes) -> None:
    """Append one line at once, whoever else appends."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, line + b"\n")
    os.close(descriptor)


async def read_body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
        return body
    return await reader.readexactly(int(headers.get("content-length", "0")))


async def echo_raw(key: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The handshake of RFC 6455 (HAProxy checks both sides of it), then bytes as they come."""
    accept = base64.b64encode(hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()).decode()  # noqa: S324
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        + f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
    )
    while data := await reader.read(1000):
        writer.write(data)
        await writer.drain()


async def stream_events(writer: asyncio.StreamWriter, pause_s: float) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\ndata: one\n\n")
    await writer.drain()
    await asyncio.sleep(pause_s)
    writer.write(b"data: two\n\n")
    await writer.drain()


async def main(port: int, name: str) -> None:
    replica = Replica(name, writes_path=os.environ.get("WRITES", ""))
    listener = socket.create_server(("127.0.0.1", port), backlog=128)
    server = await asyncio.start_server(replica.serve, sock=listener, limit=1 << 20)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
