"""One HTTP/1.1 connection: sends a request, waits for its reply, and knows whether it can be used again.

An own client instead of a library's, for two reasons: the moments (sent, first byte, done) are the measurement, and
one core has to send thousands of requests a second without being late.
Never retries and never judges. Read next: `pool`, which keeps connections.
"""

import asyncio
import errno
import select
from time import monotonic
from typing import cast

from colonnade.drill.load.ledger import ErrorKind
from colonnade.drill.load.response import MalformedReply, ReplyParser

OWN_LIMITS = frozenset({errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM})
"""Refusals by our own side of the connection."""


class ExchangeFailed(Exception):
    """No whole reply. `kind` says why; what was sent by then is in the attempt."""

    def __init__(self, kind: ErrorKind) -> None:
        super().__init__(kind)
        self.kind = kind


class Attempt:
    """The moments of one operation, filled in as they pass, so that they survive a timeout."""

    __slots__ = ("bytes_received", "first_byte_at", "on_reused_connection", "sent_at")

    def __init__(self) -> None:
        self.sent_at: float | None = None
        self.first_byte_at: float | None = None
        self.bytes_received = 0
        self.on_reused_connection = False


class Connection(asyncio.Protocol):
    """One request at a time. Between requests anything that arrives, the end above all, makes it useless."""

    def __init__(self) -> None:
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None
        self._poller = select.poll()
        self._attempt: Attempt | None = None
        self._parser = ReplyParser()
        self._reply: asyncio.Future[ReplyParser] | None = None
        self._exchanges = 0
        self._is_spent = False

    async def exchange(self, request: bytes, attempt: Attempt) -> ReplyParser:
        """Send and wait for the whole reply. Raises ExchangeFailed; when cancelled, the connection is cut."""
        if self._transport is None or self._reply is not None:
            raise RuntimeError("a connection carries one exchange at a time, once it is made")
        attempt.on_reused_connection = self._exchanges > 0
        self._exchanges += 1
        self._attempt = attempt
        if self._is_spent:  # it ended between being handed out and now; nothing was sent
            raise ExchangeFailed(self._ending())
        self._parser = ReplyParser()
        self._reply = asyncio.get_running_loop().create_future()
        try:
            attempt.sent_at = monotonic()
            self._transport.write(request)
            parser = await self._reply
        except BaseException:
            self.cut()
            raise
        finally:
            self._reply = None
        if not parser.keeps_alive:
            self.cut()
        return parser

    def is_reusable(self) -> bool:
        """Whether the next request may go here.

        Asks the kernel, not only the event loop: the server's goodbye may have arrived without having been read yet.
        """
        return not self._is_spent and not self._poller.poll(0)

    def cut(self) -> None:
        """Close at once, whatever is under way."""
        self._is_spent = True
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast, because uvloop's transports do not derive from asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._poller.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        attempt = self._attempt
        if self._reply is None or self._reply.done() or attempt is None:
            self.cut()
            return
        if attempt.first_byte_at is None:
            attempt.first_byte_at = monotonic()
        attempt.bytes_received += len(data)
        try:
            self._parser.feed(data)
        except MalformedReply:
            self._fail(ErrorKind.REPLY_MALFORMED)
            return
        if self._parser.is_complete:
            self._reply.set_result(self._parser)

    def eof_received(self) -> None:
        self._is_spent = True
        self._parser.feed_eof()
        if self._reply is not None and not self._reply.done() and self._parser.is_complete:
            self._reply.set_result(self._parser)

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_spent = True
        self._fail(self._ending())
        if not self.closed.done():
            self.closed.set_result(None)

    def _ending(self) -> ErrorKind:
        attempt = self._attempt
        if attempt is None or attempt.first_byte_at is not None:
            return ErrorKind.REPLY_CUT
        return ErrorKind.CLOSED_ON_REUSE if attempt.on_reused_connection else ErrorKind.CLOSED_BEFORE_REPLY

    def _fail(self, kind: ErrorKind) -> None:
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(ExchangeFailed(kind))


async def open_connection(host: str, port: int) -> Connection:
    """Connect. Raises ExchangeFailed."""
    try:
        _, connection = await asyncio.get_running_loop().create_connection(Connection, host, port)
    except ConnectionRefusedError as error:
        raise ExchangeFailed(ErrorKind.CONNECT_REFUSED) from error
    except OSError as error:
        is_ours = error.errno in OWN_LIMITS
        raise ExchangeFailed(ErrorKind.GENERATOR_OUT_OF_FILES if is_ours else ErrorKind.CONNECT_FAILED) from error
    return connection
