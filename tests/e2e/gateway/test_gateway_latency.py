"""Answers are counted by latency, per slot, in the gateway itself."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from tests.e2e.gateway.client import get
from tests.e2e.gateway.kit import Harness, eventually, local_replicas, ready, running_gateway, service

from colonnade.core.histogram import BOUNDS_MS, BUCKETS_COUNT, Histogram
from colonnade.gateway.state import Membership, PoolView

pytestmark = pytest.mark.slow


def looked_at(gateway: Harness) -> PoolView:
    return gateway.controller.view().pools["web"]


def bounds_ms(histogram: Histogram) -> list[tuple[int, int]]:
    """Lower and upper bound of each bucket that holds something."""
    edges = list(zip((0, *BOUNDS_MS), (*BOUNDS_MS, 10**9), strict=True))
    assert len(edges) == BUCKETS_COUNT
    return [edges[bucket] for bucket, count in enumerate(histogram.counts) if count]


def test_each_answer_is_counted_at_its_slot_by_how_long_it_took(work_dir: Path) -> None:
    async def story() -> None:
        async with (
            local_replicas(3) as (replicas, addresses),
            running_gateway(
                work_dir, lambda at: Membership((at.pool(ready({slot: addresses[slot] for slot in (1, 2)})),))
            ) as gateway,
        ):
            delays_s = {1: 0.02, 2: 0.35}
            for slot, delay_s in delays_s.items():
                replicas[slot - 1].delay_s = delay_s
            answers = [await get(gateway.port, "/") for _ in range(10)]
            assert {answer.replica for answer in answers} == {"r1", "r2"}
            await eventually(lambda: looked_at(gateway).latency.total() == 10)
            pool = looked_at(gateway)
            for slot, delay_s in delays_s.items():
                latency = pool.servers[slot].latency
                assert latency.total() == 5
                # A busy machine may make an answer late, never early.
                assert min(lower for lower, _ in bounds_ms(latency)) <= 1000 * delay_s
                assert all(1000 * delay_s < upper for _, upper in bounds_ms(latency))
                # HAProxy's mean slides, and is a little low at its beginning.
                assert pool.servers[slot].response_ms_mean >= 900 * delay_s - 1
            assert pool.latency == pool.servers[1].latency.plus(pool.servers[2].latency)
            # Another replica takes over, and what was counted stays; an unused slot has counted nothing.
            await gateway.apply(ready({1: addresses[1], 3: addresses[3]}))
            assert (await gateway.controller.look()).pools["web"].latency.total() == 10
            assert looked_at(gateway).servers[3].latency == Histogram()

    asyncio.run(story())


def test_waiting_in_the_queue_counts_and_what_the_gateway_answers_itself_does_not(work_dir: Path) -> None:
    async def story() -> None:
        services = {"web": service(threads=1, queue_max=1, queue_timeout="10s")}
        async with (
            local_replicas(1) as (replicas, addresses),
            running_gateway(
                work_dir, lambda at: Membership((at.pool(ready(addresses)),)), services=services
            ) as gateway,
        ):
            asked = [asyncio.create_task(get(gateway.port, "/hold"))]
            await eventually(lambda: replicas[0].in_flight == 1)
            began = time.monotonic()
            asked.append(asyncio.create_task(get(gateway.port, "/hold")))
            await eventually(lambda: looked_at(gateway).traffic.queued == 1)
            rejected = [await get(gateway.port, "/hold") for _ in range(2)]
            assert [answer.status for answer in rejected] == [503, 503]
            await asyncio.sleep(0.5)
            replicas[0].let_go.set()
            assert [answer.status for answer in await asyncio.gather(*asked)] == [200, 200]
            took_s = time.monotonic() - began
            await eventually(lambda: looked_at(gateway).latency.total() == 2)
            pool = looked_at(gateway)
            assert pool.rejected_total == 2
            assert pool.latency.share_within(0.3) == 0.0, "the second one waited for the first"
            assert pool.servers[1].response_ms_mean < 900 * took_s, "which is not the replica's own time"

    asyncio.run(story())


def test_streams_are_not_counted_and_errors_are_told_apart(work_dir: Path) -> None:
    async def story() -> None:
        async with (
            local_replicas(1) as (_, addresses),
            running_gateway(work_dir, lambda at: Membership((at.pool(ready(addresses)),))) as gateway,
        ):
            assert (await get(gateway.port, "/status/500")).status == 500
            assert (await get(gateway.port, "/status/404")).status == 404
            reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
            writer.write(b"GET /sse/10 HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n")
            assert b"data: two" in await reader.read(-1)
            writer.close()
            await eventually(lambda: looked_at(gateway).latency.total() == 2)
            await eventually(lambda: looked_at(gateway).servers[1].requests_total == 3)
            pool = (await gateway.controller.look()).pools["web"]
            assert pool.latency.total() == 2
            assert pool.servers[1].server_errors_total == 1
            assert pool.rejected_total == 0

    asyncio.run(story())


def test_a_reloaded_gateway_counts_from_nothing(work_dir: Path) -> None:
    async def story() -> None:
        async with (
            local_replicas(1) as (_, addresses),
            running_gateway(work_dir, lambda at: Membership((at.pool(ready(addresses)),))) as gateway,
        ):
            for _ in range(5):
                await get(gateway.port, "/")
            before = (await gateway.controller.look()).pools["web"].latency
            assert before.total() == 5
            await gateway.controller.apply(Membership((gateway.pool(ready(addresses), check_expect="200-499"),)))
            await get(gateway.port, "/")
            after = (await gateway.controller.look()).pools["web"].latency
            assert after.total() == 1
            assert after.since(before) == after

    asyncio.run(story())
