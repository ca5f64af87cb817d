"""One connection over a link: who connected, whom they reach, and a pump for each direction.

The link's ends notice each other's closing as they would without it: an end of one direction is passed on after the
last byte, a lost connection resets the other side.
Read next: `link`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import cast

from colonnade.drill.links.pump import Pump
from colonnade.drill.links.rule import Direction, Lane, LinkRule

RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER with no time to linger: what is closed then is reset."""

HEAD_END = b"\r\n\r\n"
HEAD_BYTES_MAX = 64 * 1024
LINGER_S = 2.0
"""After an error was answered: the rest of the request may come yet, and closing at once would take back the answer."""


@dataclass(frozen=True, slots=True)
class Way:
    """What the connections of one link share."""

    rule: Callable[[], LinkRule]
    towards: Lane
    back: Lane
    far_closed: Callable[[], None]
    """Called when the other end closed a connection of its own accord: perhaps it is gone altogether."""


class Connection:
    """Made for an accepted socket; `on_end` is called once, when it is over."""

    def __init__(self, way: Way, on_end: Callable[[Connection], None]) -> None:
        self._rule = way.rule
        self._far_closed = way.far_closed
        self._on_end = on_end
        self._towards = Pump(Direction.TOWARDS, way.towards, way.rule, self._close_when_done)
        self._back = Pump(Direction.BACK, way.back, way.rule, self._close_when_done)
        self._near = _End(self._from_near, self._near_ended, self._back, self._lost)
        self._far = _End(self._from_far, self._far_ended, self._towards, self._lost)
        self._is_answer_awaited = False
        self._is_answering_errors = False
        self._head = b""
        self._is_over = False

    async def open(self, accepted: socket.socket) -> None:
        """Take over what was accepted. Reads nothing yet, but where errors are answered."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_accepted_socket(lambda: self._near, accepted)
        self._towards.source = self._back.sink = transport
        self._is_answering_errors = bool(self._rule().http_error)
        if not self._is_answering_errors:
            self._towards.flow()

    @property
    def needs_far(self) -> bool:
        return not self._is_answering_errors and not self._is_over

    async def reach(self, host: str, port: int) -> None:
        """Connect to the other end. Raises OSError when nobody listens there."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(lambda: self._far, host, port)
        if self._is_over:
            transport.abort()
            return
        self._back.source = self._towards.sink = transport
        self._towards.flow()
        self._back.flow()

    def change(self) -> None:
        """The rule is another one."""
        if self._is_answering_errors and not self._head and not self._rule().http_error:
            self.reset()  # it came in while errors were answered, and leads nowhere
            return
        self._towards.change()
        self._back.change()

    def reset(self) -> None:
        """End both sides at once, as a machine does that knows nothing of this connection."""
        self._near.reset()
        self._far.reset()
        self._finish()

    def _from_near(self, data: bytes) -> None:
        if self._rule().http_error and not self._is_answer_awaited:
            self._is_answering_errors = True
        if self._is_answering_errors:
            self._answer_error(data)
            return
        self._is_answer_awaited = True
        self._towards.feed(data)

    def _from_far(self, data: bytes) -> None:
        # One that asks again before it was answered in full is not told from one that goes on asking. HAProxy, for
        # which this is, never does.
        self._is_answer_awaited = False
        self._back.feed(data)

    def _answer_error(self, data: bytes) -> None:
        """Once the request's head is there; its body is swallowed."""
        near = self._near.transport
        if HEAD_END in self._head or near is None:
            return
        self._head = (self._head + data)[-HEAD_BYTES_MAX:]
        if HEAD_END in self._head:
            self._far.reset()
            near.write(_error_answer(self._rule().http_error or HTTPStatus.SERVICE_UNAVAILABLE))
            near.write_eof()
            asyncio.get_running_loop().call_later(LINGER_S, near.abort)

    def _near_ended(self) -> None:
        if self._is_answering_errors and self._near.transport is not None:
            self._near.transport.close()
        else:
            self._towards.end()

    def _far_ended(self) -> None:
        if not self._towards.is_done:
            self._far_closed()
        self._back.end()

    def _close_when_done(self) -> None:
        if self._towards.is_done and self._back.is_done:
            for end in (self._near, self._far):
                if end.transport is not None:
                    end.transport.close()

    def _lost(self, error: Exception | None) -> None:
        """One side is closed: by us (no error) or by a reset, which is passed on."""
        if self._is_answering_errors and not self._near.is_lost:
            return  # the far side was reset by us, and the near one is being answered
        if error is not None:
            if self._far.is_lost:
                self._far_closed()
            self.reset()
        elif self._near.is_lost and (self._far.is_lost or self._far.transport is None):
            self._finish()

    def _finish(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._towards.stop()
            self._back.stop()
            self._on_end(self)


class _End(asyncio.Protocol):
    """One side of a connection: says what comes from it; `hither` is the pump that brings what goes to it."""

    def __init__(
        self,
        take: Callable[[bytes], None],
        ended: Callable[[], None],
        hither: Pump,
        lost: Callable[[Exception | None], None],
    ) -> None:
        self._take = take
        self._ended = ended
        self._hither = hither
        self._lost = lost
        self.transport: asyncio.Transport | None = None
        self.is_lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Never anything else for a stream socket; said to the type checker, as uvloop's class is not asyncio's.
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._take(data)

    def eof_received(self) -> bool:
        self._ended()
        return True  # the other direction may go on

    def pause_writing(self) -> None:
        self._hither.set_sink_full(is_full=True)

    def resume_writing(self) -> None:
        self._hither.set_sink_full(is_full=False)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True
        self._lost(exc)

    def reset(self) -> None:
        if self.transport is None or self.is_lost:
            return
        raw = self.transport.get_extra_info("socket")
        if raw is not None:
            with contextlib.suppress(OSError):
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.transport.abort()


def _error_answer(status: int) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Error"
    body = f"{status}: a drill answers in place of the server\n"
    lines = (
        f"HTTP/1.1 {status} {phrase}",
        "Content-Type: text/plain",
        f"Content-Length: {len(body)}",
        "Connection: close",
    )
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()
