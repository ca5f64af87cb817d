"""A plain HTTP client for the gateway's tests: one connection, no retries, nothing hidden; and a closed-loop load.

A connection that the other side closed while it idled is replaced before a request is sent on it: otherwise the
client would invent failures.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Response:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def replica(self) -> str:
        return self.headers.get("x-replica", "")


@dataclass(frozen=True)
class Request:
    method: str = "GET"
    path: str = "/"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def to_bytes(self) -> bytes:
        lines = [f"{self.method} {self.path} HTTP/1.1", "Host: test.example"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.body or self.method == "POST":
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + self.body


class Connection:
    """One keep-alive connection to a loopback port."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def send(self, request: Request) -> Response:
        if self._reader is None or self._writer is None or self._reader.at_eof():
            self.close()
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 20)
        self._writer.write(request.to_bytes())
        response = await read_response(self._reader, is_head=request.method == "HEAD")
        if response.headers.get("connection") == "close":
            self.close()
        return response

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


async def read_response(reader: asyncio.StreamReader, *, is_head: bool = False) -> Response:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    status_line, *lines = head.split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    length = 0 if is_head else int(headers.get("content-length", "0"))
    return Response(int(status_line.split(" ")[1]), headers, await reader.readexactly(length))


async def send(port: int, request: Request) -> Response:
    """One request on a connection of its own."""
    connection = Connection(port)
    try:
        return await connection.send(request)
    finally:
        connection.close()


async def get(port: int, path: str = "/", **headers: str) -> Response:
    return await send(port, Request(path=path, headers=tuple((k.replace("_", "-"), v) for k, v in headers.items())))


@dataclass(frozen=True)
class Outcome:
    """One request of a load: status 0 and an `error` when no whole answer came."""

    sent_at: float
    took_s: float
    status: int
    replica: str
    request: Request
    error: str = ""


@dataclass
class Load:
    """Closed loop: `workers` connections, each with one request at a time, until `stop` or `count` is reached."""

    port: int
    make: Callable[[int], Request]
    workers: int = 8
    count: int | None = None
    pause_s: float = 0.0
    outcomes: list[Outcome] = field(default_factory=list)
    in_flight: int = 0
    _sent: int = 0
    _is_stopping: bool = False
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def __aenter__(self) -> Load:
        self._tasks = [asyncio.create_task(self._work()) for _ in range(self.workers)]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.finish()

    async def run(self) -> list[Outcome]:
        """Until `count` is reached."""
        async with self:
            return await self.finish()

    async def finish(self) -> list[Outcome]:
        self._is_stopping = self.count is None
        await asyncio.gather(*self._tasks)
        return self.outcomes

    @property
    def failed(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.status != 200]

    async def _work(self) -> None:
        connection = Connection(self.port)
        while not self._is_stopping and (self.count is None or self._sent < self.count):
            request = self.make(self._sent)
            self._sent += 1
            self.outcomes.append(await self._one(connection, request))
            if self.pause_s:
                await asyncio.sleep(self.pause_s)
        connection.close()

    async def _one(self, connection: Connection, request: Request) -> Outcome:
        at = time.monotonic()
        self.in_flight += 1
        try:
            response = await connection.send(request)
        except (OSError, asyncio.IncompleteReadError) as error:
            connection.close()
            return Outcome(at, time.monotonic() - at, 0, "", request, repr(error))
        finally:
            self.in_flight -= 1
        return Outcome(at, time.monotonic() - at, response.status, response.replica, request)


def shares(outcomes: list[Outcome]) -> dict[str, float]:
    """Which part of the requests each replica answered."""
    names = [outcome.replica for outcome in outcomes]
    return {name: names.count(name) / len(names) for name in sorted(set(names))}
