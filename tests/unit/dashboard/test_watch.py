"""The loop that looks: events are asked for once, and a controller that does not answer is tried again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from colonnade.core.clock import SimulatedClock
from colonnade.core.errors import DriverError, DriverUnavailable
from colonnade.dashboard.control import Control
from colonnade.dashboard.look import Look
from colonnade.dashboard.watch import BEHIND_S, Watch, pause_s

from ..observe.said import measurements, status


class Told(Control):
    """Gives these answers in turn, and then none any more."""

    def __init__(self, *answers: dict[str, Any] | Exception) -> None:
        super().__init__(Path("/nowhere"))
        self.answers = list(answers)
        self.asked: list[str] = []

    async def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        self.asked.append(path)
        if not self.answers:
            raise asyncio.CancelledError
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def answer(last_seq: int, *kinds: str) -> dict[str, Any]:
    events = [
        {"seq": last_seq - len(kinds) + number, "at_s": 0.0, "kind": kind, "subject": "web", "reason": "r"}
        for number, kind in enumerate(kinds, 1)
    ]
    return {"status": status(), "measurements": measurements(), "events": events, "last_seq": last_seq}


def watched(*answers: dict[str, Any] | Exception) -> tuple[Watch, Told, list[Look]]:
    told = Told(*answers)
    watch = Watch(told, SimulatedClock())
    looks: list[Look] = []
    watch.consumers.append(looks.append)

    async def run() -> None:
        await asyncio.gather(watch.run(), return_exceptions=True)

    asyncio.run(run())
    return watch, told, looks


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (10 + BEHIND_S, 1.0),
        (10 + BEHIND_S + 0.01, 0.99),
        (10.5, 0.5 + BEHIND_S),
        (10.99, 1.01 + BEHIND_S),
        (11 + BEHIND_S - 1e-9, 1.0),
    ],
)
def test_looks_are_at_the_same_moment_of_each_second_and_never_twice_in_it(now: float, expected: float) -> None:
    assert pause_s(now) == pytest.approx(expected)


def decisions(look: Look) -> dict[str, float]:
    return {sample.label("kind"): sample.value for sample in look.sight.of("colonnade_decisions_total")}


def test_each_event_is_counted_once_and_none_from_before_our_time() -> None:
    _, told, looks = watched(answer(7, "old"), answer(9, "scaled", "scaled"), answer(9))
    assert told.asked == [f"/measurements?after_seq={seq}" for seq in (0, 7, 9, 9)]
    assert [decisions(look) for look in looks] == [{}, {"scaled": 2.0}, {"scaled": 2.0}]
    assert [len(look.events) for look in looks] == [1, 2, 0]


def test_a_controller_that_counts_anew_is_followed() -> None:
    _, told, looks = watched(answer(900), answer(3), answer(4, "scaled"))
    assert told.asked[2] == "/measurements?after_seq=3"
    assert decisions(looks[-1]) == {"scaled": 1.0}


def test_no_answer_is_no_end() -> None:
    gone = DriverUnavailable("gone", hint="try again")
    watch, _, looks = watched(gone, DriverError("refused", hint="try again"), answer(1))
    assert len(looks) == 1
    assert watch.trouble == ""


def test_why_there_is_no_look_is_kept_until_there_is_one() -> None:
    watch, _, looks = watched(DriverUnavailable("the controller restarts", hint="try again"))
    assert not looks
    assert "the controller restarts" in watch.trouble
