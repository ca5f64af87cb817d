"""Whole systems whose parts reach each other over links: they work as without, notice what is cut, and heal."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial

import psycopg
import pytest

from colonnade.core.files import read_json
from colonnade.core.processes import variable_of
from colonnade.drill.scenario import Aim, Extent, PlannedFault, Role
from colonnade.system.detours import port_file

from .drilled import Drilled, play
from .harness import TINY_SERVICE, Runner, Trickle, kill

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

WITH_DATABASE = TINY_SERVICE + 'uses = ["database"]\n\n[database]\n'


def state_in_gateway(runner: Runner, replica: str) -> str:
    status = runner.status() or {"services": []}
    found = [one for service in status["services"] for one in service["replicas"] if one["id"] == replica]
    return str(found[0]["gateway"]) if found else ""


def is_out(runner: Runner, replica: str) -> bool:
    return state_in_gateway(runner, replica) != "UP"


def test_a_replica_that_the_gateway_does_not_reach_is_out_and_comes_back(runner: Runner) -> None:
    async def case(system: Drilled) -> None:
        aim = Aim(Role.GATEWAY, service="web", towards=Role.REPLICA)
        with Trickle(runner) as visitors:
            for kind in ("link_cut", "refuse", "hang", "error_replies", "link_loss"):
                fault = system.fault(PlannedFault(kind, aim, 0.0, 1.0))
                replica = fault.subjects[1]
                await fault.inject()
                await system.until(partial(is_out, runner, replica), f"{replica} is out: {kind}")
                await asyncio.to_thread(visitors.wait_for_answers, 20)
                await fault.heal()
                await system.whole()
            fault = system.fault(PlannedFault("link_delay", aim, 0.0, 1.0, {"delay_s": 0.05}))
            await fault.inject()
            await asyncio.to_thread(visitors.wait_for_answers, 20)
            await fault.heal()
        assert {answer.split()[0] for _, answer in visitors.answers[-40:]} == {"web/1", "web/2"}

    play(runner, TINY_SERVICE, case)


def test_a_replica_that_only_the_gateway_does_not_reach_is_started_anew_once_and_waits(runner: Runner) -> None:
    async def case(system: Drilled) -> None:
        fault = system.fault(PlannedFault("link_cut", Aim(Role.GATEWAY, service="web", towards=Role.REPLICA), 0.0, 1.0))
        replica = fault.subjects[1]
        pids = runner.replicas()
        with Trickle(runner) as visitors:
            await fault.inject()
            await system.until(partial(is_out, runner, replica), f"{replica} is out")
            await system.until(lambda: runner.events("replica_unreached"), "it is told that it answers")
            assert runner.replicas() == pids, "it is not dead"
            answered = len(visitors.answers)
            await system.until(
                lambda: runner.replicas().get(replica) not in (None, pids[replica]), "it is started anew"
            )
            await system.until(lambda: len(runner.events("replica_unreached")) == 2, "which was in vain")
            assert is_out(runner, replica)
            assert {answer.split()[0] for _, answer in visitors.answers[answered:]}.isdisjoint({replica})
            assert len(visitors.failures) <= 2, "each of the two clients may have had one on the way that was cut"
            await fault.heal()
            await system.whole()
            await asyncio.to_thread(visitors.wait_for_answers, 20)
        assert replica in {answer.split()[0] for _, answer in visitors.answers[-20:]}
        killed = runner.events("replica_killed")
        assert [(event.subject, event.reason) for event in killed] == [(replica, "only_gateway_cannot_reach")]

    play(runner, TINY_SERVICE, case)


def test_replicas_that_all_answer_late_go_on(runner: Runner) -> None:
    """Later than any check allows: checks are not believed, once and for as long as it lasts."""

    async def case(system: Drilled) -> None:
        pids = runner.replicas()
        aim = Aim(Role.GATEWAY, Extent.ALL, "web", Role.REPLICA)
        fault = system.fault(PlannedFault("link_delay", aim, 0.0, 1.0, {"delay_s": 0.4}))
        with Trickle(runner, clients=8) as visitors:
            await fault.inject()
            await system.until(lambda: runner.events("gateway_health_overruled"), "checks are not believed")
            await asyncio.to_thread(visitors.wait_for_answers, 20)
            turned_away = len(visitors.failures)
            await asyncio.to_thread(visitors.wait_for_answers, 100)
            assert len(visitors.failures) == turned_away, visitors.failures
            await fault.heal()
            await system.until(lambda: len(runner.events("gateway_health_overruled")) > 1, "checks count again")
            await system.whole()
        assert runner.replicas() == pids
        overruled = [event.reason for event in runner.events("gateway_health_overruled")]
        assert overruled[:2] == ["most_are_out", "health_is_back"]

    play(runner, TINY_SERVICE, case)


def test_a_controller_that_takes_over_goes_on_with_the_links(runner: Runner) -> None:
    async def case(system: Drilled) -> None:
        before = (await system.whole())["controller_pid"]
        kill(before)
        await system.until(
            lambda: (runner.status() or {}).get("controller_pid", before) != before, "another controller"
        )
        kill(*runner.replicas().values())
        await system.whole()
        aim = Aim(Role.GATEWAY, Extent.ALL, "web", Role.REPLICA)
        fault = system.fault(PlannedFault("refuse", aim, 0.0, 1.0))
        await fault.inject()
        await system.links.reset(system.links.names)
        await system.until(partial(is_out, runner, "web/2"), "it is reached over its link, and only so")
        await fault.heal()
        await system.whole()

    play(runner, TINY_SERVICE, case)


class Writer:
    """Writes numbers through the service's own URL, each on a connection of its own; notes what was acknowledged."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.acknowledged: set[int] = set()
        self._next = 0

    async def write(self) -> None:
        self._next += 1
        connection = await psycopg.AsyncConnection.connect(self._url, autocommit=True, connect_timeout=15)
        try:
            async with asyncio.timeout(15):
                await connection.execute("INSERT INTO numbers VALUES (%s)", [self._next])
        finally:
            await connection.close()
        self.acknowledged.add(self._next)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            with suppress(psycopg.Error, TimeoutError):
                await self.write()
            await asyncio.sleep(0.02)

    async def missing(self) -> set[int]:
        async with await psycopg.AsyncConnection.connect(self._url, autocommit=True) as connection:
            rows = await (await connection.execute("SELECT n FROM numbers")).fetchall()
        return self.acknowledged - {number for (number,) in rows}


