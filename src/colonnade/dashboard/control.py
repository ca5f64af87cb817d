"""Asking the controller, on the one connection that this process has to it.

A few lines of HTTP by hand, for a server that is ours: a client for the whole web, in a thread, took a quarter of all
that this process costs at rest.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from colonnade.core.errors import DriverError, DriverUnavailable

ANSWER_TIMEOUT_S = 10.0
"""A controller that is alive answers within milliseconds; one that is stopped or swapped out does not."""

LENGTH = b"content-length:"


class Control:
    """One connection, opened when it is needed and kept. Questions wait for each other: who asks something that takes
    long has a Control of its own."""

    def __init__(self, path: Path, timeout_s: float = ANSWER_TIMEOUT_S) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._turn = asyncio.Lock()

    async def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The answer. Raises DriverUnavailable while nobody answers, DriverError with the controller's own words (and
        its exit code) when it refuses."""
        async with self._turn:
            status, answer = await self._ask(method, path, body)
        if status >= 400:
            error = DriverError(
                answer.get("error", "refused"), hint=answer.get("hint", ""), subject=answer.get("subject", "")
            )
            error.exit_code = int(answer.get("exit_code", 1))
            raise error
        return answer

    async def _ask(self, method: str, path: str, body: dict[str, Any] | None) -> tuple[int, dict[str, Any]]:
        try:
            async with asyncio.timeout(self._timeout_s):
                status, raw = await self._exchange(_question(method, path, body))
            return status, _read(raw)
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
            self.close()
            raise DriverUnavailable(
                f"the controller did not answer ({str(error) or type(error).__name__})",
                subject=str(self._path),
                hint="it restarts by itself: try again in a second",
            ) from error
        except BaseException:
            self.close()  # who is cancelled here leaves an answer behind that is nobody else's
            raise

    async def _exchange(self, question: bytes) -> tuple[int, bytes]:
        """Status and body. Whatever the controller says has a length."""
        if self._connection is None:
            self._connection = await asyncio.open_unix_connection(self._path)
        reader, writer = self._connection
        writer.write(question)
        first, *headers = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
        length = next((int(line[len(LENGTH) :]) for line in headers if line.startswith(LENGTH)), None)
        if length is None:
            raise ValueError("an answer without a length")
        return int(first.split(b" ")[1]), await reader.readexactly(length)

    def close(self) -> None:
        """Whoever still waits for an answer gets the end of the connection instead."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection[1].transport.abort()


def _question(method: str, path: str, body: dict[str, Any] | None) -> bytes:
    if not all("!" <= sign <= "~" for sign in path):
        raise ValueError(f"{path!r} is no path")  # and might be a second question
    content = json.dumps(body).encode() if body is not None else b""
    head = f"{method} {path} HTTP/1.1\r\nHost: colonnade\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


def _read(raw: bytes) -> dict[str, Any]:
    """Without halves of characters, as the name of a file may hold them: neither SQLite nor UTF-8 has them, and one
    event with such a name would keep the page and the history from working for as long as it is remembered."""
    value: dict[str, Any] = json.loads(raw)
    if b"\\ud" in raw:
        value = json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace"))
    return value
