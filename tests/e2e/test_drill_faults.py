"""Faults that need a whole system: bad versions that it undoes, a second crowd that it stands, parts that die."""

from __future__ import annotations

import asyncio

import pytest

from colonnade.drill.faults.targets import candidates
from colonnade.drill.load.ledger import Kind
from colonnade.drill.load.plan import Plan
from colonnade.drill.load.workload import Action, Workload
from colonnade.drill.scenario import Aim, PlannedFault, Role

from .drilled import Drilled, play
from .harness import TINY_APP, TINY_SERVICE, Runner, Trickle

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

ROLLED = TINY_SERVICE + '\n[services.web.rollout]\ncanary_time = "3s"\ncanary_requests = 20\n'
"""Three seconds give the new version some hundred answers here; with fewer than twenty nothing is compared."""


@pytest.mark.parametrize("settings", [{"how": "does_not_start"}, {"how": "errs", "share": 0.5}], ids=str)
def test_a_bad_version_is_undone_and_the_copy_is_as_before(runner: Runner, settings: dict[str, float | str]) -> None:
    async def case(system: Drilled) -> None:
        fault = system.fault(PlannedFault("bad_rollout", Aim(Role.SERVICE, service="web"), 0.0, 1.0, settings))
        with Trickle(runner):
            await fault.inject()
            await fault.heal()
        assert "undone" in fault.message, fault.message + runner.story()
        assert (runner.directory / "tiny.py").read_text() == TINY_APP
        status = await system.whole()
        assert status["deployed_version"] == status["services"][0]["version"] == 1
        await fault.heal()

    play(runner, ROLLED, case)


def test_a_second_crowd_comes_and_goes(runner: Runner) -> None:
    async def case(system: Drilled) -> None:
        reads = Workload("tiny", (Action("home", Kind.READ, "GET", "/"),))
        system.plan = Plan(system.url, 50.0, 10.0, "first", write_share=0.0, workload=reads)
        fault = system.fault(PlannedFault("overload", Aim(Role.SYSTEM), 0.0, 2.0, {"factor": 4.0}))
        await fault.inject()
        await asyncio.sleep(2.5)
        await fault.heal()
        assert fault.message.startswith("sent 200 more requests/s for 2 s: "), fault.message
        assert " of 0 were" not in fault.message
        await fault.heal()
        await system.whole()

    play(runner, TINY_SERVICE, case)


@pytest.mark.parametrize(("factor", "count"), [(0.5, 1), (2.0, 4)], ids=["smaller", "larger"])
def test_a_service_of_another_size_is_as_before(runner: Runner, factor: float, count: int) -> None:
    async def case(system: Drilled) -> None:
        fault = system.fault(PlannedFault("scale", Aim(Role.SERVICE, service="web"), 0.0, 1.0, {"factor": factor}))
        await fault.heal()
        assert len(runner.replicas()) == 2
        with Trickle(runner) as trickle:
            await fault.inject()
            await system.until(lambda: len(runner.replicas()) == count, f"there are {count}")
            await system.whole()
            await fault.heal()
            await system.until(lambda: len(runner.replicas()) == 2, "there are two again")
        assert trickle.failures == []
        assert fault.message == f"scaled web from 2 to {count} replicas"
        await system.whole()
        await fault.heal()

    play(runner, TINY_SERVICE, case)


def is_replaced(runner: Runner, role: Role, pid: int) -> bool:
    status = runner.status()
    found = candidates(status, Aim(role)) if status is not None else ()
    return bool(found) and pid not in [target.pid for target in found]


@pytest.mark.parametrize("role", [Role.REPLICA, Role.GATEWAY, Role.CONTROLLER, Role.KEEPER])
def test_who_was_killed_is_replaced(runner: Runner, role: Role) -> None:
    async def case(system: Drilled) -> None:
        fault = system.fault(PlannedFault("kill", Aim(role), 0.0))
        await fault.inject()
        pid = int(fault.message.rpartition("pid ")[2].rstrip(")"))
        await system.until(lambda: pid not in runner.processes(), "it is dead")
        await system.until(lambda: is_replaced(runner, role, pid), "another has its place")
        await system.whole()

    play(runner, TINY_SERVICE, case)


@pytest.mark.parametrize("role", [Role.REPLICA, Role.GATEWAY])
def test_who_was_frozen_or_starved_serves_again(runner: Runner, role: Role) -> None:
    async def case(system: Drilled) -> None:
        for kind in ("freeze", "starve"):
            fault = system.fault(PlannedFault(kind, Aim(role), 0.0, 1.0))
            await fault.inject()
            await asyncio.sleep(1.0)
            await fault.heal()
            await system.whole()
            assert (await asyncio.to_thread(runner.get)).status == 200

    play(runner, TINY_SERVICE, case)