def test_a_primary_that_nobody_reaches_is_replaced_and_no_write_is_lost(runner: Runner) -> None:
    async def case(system: Drilled) -> None:
        url = variable_of(next(iter(runner.replicas().values())), "DATABASE_URL")
        assert url is not None
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            await connection.execute("CREATE TABLE numbers (n bigint PRIMARY KEY)")
        writer = Writer(url)
        writing = asyncio.create_task(writer.run())
        await system.until(lambda: len(writer.acknowledged) > 10, "it is written to")
        begin = read_json(port_file(system.detours, "web", "database"))
        assert begin is not None
        assert f":{begin['port']}/" in url
        old = (await system.whole())["database"]["primary"]
        fault = system.fault(PlannedFault("link_cut", Aim(Role.PRIMARY), 0.0, 1.0))
        assert set(fault.subjects) == {"dbgate", "a", "b", "c"}
        await fault.inject()
        await system.until(lambda: (runner.status() or {"database": {}})["database"].get("primary") != old, "another")
        count = len(writer.acknowledged)
        await system.until(lambda: len(writer.acknowledged) > count + 10, "it is written to again")
        await fault.heal()
        await system.whole()
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        assert await writer.missing() == set()
        assert "primary_cut_off" in {event.reason for event in runner.events()}

    play(runner, WITH_DATABASE, case)
