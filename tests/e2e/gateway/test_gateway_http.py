"""What passes through the gateway and what it answers itself: routes, limits, headers, streams, queues."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.e2e.gateway.client import Connection, Load, Request, Response, get, read_response, send
from tests.e2e.gateway.kit import Harness, eventually, local_replicas, port_of, ready, running_gateway, service
from tests.e2e.gateway.server import Replica

from colonnade.gateway.state import Membership
from colonnade.spec.model import GatewaySpec, ServiceSpec

pytestmark = pytest.mark.slow

HALF_AN_UPLOAD = b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nxxx"


@asynccontextmanager
async def one_service(
    work_dir: Path, *, replicas: int = 1, gateway: GatewaySpec | None = None, **values: object
) -> AsyncIterator[tuple[Harness, list[Replica]]]:
    services = {"web": service(**values)}
    async with (
        local_replicas(replicas) as (servers, addresses),
        running_gateway(
            work_dir,
            lambda at: Membership((at.pool(ready(addresses)),)),
            services=services,
            gateway=gateway,
            internal=["web"],
        ) as harness,
    ):
        yield harness, servers


async def headers_seen(port: int, *sent: tuple[str, str]) -> dict[str, list[str]]:
    """What the replica got, by lower-case name."""
    answer = await send(port, Request(path="/headers", headers=sent))
    seen: dict[str, list[str]] = {}
    for name, value in json.loads(answer.body):
        seen.setdefault(name, []).append(value)
    seen["(answer) x-request-id"] = [answer.headers.get("x-request-id", "")]
    return seen


async def raw(port: int, *parts: bytes, pause_s: float = 0.0) -> Response:
    """Send bytes as they are, and read one answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause_s)
        return await read_response(reader)
    finally:
        writer.close()


def test_the_longest_prefix_wins_at_whole_segments_and_the_rest_is_not_found(work_dir: Path) -> None:
    async def story() -> None:
        services: dict[str, ServiceSpec] = {
            "api": service(route="/api"),
            "deep": service(route="/api/v2"),
            "hidden": service(route=""),
        }
        async with (
            local_replicas(3) as (_, addresses),
            running_gateway(
                work_dir,
                lambda at: Membership(
                    tuple(
                        at.pool(ready({1: addresses[number]}), name) for number, name in enumerate(at.services, start=1)
                    )
                ),
                services=services,
                internal=["hidden"],
            ) as gateway,
        ):
            answers = {
                path: await get(gateway.port, path) for path in ("/api", "/api/x?y=/api/v2", "/api/v2", "/api/v2/x")
            }
            assert [answer.replica for answer in answers.values()] == ["r1", "r1", "r2", "r2"]
            for path in ("/", "/apis", "/hidden", "/api.html"):
                assert (await get(gateway.port, path)).status == 404
            lost = await get(gateway.port, "/nowhere")
            assert lost.status == 404
            assert "There is nothing at this address" in lost.text
            assert "http" not in lost.text, "the page needs nothing from elsewhere"
            inside = await get(port_of(gateway.listeners["service:hidden"]), "/anything")
            assert inside.replica == "r3"

    asyncio.run(story())


def test_client_address_scheme_host_and_request_id_are_forwarded_and_cannot_be_forged(work_dir: Path) -> None:
    async def story() -> None:
        async with one_service(work_dir) as (gateway, _):
            forged = [
                ("X-Forwarded-For", "6.6.6.6"),
                ("X-Forwarded-Proto", "https"),
                ("X-Forwarded-Port", "443"),
                ("X-Forwarded-Host", "evil.example"),
                ("Forwarded", "for=6.6.6.6"),
                ("X-Real-IP", "6.6.6.6"),
                ("Proxy", "http://evil"),
                # WSGI calls these what it calls those above: HTTP_X_REAL_IP.
                ("X_Real_IP", "6.6.6.6"),
                ("X_Forwarded_For", "6.6.6.6"),
                ("X_Request_ID", "order-12345"),
            ]
            seen = await headers_seen(gateway.port, *forged)
            assert seen["x-forwarded-for"] == ["127.0.0.1"]
            assert seen["x-forwarded-proto"] == ["http"]
            assert seen["host"] == ["test.example"]
            assert not {"forwarded", "x-real-ip", "x-forwarded-port", "x-forwarded-host", "proxy"} & set(seen)
            assert not [name for name in seen if "_" in name]
            assert seen["x-request-id"] == [str(uuid.UUID(seen["x-request-id"][0])).upper()]
            assert uuid.UUID(seen["x-request-id"][0]).version == 4
            assert seen["(answer) x-request-id"] == seen["x-request-id"]
            many = await asyncio.gather(*(headers_seen(gateway.port) for _ in range(60)))
            assert len({one["x-request-id"][0] for one in [seen, *many]}) == 61, "one for each"
            kept = await headers_seen(gateway.port, ("X-Request-ID", "order-12345"))
            assert kept["x-request-id"] == kept["(answer) x-request-id"] == ["order-12345"]
            for unfit in ("short", "has spaces in it", "x" * 200, 'quo"te-quote', "order-12345, has spaces"):
                given = (await headers_seen(gateway.port, ("X-Request-ID", unfit)))["x-request-id"]
                assert len(given[0]) == 36, unfit
            twice = await headers_seen(gateway.port, ("X-Request-ID", "order-12345"), ("X-Request-ID", "order-67890"))
            assert [uuid.UUID(one).version for one in twice["x-request-id"]] == [4]

    asyncio.run(story())


