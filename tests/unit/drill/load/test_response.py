"""Reading replies, however they are cut; h11 is the judge of what is right."""

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from colonnade.drill.load.response import BODY_BYTES_MAX, HEAD_BYTES_MAX, MalformedReply, ReplyParser

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Served-By:  backend/1 \r\n\r\nhello"
CHUNKED = b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nhel\r\n2\r\nlo\r\n0\r\nX-T: 1\r\n\r\n"
UNTIL_CLOSE = b"HTTP/1.0 502 Bad Gateway\r\nServer: x\r\n\r\nhello"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n" + LENGTH
EMPTY = b"HTTP/1.1 204 No Content\r\n\r\n"


def parse(*pieces: bytes, then_eof: bool = False) -> ReplyParser:
    parser = ReplyParser()
    for piece in pieces:
        parser.feed(piece)
    if then_eof:
        parser.feed_eof()
    return parser


@pytest.mark.parametrize(
    ("raw", "status", "body"),
    [(LENGTH, 200, b"hello"), (CHUNKED, 201, b"hello"), (INTERIM, 200, b"hello"), (EMPTY, 204, b"")],
)
@given(data=st.data())
def test_a_reply_reads_the_same_however_it_is_cut(raw: bytes, status: int, body: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=8)))
    pieces = [raw[start:end] for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]

    parser = parse(*pieces)

    assert (parser.is_complete, parser.status, bytes(parser.body)) == (True, status, body)
    assert parser.keeps_alive


@given(
    status=st.integers(200, 599).filter(lambda status: status not in (204, 304)),
    body=st.binary(max_size=200),
    sizes=st.lists(st.integers(1, 60), max_size=6),
    is_chunked=st.booleans(),
    closes=st.booleans(),
)
def test_what_h11_sends_is_what_is_read(
    status: int, body: bytes, sizes: list[int], *, is_chunked: bool, closes: bool
) -> None:
    server = h11.Connection(h11.SERVER)
    server.receive_data(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    server.next_event()
    headers = [("Connection", "close")] if closes else []
    headers.append(("Transfer-Encoding", "chunked") if is_chunked else ("Content-Length", str(len(body))))
    raw = server.send(h11.Response(status_code=status, headers=headers)) or b""
    rest = body
    for size in sizes:
        raw += server.send(h11.Data(data=rest[:size])) or b""
        rest = rest[size:]
    raw += server.send(h11.Data(data=rest)) or b""
    raw += server.send(h11.EndOfMessage()) or b""

    parser = parse(raw)

    assert (parser.is_complete, parser.status, bytes(parser.body)) == (True, status, body)
    assert parser.keeps_alive is not closes


@pytest.mark.parametrize("raw", [LENGTH, CHUNKED, INTERIM])
def test_a_reply_without_its_last_byte_is_not_complete_even_at_the_end_of_the_stream(raw: bytes) -> None:
    assert not parse(raw[:-1], then_eof=True).is_complete


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    assert not parse(UNTIL_CLOSE).is_complete
    parser = parse(UNTIL_CLOSE, then_eof=True)
    assert (parser.is_complete, parser.status, bytes(parser.body)) == (True, 502, b"hello")
    assert not parser.keeps_alive


@pytest.mark.parametrize(
    ("raw", "keeps_alive"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: Close\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: Keep-Alive\r\n\r\n", True),
        (LENGTH + b"HTTP/1.1 200 OK\r\n", False),
    ],
)
def test_a_connection_is_kept_only_when_the_reply_allows_it(raw: bytes, *, keeps_alive: bool) -> None:
    assert parse(raw).keeps_alive is keeps_alive


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (BODY_BYTES_MAX + 1),
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * HEAD_BYTES_MAX,
    ],
)
def test_what_is_not_a_reply_or_beyond_all_bounds_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedReply):
        parse(raw)
