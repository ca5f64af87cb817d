"""The Runtime API of a live HAProxy: commands on its admin socket. What it answers is read by `answers.py`.

One connection per call; several commands in one line, each answered in turn. Nothing here decides. A socket that does
not answer is `DriverUnavailable` (HAProxy may be just restarting), an answer that is a refusal is `DriverError`.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from pathlib import Path

from colonnade.core.errors import DriverError, DriverUnavailable
from colonnade.gateway.answers import is_success, parse_look, sessions_in, split_replies
from colonnade.gateway.state import ObservedGateway

REPLY_TIMEOUT_S = 2.0
"""An idle HAProxy answers within 1 ms, on a busy machine within 50."""

REPLY_BYTES_MAX = 8 * 1024 * 1024
"""`show stat` has about 600 bytes a server."""

PIECE_BYTES = 256 * 1024
"""Read at once: all of an answer, but for some hundreds of replicas."""

COMMANDS_PER_CALL_MAX = 64
"""One line must fit into HAProxy's buffer."""

_LOOK = "show info; show servers state; show stat -1 7 -1"
_BUT_EMPTY = " no-maint"
"""Most slots are empty, which is in maintenance, and their lines are most of the answer."""


class RuntimeApi:
    """Talks to whichever process answers on `socket`; `observe` tells which one that is."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    async def observe(self, tables: Sequence[str] = (), *, with_empty: bool = False) -> ObservedGateway:
        """One look at everything; `tables` are those in which latencies are counted. One that is not there yet is
        taken for empty. What an empty slot still has in flight is 0 unless it is asked for."""
        counted = [f"show table {table}" for table in tables]
        seen = None if with_empty else parse_look(await self._ask("; ".join([_LOOK + _BUT_EMPTY, *counted])))
        # A slot that finishes what it has in maintenance is left out with the empty ones: then all are asked for.
        return seen or _complete(parse_look(await self._ask("; ".join([_LOOK, *counted]))))

    async def sessions_of(self, backend: str, server: str) -> int:
        """Requests that this server has in flight or in its own queue."""
        reply = await self._ask(f"show stat {backend} 4 -1")
        sessions = sessions_in(reply, server)
        if sessions is None:
            raise DriverError(
                "HAProxy has no such server", subject=f"{backend}/{server}", hint="report this: text and state differ"
            )
        return sessions

    async def command(self, commands: Sequence[str]) -> None:
        """Carry out commands that have nothing to say when all is well; in order, all of them even when one fails.
        Raises DriverError with the first refusal."""
        for start in range(0, len(commands), COMMANDS_PER_CALL_MAX):
            batch = commands[start : start + COMMANDS_PER_CALL_MAX]
            replies = split_replies(await self._ask("; ".join(batch)))
            for command, reply in zip(batch, replies, strict=False):
                if not is_success(reply):
                    raise DriverError(
                        f"HAProxy refused `{command}`: {reply.splitlines()[0]}",
                        subject=str(self._socket),
                        hint="see its log with `colonnade logs gateway`",
                    )
            if len(replies) < len(batch):
                raise DriverUnavailable(
                    f"HAProxy answered {len(replies)} of {len(batch)} commands",
                    subject=str(self._socket),
                    hint="it probably ended meanwhile; it is restarted by itself",
                )

    async def _ask(self, line: str) -> str:
        try:
            async with asyncio.timeout(REPLY_TIMEOUT_S):
                return await self._exchange(line.encode() + b"\n")
        except (OSError, TimeoutError) as error:
            raise DriverUnavailable(
                f"HAProxy does not answer on its admin socket ({type(error).__name__})",
                subject=str(self._socket),
                hint="it may be restarting; see `colonnade logs gateway`",
            ) from error

    async def _exchange(self, line: bytes) -> str:
        """On the bare socket: asyncio's streams take a third of a look's time."""
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.setblocking(False)
            await loop.sock_connect(connection, str(self._socket))
            await loop.sock_sendall(connection, line)
            reply = bytearray()
            while piece := await loop.sock_recv(connection, PIECE_BYTES):
                reply += piece
                if len(reply) > REPLY_BYTES_MAX:
                    raise OSError("the answer does not end")
            return reply.decode(errors="replace")


def _complete(seen: ObservedGateway | None) -> ObservedGateway:
    if seen is None:
        raise DriverError("HAProxy leaves out servers that it has", hint="see its log with `colonnade logs gateway`")
    return seen