def test_an_internal_listener_believes_what_a_service_forwards(work_dir: Path) -> None:
    async def story() -> None:
        async with one_service(work_dir) as (gateway, _):
            port = port_of(gateway.listeners["service:web"])
            seen = await headers_seen(port, ("X-Forwarded-For", "9.9.9.9"), ("X-Request-ID", "order-12345"))
            assert seen["x-forwarded-for"] == ["9.9.9.9"]
            assert seen["x-request-id"] == ["order-12345"]

    asyncio.run(story())


def test_bodies_have_a_limit_whether_their_length_is_announced_or_not(work_dir: Path) -> None:
    async def story() -> None:
        limit = GatewaySpec(request_body_bytes_max=200_000)
        async with one_service(work_dir, gateway=limit) as (gateway, _):
            fits = await send(gateway.port, Request("POST", "/upload", (), b"x" * 200_000))
            assert (fits.status, fits.text) == (200, "200000")
            head = b"POST /upload HTTP/1.1\r\nHost: x\r\n"
            announced = await raw(gateway.port, head + b"Content-Length: 200001\r\n\r\n")
            assert announced.status == 413
            chunked = head + b"Transfer-Encoding: chunked\r\n\r\n"
            small = await raw(gateway.port, chunked, b"5\r\nhello\r\n", b"0\r\n\r\n", pause_s=0.05)
            assert (small.status, small.text) == (200, "5")
            block = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
            large = await raw(gateway.port, chunked + block * 4)
            assert large.status == 411

    asyncio.run(story())


def test_a_length_that_no_signed_number_holds_is_too_large(work_dir: Path) -> None:
    """HAProxy counts sizes in signed numbers of 64 bits, and takes the largest unsigned one for "unknown"."""

    async def story() -> None:
        async with one_service(work_dir) as (gateway, (replica,)):
            for length in (10**18, 2**63, 10**19, 2**64 - 1, 2**64, 10**30):
                head = f"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode()
                for start in (b"", b"x" * 100):
                    assert (await raw(gateway.port, head + start)).status in {400, 413}, length
            assert replica.served == 0

    asyncio.run(story())


