"""Faults of processes, on real ones that carry an instance's mark: struck, healed, and nobody else is touched."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import psutil
import pytest

from colonnade.core import processes
from colonnade.core.clock import SystemClock
from colonnade.core.errors import SpecError
from colonnade.core.processes import SYSTEM_MARK, Command, start_ticks_of, variable_of
from colonnade.drill.faults.fault import Fault, Instance, NotPossible, Surroundings
from colonnade.drill.faults.registry import FAULTS
from colonnade.drill.scenario import Aim, Extent, PlannedFault, Role
from colonnade.system.paths import StatePaths

pytestmark = pytest.mark.slow

WORKERS = "import os\nfor _ in range(2):\n    if not os.fork(): break\nwhile True: pass"
"""Three processes in one group, all busy."""

WAIT_S = 10.0


@dataclass
class Stage:
    """Replicas that do nothing, and what `status` would say of them."""

    directory: Path
    replicas: list[int] = field(default_factory=list)

    @property
    def paths(self) -> StatePaths:
        return StatePaths(self.directory / "state")

    def start(self, code: str = "while True: pass", *, mark: str | None = None) -> int:
        env = {SYSTEM_MARK: self.paths.mark if mark is None else mark, "PATH": os.environ["PATH"]}
        log = self.directory / "log"
        with closing(processes.start(Command([sys.executable, "-c", code], self.directory, env, log))) as process:
            self.replicas.append(process.pid)
        # The kernel shows a new program's environment a moment after it has begun.
        until(lambda: variable_of(self.replicas[-1], SYSTEM_MARK) == env[SYSTEM_MARK])
        return self.replicas[-1]

    def around(self) -> Surroundings:
        replicas = [{"id": f"web/{number}", "pid": pid} for number, pid in enumerate(self.replicas, 1)]
        status: dict[str, Any] = {"services": [{"name": "web", "route": "/", "replicas": replicas}]}
        instance = Instance(self.paths, self.directory, "http://127.0.0.1:1", self.directory)
        return Surroundings(instance, status, None, Random(1), SystemClock())

    def fault(self, kind: str, extent: Extent = Extent.ALL, role: Role = Role.REPLICA, **settings: float) -> Fault:
        return FAULTS[kind](PlannedFault(kind, Aim(role, extent), 0.0, 1.0, settings), self.around())


@pytest.fixture
def stage(work_dir: Path) -> Iterator[Stage]:
    made = Stage(work_dir)
    try:
        yield made
    finally:
        for pid in made.replicas:
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)
        # Its workers end a moment after it.
        until(lambda: not any(True for pid in made.replicas for _ in processes.group_members(pid)))


def state_of(pid: int) -> str:
    text = Path(f"/proc/{pid}/stat").read_text()
    return text[text.rindex(")") + 2]


def oom_score_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/oom_score_adj").read_text())


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def group_of(pid: int, count: int = 3) -> list[int]:
    until(lambda: len(list(processes.group_members(pid))) == count)
    return list(processes.group_members(pid))


def test_killed_together_and_told_who_it_was(stage: Stage) -> None:
    pids = [stage.start(), stage.start()]
    fault = stage.fault("kill")
    assert fault.subjects == ("web/1", "web/2")
    assert fault.message == f"killed web/1, a replica (pid {pids[0]}) and web/2, a replica (pid {pids[1]})"
    asyncio.run(fault.inject())
    until(lambda: all(start_ticks_of(pid) is None for pid in pids))
    asyncio.run(fault.heal())


def test_one_of_several_is_drawn(stage: Stage) -> None:
    pids = [stage.start(), stage.start(), stage.start()]
    asyncio.run(stage.fault("kill", Extent.ONE).inject())
    until(lambda: sum(start_ticks_of(pid) is None for pid in pids) == 1)


@pytest.mark.parametrize("kind", ["kill", "freeze"])
def test_a_pid_that_is_somebody_elses_by_now_is_not_struck(stage: Stage, kind: str) -> None:
    pid = stage.start(mark="/another/system")
    with pytest.raises(NotPossible) as caught:
        asyncio.run(stage.fault(kind).inject())
    assert caught.value.reason == "target_is_gone"
    assert state_of(pid) != "T"


def test_nobody_to_strike_is_not_possible(stage: Stage) -> None:
    for kind in ("kill", "freeze", "starve"):
        with pytest.raises(NotPossible) as caught:
            stage.fault(kind)
        assert caught.value.reason == "no_such_target"


def test_a_setting_that_it_does_not_know_is_refused(stage: Stage) -> None:
    stage.start()
    for kind in ("kill", "starve", "freeze"):
        with pytest.raises(SpecError):
            stage.fault(kind, delay_s=1.0)
    with pytest.raises(SpecError):
        stage.fault("starve", share=1.5)


def test_frozen_with_all_its_workers_and_woken(stage: Stage) -> None:
    pids = group_of(stage.start(WORKERS))
    fault = stage.fault("freeze")
    asyncio.run(fault.inject())
    assert "3 processes" in fault.message
    until(lambda: [state_of(pid) for pid in pids] == ["T"] * 3)
    asyncio.run(fault.heal())
    until(lambda: "T" not in [state_of(pid) for pid in pids])
    asyncio.run(fault.heal())


def test_what_was_killed_while_it_was_frozen_is_healed_without_a_word(stage: Stage) -> None:
    pid = stage.start()
    fault = stage.fault("freeze")
    asyncio.run(fault.inject())
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    asyncio.run(fault.heal())


def test_healing_before_anything_was_injected_does_nothing(stage: Stage) -> None:
    pid = stage.start()
    for kind in ("kill", "freeze", "starve"):
        asyncio.run(stage.fault(kind).heal())
    assert state_of(pid) != "T"


def test_starved_of_most_of_its_time_and_free_again(stage: Stage) -> None:
    pids = group_of(stage.start(WORKERS))
    os.sched_setaffinity(pids[0], {min(os.sched_getaffinity(0))})

    async def cpu_share_while_starved() -> float:
        fault = stage.fault("starve", share=0.1)
        await fault.inject()
        process = psutil.Process(pids[0])
        began_s, before = time.monotonic(), process.cpu_times().user
        await asyncio.sleep(1.0)
        share = (process.cpu_times().user - before) / (time.monotonic() - began_s)
        await fault.heal()
        await fault.heal()
        return share

    assert asyncio.run(cpu_share_while_starved()) < 0.5
    until(lambda: "T" not in [state_of(pid) for pid in pids])


@asynccontextmanager
async def injected(fault: Fault) -> AsyncIterator[None]:
    """Healed whatever a test says of it: burdens that stay would weigh on all tests that follow."""
    try:
        await fault.inject()
        yield
    finally:
        await fault.heal()


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "burden" in command_of(child)]


def command_of(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.ZombieProcess:
        return ""


def test_a_busy_machine_is_at_rest_after_healing(stage: Stage) -> None:
    async def case() -> None:
        fault = stage.fault("starve", role=Role.SYSTEM, busy_per_core=1)
        async with injected(fault):
            busy = children()
            assert len(busy) == len(os.sched_getaffinity(0))
            assert len({tuple(process.cpu_affinity()) for process in busy}) == len(busy)
        assert children() == []
        await fault.heal()

    asyncio.run(case())


def test_memory_is_taken_within_bounds_and_given_back(stage: Stage) -> None:
    async def case() -> None:
        fault = stage.fault("memory_pressure", role=Role.SYSTEM, share=0.01)
        async with injected(fault):
            (holder,) = children()
            assert holder.memory_info().rss > 0.008 * psutil.virtual_memory().available
            assert oom_score_of(holder.pid) == 1000
        assert children() == []

    asyncio.run(case())


def test_never_more_than_a_quarter_of_the_free_memory_is_asked_for(stage: Stage) -> None:
    assert "25%" in stage.fault("memory_pressure", role=Role.SYSTEM, share=0.9).message


def test_an_interrupted_burden_is_taken_away(stage: Stage) -> None:
    async def case() -> None:
        fault = stage.fault("memory_pressure", role=Role.SYSTEM, share=0.01)
        injecting = asyncio.create_task(fault.inject())
        await asyncio.sleep(0.05)
        injecting.cancel()
        await asyncio.gather(injecting, return_exceptions=True)
        await fault.heal()
        assert children() == []

    asyncio.run(case())


def test_what_takes_more_than_this_machine_gives_says_so(stage: Stage) -> None:
    stage.start()
    reasons = {}
    for kind, role in {
        "clock_jump": Role.SYSTEM,
        "disk_full": Role.SYSTEM,
        "link_cut": Role.REPLICA,
        "memory_pressure": Role.REPLICA,
        "overload": Role.SYSTEM,
        "bad_rollout": Role.REPLICA,
        "scale": Role.REPLICA,
    }.items():
        stage.paths.root.mkdir(exist_ok=True)
        with pytest.raises(NotPossible) as caught:
            stage.fault(kind, role=role)
        reasons[kind] = caught.value.reason
    assert reasons == {
        "clock_jump": "one_clock_for_all",
        "disk_full": "no_small_disk",
        "link_cut": "no_links",
        "memory_pressure": "not_for_one_part",
        "overload": "no_load",
        "bad_rollout": "not_a_service",
        "scale": "not_a_service",
    }
