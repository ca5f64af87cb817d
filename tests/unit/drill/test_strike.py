"""One fault from its time to its healing, on a clock that jumps."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from colonnade.core.clock import SimulatedClock
from colonnade.core.errors import DriverUnavailable, SpecError
from colonnade.drill.faults.fault import Fault, NotPossible
from colonnade.drill.record import FaultEnd
from colonnade.drill.scenario import Aim, PlannedFault, Role
from colonnade.drill.strike import Strike

KILL = PlannedFault("kill", Aim(Role.REPLICA), at_s=5)
FREEZE = PlannedFault("freeze", Aim(Role.REPLICA), at_s=5, lasts_s=3)
START_AT = 1_000.0
"""Where the simulated clock begins."""


@dataclass
class Recorded:
    """A fault that notes when what is done with it; `injecting` and `healing` happen at that moment."""

    clock: SimulatedClock
    injecting: Callable[[], Awaitable[None]] | None = None
    healing: Callable[[], Awaitable[None]] | None = None
    subjects: tuple[str, ...] = ("web/1",)
    message: str = "broke web/1"
    story: list[tuple[str, float]] = field(default_factory=list)

    async def inject(self) -> None:
        self.story.append(("inject", self.clock.monotonic() - START_AT))
        if self.injecting is not None:
            await self.injecting()

    async def heal(self) -> None:
        self.story.append(("heal", self.clock.monotonic() - START_AT))
        if self.healing is not None:
            await self.healing()


def raises(error: Exception) -> Callable[[], Awaitable[None]]:
    async def fail() -> None:
        raise error

    return fail


def carry_out(planned: PlannedFault, fault: Recorded, refusal: Exception | None = None) -> Strike:
    async def make() -> Fault:
        if refusal is not None:
            raise refusal
        return fault

    async def main() -> Strike:
        strike = Strike(planned, fault.clock)
        await strike.carry_out(make, START_AT)
        return strike

    return asyncio.run(main())


def test_a_fault_strikes_at_its_time_and_is_healed_after_it() -> None:
    fault = Recorded(SimulatedClock())
    record = carry_out(FREEZE, fault).record
    assert fault.story == [("inject", 5), ("heal", 8)]
    assert (record.end, record.subjects, record.message) == (FaultEnd.DONE, ("web/1",), "broke web/1")
    assert (record.injected_at, record.healed_at) == (START_AT + 5, START_AT + 8)


def test_what_has_no_duration_is_healed_when_that_is_asked_for() -> None:
    fault = Recorded(SimulatedClock())
    strike = carry_out(KILL, fault)
    assert fault.story == [("inject", 5)]
    asyncio.run(strike.heal())
    asyncio.run(strike.heal())
    assert fault.story == [("inject", 5), ("heal", 5)], "once"
    assert strike.record.end is FaultEnd.DONE
    assert strike.record.healed_at is None, "a kill is not taken back"


@pytest.mark.parametrize("planned", [KILL, FREEZE])
def test_what_is_not_possible_is_skipped_with_its_reason(planned: PlannedFault) -> None:
    fault = Recorded(SimulatedClock())
    record = carry_out(planned, fault, NotPossible("no_such_target", "there is no standby")).record
    assert (record.end, record.reason, record.message) == (FaultEnd.SKIPPED, "no_such_target", "there is no standby")
    assert record.injected_at is None
    assert fault.story == []


def test_what_turns_out_to_be_impossible_is_skipped_as_well() -> None:
    fault = Recorded(SimulatedClock(), injecting=raises(NotPossible("target_is_gone", "it is gone")))
    record = carry_out(FREEZE, fault).record
    assert (record.end, record.injected_at) == (FaultEnd.SKIPPED, None)
    assert fault.story == [("inject", 5), ("heal", 5)]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Recorded(SimulatedClock(), injecting=raises(OSError(1, "no"))), "inject_failed"),
        (Recorded(SimulatedClock(), healing=raises(DriverUnavailable("still open", hint="wait"))), "heal_failed"),
    ],
)
def test_a_failure_is_the_drills_own_and_what_was_broken_is_healed(fault: Recorded, reason: str) -> None:
    record = carry_out(FREEZE, fault).record
    assert (record.end, record.reason) == (FaultEnd.FAILED, reason)
    assert fault.story[-1][0] == "heal"


def test_settings_that_a_fault_does_not_know_are_a_failure_with_its_sentence() -> None:
    record = carry_out(FREEZE, Recorded(SimulatedClock()), SpecError("no such setting", hint="take it out")).record
    assert (record.end, record.message) == (FaultEnd.FAILED, "no such setting")


@pytest.mark.parametrize(
    ("cancel_at_s", "end", "story"),
    [(4, FaultEnd.NOT_REACHED, []), (6, FaultEnd.DONE, [("inject", 5), ("heal", 6)])],
)
def test_an_interrupted_one_is_healed_by_whoever_drives_it(
    cancel_at_s: float, end: FaultEnd, story: list[tuple[str, float]]
) -> None:
    fault = Recorded(SimulatedClock())

    async def make() -> Fault:
        return fault

    async def main() -> Strike:
        strike = Strike(FREEZE, fault.clock)
        task = asyncio.create_task(strike.carry_out(make, START_AT))
        await fault.clock.sleep(cancel_at_s)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await strike.heal()
        return strike

    strike = asyncio.run(main())
    assert strike.record.end is end
    assert fault.story == story


def test_one_that_is_interrupted_while_it_breaks_is_no_success() -> None:
    clock = SimulatedClock()
    fault = Recorded(clock, injecting=lambda: clock.sleep(100))

    async def make() -> Fault:
        return fault

    async def main() -> Strike:
        strike = Strike(FREEZE, clock)
        task = asyncio.create_task(strike.carry_out(make, START_AT))
        await clock.sleep(6)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await strike.heal()
        return strike

    strike = asyncio.run(main())
    assert (strike.record.end, strike.record.reason) == (FaultEnd.FAILED, "interrupted")
    assert fault.story[-1] == ("heal", 6)


def test_a_healing_that_is_interrupted_goes_on_and_is_waited_for() -> None:
    clock = SimulatedClock()
    fault = Recorded(clock, healing=lambda: clock.sleep(100))

    async def make() -> Fault:
        return fault

    async def main() -> Strike:
        strike = Strike(FREEZE, clock)
        task = asyncio.create_task(strike.carry_out(make, START_AT))
        await clock.sleep(9)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await strike.heal()
        await strike.heal()
        return strike

    strike = asyncio.run(main())
    assert fault.story == [("inject", 5), ("heal", 8)], "once"
    assert (strike.record.end, strike.record.healed_at) == (FaultEnd.DONE, START_AT + 108)


def test_an_error_of_healing_that_nobody_expects_is_told_once() -> None:
    fault = Recorded(SimulatedClock(), healing=raises(ValueError("a bug")))
    strike = carry_out(KILL, fault)

    async def main() -> None:
        with pytest.raises(ValueError, match="a bug"):
            await strike.heal()
        await strike.heal()

    asyncio.run(main())
    assert fault.story[-1] == ("heal", 5)
