"""Simulated time: nobody waits, and everybody wakes in the order of their deadlines."""

from __future__ import annotations

import asyncio
import time

import pytest

from colonnade.core.clock import SimulatedClock, SystemClock


def test_it_stands_still_until_someone_sleeps() -> None:
    clock = SimulatedClock(start_s=5.0, wall_offset_s=100.0)
    assert (clock.monotonic(), clock.wall()) == (5.0, 105.0)
    asyncio.run(clock.sleep(2.5))
    assert (clock.monotonic(), clock.wall()) == (7.5, 107.5)


def test_an_hour_takes_no_time() -> None:
    started_s = time.monotonic()
    asyncio.run(SimulatedClock().sleep(3600.0))
    assert time.monotonic() - started_s < 1.0


def test_sleepers_wake_at_their_own_deadlines() -> None:
    """A long sleeper must not carry the short ones with it: each sees exactly the time that it asked for."""
    clock = SimulatedClock(start_s=0.0)
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, duration_s: float, times: int) -> None:
        for _ in range(times):
            await clock.sleep(duration_s)
            woken.append((name, clock.monotonic()))

    async def main() -> None:
        await asyncio.gather(sleeper("slow", 2.5, 2), sleeper("quick", 1.0, 5))

    asyncio.run(main())
    assert woken == [
        ("quick", 1.0),
        ("quick", 2.0),
        ("slow", 2.5),
        ("quick", 3.0),
        ("quick", 4.0),
        ("slow", 5.0),
        ("quick", 5.0),
    ]


def test_work_between_two_sleeps_takes_no_simulated_time() -> None:
    clock = SimulatedClock(start_s=0.0)
    seen: list[float] = []

    async def worker() -> None:
        await clock.sleep(1.0)
        for _ in range(20):
            await asyncio.sleep(0)
        seen.append(clock.monotonic())

    async def main() -> None:
        await asyncio.gather(worker(), clock.sleep(10.0))

    asyncio.run(main())
    assert seen == [1.0]


def test_a_cancelled_sleeper_moves_nothing() -> None:
    clock = SimulatedClock(start_s=0.0)

    async def main() -> None:
        long = asyncio.ensure_future(clock.sleep(100.0))
        short = asyncio.ensure_future(clock.sleep(1.0))
        await asyncio.sleep(0)
        long.cancel()
        await short
        with pytest.raises(asyncio.CancelledError):
            await long
        for _ in range(5):
            await asyncio.sleep(0)

    asyncio.run(main())
    assert clock.monotonic() == 1.0


def test_advancing_by_hand_wakes_whose_time_has_come() -> None:
    clock = SimulatedClock(start_s=0.0)

    async def main() -> None:
        sleeping = asyncio.ensure_future(clock.sleep(5.0))
        await asyncio.sleep(0)
        clock.advance(5.0)
        await sleeping

    asyncio.run(main())
    assert clock.monotonic() == 5.0


def test_the_system_clock_reads_the_machine() -> None:
    clock = SystemClock()
    before = time.monotonic()
    asyncio.run(clock.sleep(0.001))
    assert before + 0.001 <= clock.monotonic() <= time.monotonic()
    assert abs(clock.wall() - time.time()) < 5.0


@pytest.mark.parametrize("clock", [SimulatedClock(start_s=0.0), SystemClock()])
def test_a_wait_ends_with_its_event_and_otherwise_in_time(clock: SimulatedClock | SystemClock) -> None:
    async def main() -> None:
        event = asyncio.Event()
        asyncio.get_running_loop().call_soon(event.set)
        await clock.wait(event, 3600.0)
        event.clear()
        await clock.wait(event, 0.01)
        assert event.is_set(), "the clock sets it, so that whoever clears it first loses no wake"

    asyncio.run(main())
