"""What the gateway remembers of visitors: who answered them, and how much they asked for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.e2e.gateway.client import Request, Response, get, send
from tests.e2e.gateway.kit import Harness, local_replicas, port_of, ready, replica_processes, running_gateway, service

from colonnade.core import processes
from colonnade.gateway.pools import leaving_state
from colonnade.gateway.state import Membership, Server, ServerState

pytestmark = pytest.mark.slow

STICKY = {"web": service(affinity="cookie")}


async def visit(gateway: Harness, cookie: str = "", path: str = "/") -> Response:
    headers = (("Cookie", f"theme=dark; {cookie}"),) if cookie else ()
    return await send(gateway.port, Request(path=path, headers=headers))


def cookie_of(answer: Response) -> str:
    return answer.headers["set-cookie"].split(";")[0]


def test_a_visitor_stays_and_new_ones_are_spread(work_dir: Path) -> None:
    async def story() -> None:
        async with (
            local_replicas(3) as (_, addresses),
            running_gateway(work_dir, lambda at: Membership((at.pool(ready(addresses)),)), services=STICKY) as gateway,
        ):
            first = [await visit(gateway) for _ in range(9)]
            assert sorted(answer.replica for answer in first) == ["r1"] * 3 + ["r2"] * 3 + ["r3"] * 3
            attributes = {word.strip().lower() for word in first[0].headers["set-cookie"].split(";")[1:]}
            assert attributes == {"path=/", "httponly", "samesite=lax"}
            for answer in first[:3]:
                again = [await visit(gateway, cookie_of(answer)) for _ in range(5)]
                assert {each.replica for each in again} == {answer.replica}
                assert not any("set-cookie" in each.headers for each in again)
            seen = dict(json.loads((await visit(gateway, cookie_of(first[0]), "/headers")).body))
            assert seen["cookie"] == "theme=dark", "the application does not see the gateway's cookie"

    asyncio.run(story())


def test_a_cookie_outlives_the_replica_and_names_its_slot(work_dir: Path) -> None:
    async def story() -> None:
        async with (
            local_replicas(3) as (_, addresses),
            running_gateway(
                work_dir,
                lambda at: Membership((at.pool(ready({slot: addresses[slot] for slot in (1, 2)})),)),
                services=STICKY,
            ) as gateway,
        ):
            cookie = cookie_of(
                next(answer for answer in [await visit(gateway) for _ in range(2)] if answer.replica == "r2")
            )
            await gateway.apply(ready({1: addresses[1], 2: addresses[3]}))
            assert {(await visit(gateway, cookie)).replica for _ in range(4)} == {"r3"}
            # After a reload, too: the cookie is in the text, not in memory.
            pool = gateway.pool(ready({1: addresses[1], 2: addresses[3]}), check_expect="200-499")
            await gateway.controller.apply(Membership((pool,)))
            assert gateway.controller.view().reloads_count == 1
            assert {(await visit(gateway, cookie)).replica for _ in range(4)} == {"r3"}

    asyncio.run(story())


def test_visitors_of_a_slot_that_leaves_move_on_and_what_is_in_flight_is_finished(work_dir: Path) -> None:
    async def story() -> None:
        services = {"web": service(affinity="cookie", threads=1)}
        async with (
            local_replicas(3) as (_, addresses),
            running_gateway(
                work_dir, lambda at: Membership((at.pool(ready(addresses)),)), services=services
            ) as gateway,
        ):
            first = [await visit(gateway) for _ in range(3)]
            cookie = cookie_of(next(answer for answer in first if answer.replica == "r1"))
            in_flight = asyncio.create_task(visit(gateway, cookie, "/sleep/800"))
            await asyncio.sleep(0.1)
            waiting = asyncio.create_task(visit(gateway, cookie))
            await asyncio.sleep(0.1)
            leaving = Server(1, addresses[1], leaving_state(services["web"]))
            await gateway.apply([leaving, *ready({2: addresses[2], 3: addresses[3]})])
            assert (await waiting).replica in {"r2", "r3"}, "who waited for it as well"
            moved = await visit(gateway, cookie)
            assert moved.replica in {"r2", "r3"}
            assert {(await visit(gateway, cookie_of(moved))).replica for _ in range(4)} == {moved.replica}
            assert not await gateway.controller.wait_drained("web", 1, 0.0)
            assert (await in_flight).replica == "r1"
            assert await gateway.controller.wait_drained("web", 1, 2.0)

    asyncio.run(story())


def test_a_killed_replica_costs_its_visitors_nothing_but_the_replica(
    work_dir: Path, free_port: Callable[[], int]
) -> None:
    async def story() -> None:
        async with (
            replica_processes(work_dir, free_port, 2) as (replicas, addresses),
            running_gateway(work_dir, lambda at: Membership((at.pool(ready(addresses)),)), services=STICKY) as gateway,
        ):
            cookie = cookie_of(
                next(answer for answer in [await visit(gateway) for _ in range(2)] if answer.replica == "r2")
            )
            await processes.kill(replicas[1].process)
            answers = [await visit(gateway, cookie) for _ in range(5)]
            assert {(answer.status, answer.replica) for answer in answers} == {(200, "r1")}

    asyncio.run(story())


def test_a_visitor_does_not_wait_long_for_the_one_replica_while_another_is_free(work_dir: Path) -> None:
    async def story() -> None:
        services = {"web": service(affinity="cookie", threads=1)}
        async with (
            local_replicas(2) as (_, addresses),
            running_gateway(
                work_dir, lambda at: Membership((at.pool(ready(addresses)),)), services=services
            ) as gateway,
        ):
            first = await visit(gateway)
            cookie = cookie_of(first)
            answers = await asyncio.gather(*(visit(gateway, cookie, "/sleep/300") for _ in range(4)))
            replicas = [answer.replica for answer in answers]
            # One is served and one waits; a third can follow only on a machine so busy that the first is long done.
            assert replicas.count(first.replica) in {2, 3}, replicas
            assert len(set(replicas)) == 2, "the other one was free"

    asyncio.run(story())


def test_an_unknown_or_forged_cookie_is_as_none(work_dir: Path) -> None:
    async def story() -> None:
        async with (
            local_replicas(2) as (_, addresses),
            running_gateway(work_dir, lambda at: Membership((at.pool(ready(addresses)),)), services=STICKY) as gateway,
        ):
            for value in ("r9", "nonsense", ""):
                answers = [await visit(gateway, f"colonnade-web={value}") for _ in range(2)]
                assert {answer.status for answer in answers} == {200}
                assert {answer.replica for answer in answers} == {"r1", "r2"}

    asyncio.run(story())


def test_a_draining_slot_would_go_on_getting_its_visitors() -> None:
    assert leaving_state(STICKY["web"]) is ServerState.MAINT
    assert leaving_state(service()) is ServerState.DRAIN


def test_a_client_gets_what_is_allowed_and_is_told_when_to_come_again(work_dir: Path) -> None:
    async def story() -> None:
        services = {
            "web": service(rate_limit={"requests": 5, "per": "2s"}),
            "api": service(route="/api", rate_limit={"requests": 8, "per": "2s"}),
        }
        async with (
            local_replicas(1) as (_, addresses),
            running_gateway(
                work_dir,
                lambda at: Membership(tuple(at.pool(ready(addresses), name) for name in services)),
                services=services,
                internal=["web"],
            ) as gateway,
        ):
            answers = [await get(gateway.port, "/") for _ in range(12)]
            assert [answer.status for answer in answers] == [200] * 5 + [429] * 7
            refused = answers[-1]
            assert refused.headers["retry-after"] == "2"
            assert refused.headers["x-request-id"]
            assert "Please wait a moment" in refused.text
            assert "http" not in refused.text
            api = [(await get(gateway.port, "/api/x")).status for _ in range(9)]
            assert api == [200] * 8 + [429], "each service counts for itself"
            stream = await get(gateway.port, "/", Accept="text/event-stream")
            assert stream.status == 429, "streams count as requests of their service"
            inside = [(await get(port_of(gateway.listeners["service:web"]), "/")).status for _ in range(20)]
            assert set(inside) == {200}, "other services are not limited"
            pool = (await gateway.controller.look()).pools["web"]
            assert pool.traffic.requests_total == 5 + 20, "what is refused is no load to scale for"
            assert pool.rejected_total == 0, "refused for its own doing, not for want of places"
            # It is served again in time, although it never stopped asking.
            async with asyncio.timeout(10):
                while (await get(gateway.port, "/")).status == 429:  # noqa: ASYNC110 — time has to pass in HAProxy
                    await asyncio.sleep(0.1)

    asyncio.run(story())
