"""What breaks, and what clients notice of it: replicas killed or frozen, HAProxy killed, the controller gone."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.e2e.gateway.client import Load, Request, get
from tests.e2e.gateway.kit import (
    eventually,
    listen,
    local_replicas,
    port_of,
    ready,
    replica_processes,
    running_gateway,
    service,
    start_replica,
    wait_for_port,
)

from colonnade.gateway.state import Membership

pytestmark = pytest.mark.slow

FreePort = Callable[[], int]


def read(number: int) -> Request:
    return Request(path=f"/sleep/{number % 20}")


def keyed_write(number: int) -> Request:
    key = f"key-{number}"
    return Request("POST", "/write", (("Idempotency-Key", key),), key.encode() + b" " + b"x" * 2000)


def plain_write(number: int) -> Request:
    return Request("POST", "/write", (), f"plain-{number}".encode())


def mixed(number: int) -> Request:
    return keyed_write(number) if number % 3 == 0 else read(number)


def writes(work_dir: Path) -> Counter[str]:
    lines = (work_dir / "writes").read_text().splitlines()
    return Counter(line.split(" ")[0] for line in lines)


@pytest.mark.parametrize("balance", ["round-robin", "least-connections", "consistent-hash"])
def test_a_killed_replica_costs_no_read_and_no_keyed_write(work_dir: Path, free_port: FreePort, balance: str) -> None:
    async def story() -> None:
        services = {"web": service(idempotency_key=True, balance=balance, queue_max=100)}
        async with (
            replica_processes(work_dir, free_port, 3) as (replicas, addresses),
            running_gateway(
                work_dir, lambda at: Membership((at.pool(ready(addresses)),)), services=services
            ) as gateway,
            Load(gateway.port, mixed, workers=12) as load,
        ):
            for slot in (1, 2, 3):
                await asyncio.sleep(0.4)
                old = replicas[slot - 1]
                assert load.in_flight >= 6
                old.process.send(signal.SIGKILL)
                await asyncio.sleep(0.1)
                del addresses[slot]
                await gateway.apply(ready(addresses))
                replacement = start_replica(work_dir, old.name, free_port())
                replicas.append(replacement)
                await wait_for_port(replacement.address)
                addresses[slot] = replacement.address
                await gateway.apply(ready(addresses))
            await asyncio.sleep(0.3)
            outcomes = await load.finish()
            assert len(outcomes) > 300
            assert load.failed == []

    asyncio.run(story())


def test_a_write_without_a_key_is_never_done_twice(work_dir: Path, free_port: FreePort) -> None:
    async def story() -> None:
        async with (
            replica_processes(work_dir, free_port, 3) as (replicas, addresses),
            running_gateway(work_dir, lambda at: Membership((at.pool(ready(addresses)),))) as gateway,
            Load(gateway.port, plain_write, workers=12) as load,
        ):
            await asyncio.sleep(0.3)
            for replica in replicas[:2]:
                replica.process.send(signal.SIGKILL)
                await asyncio.sleep(0.4)
            outcomes = await load.finish()
            # Some were under way at the kill, else this shows nothing; they failed, and were not done again.
            assert 1 <= len(load.failed) <= 24, len(load.failed)
            # On a kept connection HAProxy closes without an answer (status 0), as the protocol has it; the only way to
            # a 502 each time is a new connection per request, at twice the CPU.
            assert {outcome.status for outcome in load.failed} <= {0, 502}
            done = writes(work_dir)
            assert max(done.values()) == 1
            assert len(done) >= sum(outcome.status == 200 for outcome in outcomes)

    asyncio.run(story())


def test_a_key_is_no_reason_to_repeat_where_the_service_does_not_say_so(work_dir: Path, free_port: FreePort) -> None:
    async def story() -> None:
        async with (
            replica_processes(work_dir, free_port, 2) as (replicas, addresses),
            running_gateway(work_dir, lambda at: Membership((at.pool(ready(addresses)),))) as gateway,
            Load(gateway.port, keyed_write, workers=8) as load,
        ):
            await asyncio.sleep(0.3)
            replicas[0].process.send(signal.SIGKILL)
            await asyncio.sleep(0.2)
            await load.finish()
            assert load.failed
            assert max(writes(work_dir).values()) == 1

    asyncio.run(story())


def test_a_frozen_replica_is_seen_within_a_second_and_killing_it_saves_its_requests(
    work_dir: Path, free_port: FreePort
) -> None:
    async def story() -> None:
        services = {"web": service(idempotency_key=True)}
        async with (
            replica_processes(work_dir, free_port, 3) as (replicas, addresses),
            running_gateway(
                work_dir, lambda at: Membership((at.pool(ready(addresses)),)), services=services
            ) as gateway,
            Load(gateway.port, mixed, workers=6) as load,
        ):
            await asyncio.sleep(0.3)
            frozen_at = time.monotonic()
            replicas[1].process.send(signal.SIGSTOP)

            def is_down() -> bool:
                return gateway.controller.view().pools["web"].servers[2].is_down

            await eventually(is_down)
            assert time.monotonic() - frozen_at < 5.0
            view = gateway.controller.view().pools["web"].servers[2]
            assert view.check_status == "L7TOUT"
            assert view.failing_since_s is not None
            replicas[1].process.send(signal.SIGKILL)
            await asyncio.sleep(0.3)
            await load.finish()
            assert load.failed == []

    asyncio.run(story())


def test_a_killed_gateway_is_back_within_half_a_second_and_nobody_is_refused(work_dir: Path) -> None:
    async def story() -> None:
        async with (
            local_replicas(3) as (_, addresses),
            running_gateway(work_dir, lambda at: Membership((at.pool(ready(addresses)),))) as gateway,
        ):
            for _ in range(5):
                await get(gateway.port)
                pid = gateway.controller.view().pid
                assert pid is not None
                os.kill(pid, signal.SIGKILL)
                killed_at = time.monotonic()
                # New connections: they wait in the kernel, and each gets its answer.
                answers = await asyncio.gather(*(get(gateway.port) for _ in range(50)))
                assert time.monotonic() - killed_at < 3.0
                assert {answer.status for answer in answers} == {200}
                await eventually(lambda pid=pid: gateway.controller.view().pid not in (None, pid))  # type: ignore[misc]
            exits = [event for event in gateway.events if event.kind == "gateway_exited"]
            assert len(exits) == 5

    asyncio.run(story())


def test_a_restarted_gateway_has_the_last_membership_in_its_text(work_dir: Path) -> None:
    async def story() -> None:
        async with (
            local_replicas(4) as (_, addresses),
            running_gateway(
                work_dir, lambda at: Membership((at.pool(ready({1: addresses[1], 2: addresses[2]})),))
            ) as gateway,
        ):
            await gateway.apply(ready({3: addresses[3], 4: addresses[4]}))
            os.kill(gateway.controller.view().pid or 0, signal.SIGKILL)
            answers = await asyncio.gather(*(get(gateway.port) for _ in range(20)))
            assert {answer.replica for answer in answers} == {"r3", "r4"}

    asyncio.run(story())


def test_another_controller_adopts_the_same_process(work_dir: Path) -> None:
    async def story() -> None:
        async with (
            local_replicas(3) as (_, addresses),
            running_gateway(
                work_dir, lambda at: Membership((at.pool(ready({1: addresses[1], 2: addresses[2]})),))
            ) as gateway,
            Load(gateway.port, read, workers=4) as load,
        ):
            await asyncio.sleep(0.2)
            before = gateway.controller.view()
            gateway.controller.detach()
            await asyncio.sleep(0.1)
            # The second one has other descriptor numbers and another membership: neither needs a reload.
            spare = os.dup(gateway.listeners["public"].fileno())
            gateway.new_controller()
            await gateway.controller.start(Membership((gateway.pool(ready({2: addresses[2], 3: addresses[3]})),)))
            gateway.run()
            os.close(spare)
            view = await gateway.controller.look()
            assert view.pid == before.pid
            assert gateway.controller.view().reloads_count == 0
            assert {(await get(gateway.port)).replica for _ in range(6)} == {"r2", "r3"}
            await load.finish()
            assert load.failed == []
            # And it is the adopted one's guardian too.
            os.kill(view.pid or 0, signal.SIGKILL)
            assert (await get(gateway.port)).status == 200

    asyncio.run(story())


def test_scaling_under_load_loses_nothing_and_reloads_nothing(work_dir: Path) -> None:
    async def story() -> None:
        async with (
            local_replicas(5) as (_, addresses),
            running_gateway(
                work_dir, lambda at: Membership((at.pool(ready({s: addresses[s] for s in (1, 2, 3)})),))
            ) as gateway,
            Load(gateway.port, read, workers=8) as load,
        ):
            before = await gateway.controller.look()
            for _ in range(10):
                for count in (5, 2, 3):
                    await gateway.apply(ready({slot: addresses[slot] for slot in range(1, count + 1)}))
                    await asyncio.sleep(0.05)
            await load.finish()
            after = await gateway.controller.look()
            assert len(load.outcomes) > 200
            assert load.failed == []
            assert after.pid == before.pid
            assert after.uptime_s >= before.uptime_s
            assert after.reloads_count == 0

    asyncio.run(story())


def test_a_reload_loses_nothing(work_dir: Path) -> None:
    async def story() -> None:
        async with (
            local_replicas(3) as (_, addresses),
            running_gateway(work_dir, lambda at: Membership((at.pool(ready(addresses)),))) as gateway,
            Load(gateway.port, read, workers=8) as load,
        ):
            pids = {gateway.controller.view().pid}
            for expect in ("200-499", "200-399") * 4:
                await gateway.controller.apply(Membership((gateway.pool(ready(addresses), check_expect=expect),)))
                pids.add((await gateway.controller.look()).pid)
                await asyncio.sleep(0.1)
            await asyncio.sleep(2.5)  # the old ones close their idle connections, spread over two seconds
            await load.finish()
            assert load.failed == []
            assert len(pids) == 9
            assert gateway.controller.view().reloads_count == 8

    asyncio.run(story())


def test_a_faulty_text_leaves_the_old_process_serving(work_dir: Path) -> None:
    async def story() -> None:
        async with (
            local_replicas(1) as (_, addresses),
            running_gateway(work_dir, lambda at: Membership((at.pool(ready(addresses)),))) as gateway,
        ):
            pid = gateway.controller.view().pid
            membership = Membership((gateway.pool(ready(addresses)),))
            with pytest.raises(Exception, match="nonsense"):
                await gateway.controller.reconfigure(lambda *_: "nonsense\n", gateway.descriptors(), membership)
            assert (await get(gateway.port)).status == 200
            await gateway.controller.reconfigure(gateway.render(), gateway.descriptors(), membership)
            assert (await gateway.controller.look()).pid == pid

    asyncio.run(story())


def test_when_most_replicas_fail_their_check_all_are_sent_to_until_half_pass_again(work_dir: Path) -> None:
    async def story() -> None:
        async with (
            local_replicas(3) as (replicas, addresses),
            running_gateway(work_dir, lambda at: Membership((at.pool(ready(addresses)),))) as gateway,
        ):

            def pool_is_open() -> bool:
                return gateway.controller.view().pools["web"].is_failed_open

            await asyncio.sleep(0.6)
            replicas[0].health_status = 500
            await eventually(lambda: gateway.controller.view().pools["web"].servers[1].is_down)
            assert {(await get(gateway.port)).replica for _ in range(6)} == {"r2", "r3"}
            replicas[1].health_status = replicas[2].health_status = 500
            await eventually(pool_is_open)
            answers = [await get(gateway.port) for _ in range(9)]
            assert {(answer.status, answer.replica) for answer in answers} == {(200, f"r{slot}") for slot in (1, 2, 3)}
            failing = gateway.controller.view().pools["web"].servers
            assert all(server.failing_since_s is not None for server in failing.values())
            replicas[1].health_status = replicas[2].health_status = 200
            await eventually(lambda: not pool_is_open())
            await eventually(lambda: gateway.controller.view().pools["web"].servers[1].is_down)
            assert {(await get(gateway.port)).replica for _ in range(6)} == {"r2", "r3"}

    asyncio.run(story())


def test_a_drained_replica_finishes_what_it_has_and_gets_no_more(work_dir: Path) -> None:
    async def story() -> None:
        async with (
            local_replicas(2) as (_, addresses),
            running_gateway(work_dir, lambda at: Membership((at.pool(ready(addresses)),))) as gateway,
        ):
            slow = [asyncio.create_task(get(gateway.port, "/sleep/600")) for _ in range(4)]
            await asyncio.sleep(0.1)
            await gateway.apply(ready({2: addresses[2]}, draining={1: addresses[1]}))
            assert not await gateway.controller.wait_drained("web", 1, 0.1)
            assert {(await get(gateway.port)).replica for _ in range(4)} == {"r2"}
            assert await gateway.controller.wait_drained("web", 1, 2.0)
            assert {(await answer).status for answer in slow} == {200}

    asyncio.run(story())


def test_two_gateways_share_nothing(work_dir: Path) -> None:
    """A process that is not ours on the recorded pid is neither adopted nor killed."""

    async def story() -> None:
        async with (
            local_replicas(1) as (_, addresses),
            running_gateway(work_dir, lambda at: Membership((at.pool(ready(addresses)),))) as gateway,
        ):
            other = listen()
            record = gateway.directory / "process.json"
            gateway.controller.detach()
            text = record.read_text()
            pid = int(text.split('"pid": ')[1].split(",")[0])
            record.write_text(text.replace(f'"pid": {pid}', f'"pid": {os.getpid()}'))
            gateway.new_controller()
            await gateway.controller.start(Membership((gateway.pool(ready(addresses)),)))
            gateway.run()
            assert gateway.controller.view().pid not in (pid, os.getpid())
            assert port_of(other) > 0
            other.close()
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)  # noqa: ASYNC222 — it was just killed

    asyncio.run(story())


def process_status(pid: int | None) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def test_as_root_the_gateway_drops_to_an_ordinary_user(work_dir: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can drop")

    async def story() -> None:
        async with (
            local_replicas(1) as (_, addresses),
            running_gateway(work_dir, lambda at: Membership((at.pool(ready(addresses)),))) as gateway,
        ):
            fields = process_status(gateway.controller.view().pid)
            assert fields["Uid"].split() == ["65534"] * 4
            assert fields["Gid"].split() == ["65534"] * 4
            assert set(fields["Groups"].split()) <= {"65534"}
            assert (gateway.directory / "s").stat().st_mode & 0o777 == 0o600

    asyncio.run(story())
