"""Hours with more replicas."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from colonnade.scaling.schedule import is_within, scheduled_floor
from colonnade.spec.model import ScheduleEntry

WORK = ScheduleEntry.model_validate({"days": "mon-fri", "from": "08:00", "to": "18:00", "min": 4})
NIGHT = ScheduleEntry.model_validate({"days": "fri", "from": "22:00", "to": "02:00", "min": 6})
OVER_SUNDAY = ScheduleEntry.model_validate({"days": "sat-mon", "from": "00:00", "to": "12:00", "min": 3})


def at(day: int, time: str) -> datetime:
    """`day` of June 2026, of which the 1st is a Monday."""
    hour, minute = time.split(":")
    return datetime(2026, 6, day, int(hour), int(minute), tzinfo=UTC)


@pytest.mark.parametrize(
    ("entry", "day", "time", "expected"),
    [
        (WORK, 1, "07:59", False),
        (WORK, 1, "08:00", True),
        (WORK, 5, "17:59", True),
        (WORK, 5, "18:00", False),
        (WORK, 6, "12:00", False),
        (NIGHT, 5, "21:59", False),
        (NIGHT, 5, "23:00", True),
        (NIGHT, 6, "01:59", True),  # Saturday, and still Friday's night
        (NIGHT, 6, "02:00", False),
        (NIGHT, 6, "23:00", False),
        (NIGHT, 5, "01:00", False),
        (OVER_SUNDAY, 7, "03:00", True),
        (OVER_SUNDAY, 8, "03:00", True),
        (OVER_SUNDAY, 9, "03:00", False),
    ],
)
def test_hours_and_days(entry: ScheduleEntry, day: int, time: str, expected: bool) -> None:
    assert is_within(entry, at(day, time)) is expected


def test_the_highest_of_several_holds_and_says_which() -> None:
    late = ScheduleEntry.model_validate({"from": "17:00", "to": "20:00", "min": 5})
    floor = scheduled_floor([WORK, late], at(1, "17:30"))
    assert floor is not None
    assert (floor.replicas, floor.message) == (5, "the schedule of mon-sun 17:00–20:00 asks for 5")
    assert scheduled_floor([WORK, NIGHT], at(7, "12:00")) is None
