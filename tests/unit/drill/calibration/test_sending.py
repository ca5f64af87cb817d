"""Stretches that are sent again, and when that ends."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

from colonnade.core.clock import SystemClock
from colonnade.drill.calibration.parts import Parts
from colonnade.drill.calibration.sending import AGAIN_MAX, AGAIN_TOTAL_MAX, Sender
from colonnade.drill.calibration.shot import Aim, Shot
from colonnade.drill.load.target import Target
from colonnade.drill.load.workload import Workload

from .shots import CALM

LATE = replace(CALM, lag_p99_s=0.04)
STALLED = replace(CALM, slowest_moment=9.0)


def sent(*shots: Shot) -> tuple[list[Shot], Sender]:
    """What came of stretches that went like these, one after the other, until all were used."""
    left: Iterator[Shot] = iter(shots)
    aim = Aim("http://127.0.0.1:1", Target("localhost", "127.0.0.1", 1), Workload("pages", ()), Parts({}, {}))
    sender = Sender(aim, SystemClock(), cores=2.0)

    async def send() -> Shot:
        return next(left)

    async def all_of_them() -> list[Shot]:
        found = []
        while True:
            try:
                found.append(await sender.believable(send))
            except RuntimeError:  # nothing is left: a StopIteration, as a coroutine has it
                return found

    return asyncio.run(all_of_them()), sender


def test_a_calm_stretch_counts_as_it_is() -> None:
    found, sender = sent(CALM, CALM)
    assert found == [CALM, CALM]
    assert (sender.judged_count, sender.again_count, sender.doubts) == (2, 0, [])


def test_a_doubtful_one_is_sent_again_and_the_calm_one_counts() -> None:
    found, sender = sent(STALLED, CALM, LATE, STALLED, CALM)
    assert found == [CALM, CALM]
    assert (sender.judged_count, sender.again_count, sender.doubts) == (2, 3, [])


def test_what_stays_doubtful_is_told() -> None:
    found, sender = sent(*[LATE] * (AGAIN_MAX + 1), CALM)
    assert found == [LATE, CALM]
    assert sender.doubts == [LATE.doubt]


def test_a_machine_that_is_never_calm_comes_to_an_end() -> None:
    found, sender = sent(*[LATE] * 40)
    assert sender.again_count == AGAIN_TOTAL_MAX
    assert len(found) == 40 - AGAIN_TOTAL_MAX == len(sender.doubts)


def test_a_generator_is_late_for_want_of_a_core_where_the_machine_is_full() -> None:
    full = replace(LATE, ok_rate=1_000.0)
    found, sender = sent(full)
    assert found == [full]
    assert full.utilization(sender.free_cores) == 1.0
    assert (sender.judged_count, sender.again_count, sender.doubts) == (0, 0, []), "and none of those that are judged"