@pytest.mark.parametrize("idempotency_key", [False, True], ids=["small buffers", "large buffers"])
def test_a_large_head_leaves_less_room_for_a_body_of_unknown_length(work_dir: Path, idempotency_key: bool) -> None:
    """What head and body fill together is a full buffer: nothing after it would be measured."""

    async def story() -> None:
        async with one_service(work_dir, idempotency_key=idempotency_key) as (gateway, (replica,)):
            for head_bytes, chunk_bytes in ((6_000, 512), (6_000, 5_000), (15_000, 512), (15_900, 1)):
                head = b"POST /upload HTTP/1.1\r\nHost: x\r\nX-Big: " + b"x" * head_bytes + b"\r\n"
                chunked = head + b"Transfer-Encoding: chunked\r\n\r\n"
                block = b"%x\r\n" % chunk_bytes + b"x" * chunk_bytes + b"\r\n"
                endless = chunked + block * (70_000 // chunk_bytes)
                assert (await raw(gateway.port, endless)).status == 411, head_bytes
            assert replica.served == 0
            head = b"POST /upload HTTP/1.1\r\nHost: x\r\nX-Big: " + b"x" * 6_000 + b"\r\n"
            small = await raw(gateway.port, head + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
            assert (small.status, small.text) == (200, "5")

    asyncio.run(story())


@pytest.mark.parametrize("idempotency_key", [False, True], ids=["small buffers", "large buffers"])
def test_heads_have_a_limit_in_bytes_and_in_number(work_dir: Path, idempotency_key: bool) -> None:
    async def story() -> None:
        async with one_service(work_dir, idempotency_key=idempotency_key) as (gateway, _):
            assert (await get(gateway.port, "/", x_big="x" * 15_000)).status == 200
            assert (await get(gateway.port, "/", x_big="x" * 17_000)).status == 400
            assert (await get(gateway.port, "/", x_big="x" * 150_000)).status == 400
            assert (await get(gateway.port, "/" + "x" * 40_000)).status == 400
            many = Request(headers=tuple((f"X-{number}", "1") for number in range(200)))
            assert (await send(gateway.port, many)).status == 400

    asyncio.run(story())


def test_slow_clients_are_cut_off_and_do_not_hold_a_replica(work_dir: Path) -> None:
    async def story() -> None:
        slow = GatewaySpec.model_validate({"header_timeout": "500ms", "client_timeout": "700ms"})
        async with one_service(work_dir, gateway=slow, threads=1) as (gateway, replicas):
            started = time.monotonic()
            trickles = [
                asyncio.create_task(
                    raw(gateway.port, b"GET / HTTP/1.1\r\n", b"Host: x\r\n", b"X-A: 1\r\n", pause_s=0.3)
                )
                for _ in range(5)
            ]
            assert (await get(gateway.port)).status == 200
            assert {(await trickle).status for trickle in trickles} == {408}
            assert time.monotonic() - started < 8.0
            # A body that stops half-way: the client is told.
            assert (await raw(gateway.port, HALF_AN_UPLOAD)).status in {408, 400}
            assert (await get(gateway.port)).status == 200
            assert replicas[0].in_flight_max <= 1

    asyncio.run(story())


def test_a_body_on_its_way_does_not_hold_a_replica(work_dir: Path) -> None:
    async def story() -> None:
        async with one_service(work_dir, threads=1) as (gateway, _):
            upload = asyncio.create_task(raw(gateway.port, HALF_AN_UPLOAD))
            await asyncio.sleep(0.2)
            assert (await get(gateway.port)).status == 200
            assert not upload.done()
            upload.cancel()

    asyncio.run(story())


def test_no_more_than_threads_requests_reach_a_replica_and_the_queue_is_bounded(work_dir: Path) -> None:
    async def story() -> None:
        async with one_service(work_dir, threads=2, queue_max=5) as (gateway, replicas):
            answers = await asyncio.gather(*(get(gateway.port, "/sleep/300") for _ in range(20)))
            by_status = {status: [a for a in answers if a.status == status] for status in {a.status for a in answers}}
            assert set(by_status) == {200, 503}
            # Two served and five waiting; a few more may have slipped in while two threads counted.
            assert 7 <= len(by_status[200]) <= 9
            assert all(answer.headers["retry-after"] == "1" for answer in by_status[503])
            assert replicas[0].in_flight_max == 2

    asyncio.run(story())


def test_who_waits_too_long_in_the_queue_is_told(work_dir: Path) -> None:
    async def story() -> None:
        async with one_service(work_dir, threads=1, queue_timeout="200ms") as (gateway, (replica,)):
            slow = asyncio.create_task(get(gateway.port, "/hold"))
            await eventually(lambda: replica.in_flight == 1)
            waited = await get(gateway.port)
            assert (waited.status, waited.headers["retry-after"]) == (503, "1")
            replica.let_go.set()
            assert (await slow).status == 200

    asyncio.run(story())


def test_a_reply_that_does_not_come_is_given_up_and_not_repeated(work_dir: Path) -> None:
    async def story() -> None:
        async with one_service(work_dir, replicas=2, request_timeout="300ms") as (gateway, replicas):
            assert (await get(gateway.port, "/sleep/2000")).status == 504
            assert sum(replica.served for replica in replicas) == 1

    asyncio.run(story())


def test_with_no_replica_at_all_the_answer_is_503_with_a_page(work_dir: Path) -> None:
    async def story() -> None:
        async with one_service(work_dir) as (gateway, _):
            await gateway.apply([])
            answer = await get(gateway.port)
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
            assert answer.text.startswith("<!doctype html>")
            assert answer.headers["x-request-id"]

    asyncio.run(story())


def test_websockets_and_event_streams_pass_and_take_no_place_of_plain_requests(work_dir: Path) -> None:
    async def story() -> None:
        quick = GatewaySpec.model_validate({"client_timeout": "500ms"})
        async with one_service(work_dir, gateway=quick, threads=2) as (gateway, _):
            upgrade = (
                b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            sockets = []
            for _ in range(6):
                reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
                writer.write(upgrade)
                assert b"101" in await reader.readuntil(b"\r\n\r\n")
                sockets.append((reader, writer))
            event_reader, event_writer = await asyncio.open_connection("127.0.0.1", gateway.port)
            event_writer.write(b"GET /sse/1500 HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n")
            assert b"data: one" in await event_reader.readuntil(b"one\n\n")
            outcomes = await Load(gateway.port, lambda _: Request(), workers=2, count=50).run()
            assert {outcome.status for outcome in outcomes} == {200}
            view = (await gateway.controller.look()).pools["web"]
            assert view.streams == 7
            assert view.in_flight == 0
            # Both last longer than a client may be silent within a plain request.
            assert b"data: two" in await event_reader.readuntil(b"two\n\n")
            for reader, writer in sockets:
                writer.write(b"ping")
                assert await reader.readexactly(4) == b"ping"
                writer.close()
            event_writer.close()

    asyncio.run(story())


def test_a_kept_connection_survives_pauses_within_its_timeout(work_dir: Path) -> None:
    async def story() -> None:
        async with one_service(work_dir) as (gateway, _):
            connection = Connection(gateway.port)
            for pause_s in (0.0, 0.3, 1.0):
                await asyncio.sleep(pause_s)
                assert (await connection.send(Request())).status == 200
            connection.close()

    asyncio.run(story())


@asynccontextmanager
async def ready_but_breaking_off() -> AsyncIterator[str]:
    """The address of a replica that reads each request to its end, and closes without an answer."""

    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"/readyz" in head:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        else:
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
        writer.close()

    async with await asyncio.start_server(break_off, "127.0.0.1", 0, limit=1 << 20) as broken:
        yield f"127.0.0.1:{broken.sockets[0].getsockname()[1]}"


def test_a_large_keyed_write_is_replayed_up_to_a_buffer(work_dir: Path) -> None:
    """The first replica takes the request and breaks off; the second answers."""

    async def story() -> None:
        async with ready_but_breaking_off() as bad, one_service(work_dir, idempotency_key=True) as (gateway, _):
            good = gateway.controller.view().pools["web"].servers[1].address
            await gateway.apply(ready({1: good, 2: bad}))
            for size in (10, 16_000, 40_000, 60_000):
                answers = [
                    await send(gateway.port, Request("POST", "/upload", (("Idempotency-Key", "k"),), b"x" * size))
                    for _ in range(4)
                ]
                assert {(answer.status, answer.text) for answer in answers} == {(200, str(size))}, size

    asyncio.run(story())


def test_who_asks_whether_a_body_is_welcome_is_told_by_the_replica(work_dir: Path) -> None:
    """Before it is sent: the gateway does not ask for it by itself."""

    async def story() -> None:
        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            status = b"200 OK" if b"/readyz" in head else b"417 Expectation Failed"
            writer.write(b"HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n" % status)
            await writer.drain()
            writer.close()

        async with (
            await asyncio.start_server(refuse, "127.0.0.1", 0) as strict,
            one_service(work_dir) as (gateway, _),
        ):
            await gateway.apply(ready({1: f"127.0.0.1:{strict.sockets[0].getsockname()[1]}"}))
            head = b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n"
            assert (await raw(gateway.port, head)).status == 417

    asyncio.run(story())


@pytest.mark.parametrize(
    ("method", "header", "size"), [("POST", b"Idempotency-Key: k\r\n", 40_000), ("PUT", b"", 8_000)]
)
def test_a_write_that_comes_in_pieces_is_replayed_as_well(
    work_dir: Path, method: str, header: bytes, size: int
) -> None:
    """Its client's network is slow: the gateway has the head long before it has the whole body."""

    async def story() -> None:
        async with ready_but_breaking_off() as bad, one_service(work_dir, idempotency_key=bool(header)) as (gateway, _):
            good = gateway.controller.view().pools["web"].servers[1].address
            await gateway.apply(ready({1: good, 2: bad}))
            head = b"%s /upload HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n" % (method.encode(), header, size)
            half = b"x" * (size // 2)
            answers = [await raw(gateway.port, head, half, half, pause_s=0.05) for _ in range(4)]
            assert {(answer.status, answer.text) for answer in answers} == {(200, str(size))}

    asyncio.run(story())
