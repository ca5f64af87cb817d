"""How requests spread over replicas, by every algorithm, with real HAProxy."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from tests.e2e.gateway.client import Connection, Load, Request, get, shares
from tests.e2e.gateway.kit import local_replicas, ready, running_gateway, service

from colonnade.gateway.pools import weight_of
from colonnade.gateway.state import Membership, Server, ServerState

pytestmark = pytest.mark.slow

REQUESTS = 10_000


def test_round_robin_is_even_within_one_percent(work_dir: Path) -> None:
    async def story() -> None:
        async with (
            local_replicas(3) as (_, addresses),
            running_gateway(work_dir, lambda at: Membership((at.pool(ready(addresses)),))) as gateway,
        ):
            outcomes = await Load(gateway.port, lambda _: Request(), workers=8, count=REQUESTS).run()
            assert not [outcome for outcome in outcomes if outcome.status != 200]
            assert all(abs(share - 1 / 3) <= 0.01 for share in shares(outcomes).values()), shares(outcomes)

    asyncio.run(story())


def test_weights_of_three_to_one_hold_within_two_percent_also_when_set_live(work_dir: Path) -> None:
    async def story() -> None:
        services = {"web": service(balance="weighted")}
        async with (
            local_replicas(2) as (_, addresses),
            running_gateway(
                work_dir, lambda at: Membership((at.pool(ready(addresses)),)), services=services
            ) as gateway,
        ):
            weighted = [Server(slot, at, ServerState.READY, 3 if slot == 1 else 1) for slot, at in addresses.items()]
            await gateway.apply(weighted)
            live = shares(await Load(gateway.port, lambda _: Request(), count=REQUESTS).run())
            assert live["r1"] == pytest.approx(0.75, abs=0.02)

    asyncio.run(story())


def test_an_adaptive_service_follows_weights_that_are_set_live_without_a_reload(work_dir: Path) -> None:
    async def story() -> None:
        services = {"web": service(balance="adaptive", threads=64)}
        async with (
            local_replicas(3) as (replicas, addresses),
            running_gateway(
                work_dir, lambda at: Membership((at.pool(ready(addresses)),)), services=services
            ) as gateway,
        ):
            for replica in replicas:
                replica.delay_s = 0.01

            async def share_of_the_third(factor: float) -> float:
                weights = {slot: weight_of(services["web"], slot, factor if slot == 3 else 1.0) for slot in addresses}
                await gateway.apply(
                    [Server(slot, at, ServerState.READY, weights[slot]) for slot, at in addresses.items()]
                )
                load = Load(gateway.port, lambda _: Request(), workers=48, count=2000)
                return shares(await load.run())["r3"]

            assert await share_of_the_third(1.0) == pytest.approx(1 / 3, abs=0.05)
            assert await share_of_the_third(0.25) == pytest.approx(1 / 9, abs=0.05)
            assert await share_of_the_third(2.0) == pytest.approx(1 / 2, abs=0.05)
            assert gateway.controller.view().reloads_count == 0

    asyncio.run(story())


@pytest.mark.parametrize("in_flight", [4, 16])
def test_least_connections_spares_a_replica_that_is_ten_times_slower(work_dir: Path, in_flight: int) -> None:
    async def story() -> None:
        services = {"web": service(balance="least-connections", threads=16)}
        async with (
            local_replicas(3) as (replicas, addresses),
            running_gateway(
                work_dir, lambda at: Membership((at.pool(ready(addresses)),)), services=services
            ) as gateway,
        ):
            for replica in replicas:
                replica.delay_s = 0.1 if replica.name == "r3" else 0.01
            spread = shares(await Load(gateway.port, lambda _: Request(), workers=in_flight, count=600).run())
            assert spread["r3"] < 1 / 3 / 1.5, spread

    asyncio.run(story())


KEYS = 3000


@pytest.mark.parametrize("hash_by", ["header:X-User", "cookie:user", "path"])
def test_a_joining_replica_moves_few_keys_and_a_replacement_takes_its_predecessors(
    work_dir: Path, hash_by: str
) -> None:
    def request(key: int) -> Request:
        name = f"user-{key}"
        if hash_by == "path":
            return Request(path=f"/{name}")
        header = ("X-User", name) if hash_by.startswith("header") else ("Cookie", f"other=1; user={name}")
        return Request(headers=(header,))

    async def owners(port: int) -> list[str]:
        connection = Connection(port)
        found = [(await connection.send(request(key))).replica for key in range(KEYS)]
        connection.close()
        return found

    async def story() -> None:
        services = {"web": service(balance="consistent-hash", hash_by=hash_by)}
        async with (
            local_replicas(5) as (_, addresses),
            running_gateway(
                work_dir,
                lambda at: Membership((at.pool(ready({slot: addresses[slot] for slot in (1, 2, 3)})),)),
                services=services,
            ) as gateway,
        ):
            before = await owners(gateway.port)
            counts = Counter(before)
            assert all(0.5 / 3 < count / KEYS < 1.6 / 3 for count in counts.values()), counts
            await gateway.apply(ready({slot: addresses[slot] for slot in (1, 2, 3, 4)}))
            after = await owners(gateway.port)
            moved = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
            assert all(new == "r4" for _, new in moved), "a key moved between replicas that stayed"
            assert len(moved) / KEYS <= 1.3 / 3, len(moved)
            # Replica 2 is replaced: r5 in slot 2 gets exactly the keys that r2 had.
            await gateway.apply(ready({1: addresses[1], 2: addresses[5], 3: addresses[3], 4: addresses[4]}))
            replaced = await owners(gateway.port)
            assert replaced == ["r5" if owner == "r2" else owner for owner in after]

    asyncio.run(story())


def test_a_request_without_the_key_is_served_all_the_same(work_dir: Path) -> None:
    async def story() -> None:
        services = {"web": service(balance="consistent-hash", hash_by="header:X-User")}
        async with (
            local_replicas(3) as (_, addresses),
            running_gateway(
                work_dir, lambda at: Membership((at.pool(ready(addresses)),)), services=services
            ) as gateway,
        ):
            assert {(await get(gateway.port)).status for _ in range(9)} == {200}

    asyncio.run(story())


def test_a_slow_starter_begins_with_a_small_share(work_dir: Path) -> None:
    async def story() -> None:
        services = {"web": service(slow_start="20s")}
        async with (
            local_replicas(2) as (_, addresses),
            running_gateway(
                work_dir, lambda at: Membership((at.pool(ready({1: addresses[1]})),)), services=services
            ) as gateway,
        ):
            await gateway.apply(ready(addresses))
            spread = shares(await Load(gateway.port, lambda _: Request(), count=500).run())
            assert spread.get("r2", 0.0) < 0.25, spread

    asyncio.run(story())
