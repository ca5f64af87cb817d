"""Reads HTTP/1.1 replies from bytes, however they are cut into pieces.

Knows no socket and no clock. Covers what servers and gateways send to a GET or POST: interim 1xx replies, bodies by
length, chunked, or until the connection closes. Not h11, because of its cost: see the figures in `connection`;
the tests hold the two against each other.
Read next: `connection`, which feeds it.
"""

from enum import Enum

HEAD_BYTES_MAX = 64 * 1024
"""No server we know sends more; without a bound a broken one could fill our memory."""
BODY_BYTES_MAX = 16 * 1024 * 1024
"""Far above any page under load here; a bound for the same reason."""


class MalformedReply(Exception):
    """What arrived is not an HTTP/1.1 reply, or is beyond our bounds."""


class _Phase(Enum):
    HEAD = "head"
    LENGTH = "length"
    CHUNK_SIZE = "chunk size"
    CHUNK_DATA = "chunk data"
    TRAILERS = "trailers"
    UNTIL_CLOSE = "until close"
    DONE = "done"


class ReplyParser:
    """One reply. Feed it bytes until `is_complete`; tell it about the end of the stream by `feed_eof`.

    `status`, `headers` (names in lower case), `set_cookies` and `body` are final once complete.
    """

    __slots__ = ("_buffer", "_missing", "_phase", "body", "headers", "keeps_alive", "set_cookies", "status")

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.set_cookies: tuple[str, ...] = ()
        """Apart from the others, because it is the one header that comes several times with different meanings."""
        self.body = bytearray()
        self.keeps_alive = False
        self._buffer = bytearray()
        self._missing = 0
        self._phase = _Phase.HEAD

    @property
    def is_complete(self) -> bool:
        return self._phase is _Phase.DONE

    @property
    def has_begun(self) -> bool:
        """Whether any byte of a reply has arrived."""
        return self.status != 0 or bool(self._buffer)

    def feed(self, data: bytes) -> None:
        """Take the next bytes. Raises MalformedReply."""
        self._buffer += data
        while self._step():
            pass
        if self._phase is _Phase.DONE and self._buffer:
            # Bytes that nobody asked for: the reply stands, but this connection is not to be trusted again.
            self.keeps_alive = False

    def feed_eof(self) -> None:
        """The peer will send no more. Completes a body that is delimited by the close, and nothing else."""
        self.keeps_alive = False
        if self._phase is _Phase.UNTIL_CLOSE:
            self._phase = _Phase.DONE

    def _step(self) -> bool:
        """Advance by one element; False when more bytes are needed or nothing is left to do."""
        match self._phase:
            case _Phase.HEAD:
                return self._read_head()
            case _Phase.LENGTH | _Phase.CHUNK_DATA | _Phase.UNTIL_CLOSE:
                return self._read_body()
            case _Phase.CHUNK_SIZE:
                return self._read_chunk_size()
            case _Phase.TRAILERS:
                return self._read_trailer()
            case _Phase.DONE:
                return False

    def _read_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > HEAD_BYTES_MAX:
                raise MalformedReply(f"no end of the headers within {HEAD_BYTES_MAX} bytes")
            return False
        status_line, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        status = _parse_status(status_line)
        if status < 200:
            return True  # an interim reply; the real one follows
        self.status = status
        self.headers = _parse_headers(lines)
        if "set-cookie" in self.headers:
            named = (line.partition(":") for line in lines)
            self.set_cookies = tuple(value.strip() for name, _, value in named if name.lower() == "set-cookie")
        self.keeps_alive = _keeps_alive(status_line, self.headers)
        self._phase = self._body_phase()
        return True

    def _body_phase(self) -> _Phase:
        if self.status in (204, 304):
            return _Phase.DONE
        coding = self.headers.get("transfer-encoding")
        if coding is not None:
            if coding.lower() != "chunked":
                raise MalformedReply(f"transfer coding {coding!r} is not understood")
            return _Phase.CHUNK_SIZE
        length = self.headers.get("content-length")
        if length is None:
            self.keeps_alive = False
            self._missing = BODY_BYTES_MAX
            return _Phase.UNTIL_CLOSE
        if not (length.isascii() and length.isdigit()):
            raise MalformedReply(f"content-length {length!r} is not a number")
        self._expect(int(length))
        return _Phase.LENGTH if self._missing else _Phase.DONE

    def _read_body(self) -> bool:
        if not self._buffer:
            return False
        piece = self._buffer[: self._missing]
        del self._buffer[: self._missing]
        self.body += piece
        self._missing -= len(piece)
        if self._missing:
            return False
        match self._phase:
            case _Phase.LENGTH:
                self._phase = _Phase.DONE
            case _Phase.CHUNK_DATA:
                # The CRLF after the data was counted as part of it.
                if self.body[-2:] != b"\r\n":
                    raise MalformedReply("a chunk is longer than it said")
                del self.body[-2:]
                self._phase = _Phase.CHUNK_SIZE
            case _:
                raise MalformedReply(f"the body exceeds {BODY_BYTES_MAX} bytes")
        return True

    def _read_chunk_size(self) -> bool:
        line = self._take_line()
        if line is None:
            return False
        digits = line.partition(";")[0].strip()
        try:
            size = int(digits, 16)
        except ValueError:
            raise MalformedReply(f"chunk size {digits!r} is not a number") from None
        if size == 0:
            self._phase = _Phase.TRAILERS
            return True
        self._expect(size)
        self._missing += 2
        self._phase = _Phase.CHUNK_DATA
        return True

    def _read_trailer(self) -> bool:
        line = self._take_line()
        if line == "":
            self._phase = _Phase.DONE
        return line is not None

    def _take_line(self) -> str | None:
        end = self._buffer.find(b"\r\n")
        if end < 0:
            if len(self._buffer) > HEAD_BYTES_MAX:
                raise MalformedReply(f"no end of line within {HEAD_BYTES_MAX} bytes")
            return None
        line = self._buffer[:end].decode("latin-1")
        del self._buffer[: end + 2]
        return line

    def _expect(self, size: int) -> None:
        if size < 0 or len(self.body) + size > BODY_BYTES_MAX:
            raise MalformedReply(f"the body exceeds {BODY_BYTES_MAX} bytes")
        self._missing = size


def _parse_status(line: str) -> int:
    if not (line.startswith("HTTP/1.") and line[8:9] == " " and line[9:12].isdigit() and line[12:13] in ("", " ")):
        raise MalformedReply(f"not the first line of an HTTP/1 reply: {line[:80]!r}")
    return int(line[9:12])


def _parse_headers(lines: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise MalformedReply(f"not a header: {line[:80]!r}")
        name, value = name.lower(), value.strip()
        if name == "content-length" and headers.get(name, value) != value:
            raise MalformedReply("two different content-lengths")
        headers[name] = value
    return headers


def _keeps_alive(status_line: str, headers: dict[str, str]) -> bool:
    connection = headers.get("connection", "").lower()
    if status_line.startswith("HTTP/1.0"):
        return "keep-alive" in connection
    return "close" not in connection
