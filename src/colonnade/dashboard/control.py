"""Asking the controller, on the one connection that this process has to it. In a thread, so that nobody waits."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
from pathlib import Path
from typing import Any

from colonnade.core.errors import DriverError, DriverUnavailable

ANSWER_TIMEOUT_S = 10.0
"""A controller that is alive answers within milliseconds; one that is stopped or swapped out does not."""


class Control:
    """One connection, opened when it is needed and kept. Questions wait for each other: who asks something that takes
    long has a Control of its own."""

    def __init__(self, path: Path, timeout_s: float = ANSWER_TIMEOUT_S) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._connection: _UnixConnection | None = None
        self._turn = asyncio.Lock()

    async def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The answer. Raises DriverUnavailable while nobody answers, DriverError with the controller's own words (and
        its exit code) when it refuses."""
        async with self._turn:
            status, answer = await asyncio.to_thread(self._ask, method, path, body)
        if status >= 400:
            error = DriverError(
                answer.get("error", "refused"), hint=answer.get("hint", ""), subject=answer.get("subject", "")
            )
            error.exit_code = int(answer.get("exit_code", 1))
            raise error
        return answer

    def _ask(self, method: str, path: str, body: dict[str, Any] | None) -> tuple[int, dict[str, Any]]:
        if self._connection is None:
            self._connection = _UnixConnection(self._path, self._timeout_s)
        connection = self._connection
        try:
            content = json.dumps(body).encode() if body is not None else None
            connection.request(method, path, content, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            value = _read(answer.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            connection.close()
            self._connection = None
            raise DriverUnavailable(
                f"the controller did not answer ({error})",
                subject=str(self._path),
                hint="it restarts by itself: try again in a second",
            ) from error
        return answer.status, value

    def close(self) -> None:
        """Whoever still waits for an answer, in its thread, gets the end of the connection instead."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.shut()
            connection.close()


def _read(raw: bytes) -> dict[str, Any]:
    """Without halves of characters, as the name of a file may hold them: neither SQLite nor UTF-8 has them, and one
    event with such a name would keep the page and the history from working for as long as it is remembered."""
    value: dict[str, Any] = json.loads(raw)
    if b"\\ud" in raw:
        value = json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace"))
    return value


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("colonnade", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(str(self._path))
        except OSError:
            self.sock.close()
            raise

    def shut(self) -> None:
        """End both directions: closing alone wakes nobody who reads in another thread."""
        if self.sock is not None:
            with contextlib.suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)
