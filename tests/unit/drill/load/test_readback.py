"""Understanding the pages of a list, and waiting until what is read back has settled."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from colonnade.core.clock import SimulatedClock
from colonnade.core.errors import DriverUnavailable
from colonnade.drill.checkers.finding import Verdict
from colonnade.drill.checkers.settled import settled
from colonnade.drill.checkers.writes import Held, WriteCheck, check_writes
from colonnade.drill.load.readback import parse_page

from ..builders import write

ITEM = {"id": 1, "title": "t"}


@pytest.mark.parametrize(
    ("content", "is_last", "total"),
    [
        ({"posts": [ITEM], "page": 1, "pages": 2, "total": 3}, False, 3),
        ({"posts": [ITEM], "page": 1, "pages": 1, "total": 1}, True, 1),
        ({"items": [ITEM], "has_next": True}, False, None),
        ({"items": [ITEM], "has_next": False}, True, None),
        ({"posts": [ITEM]}, None, None),
        ([ITEM], None, None),
        ([], True, None),
        ({"posts": []}, True, None),
    ],
)
def test_a_page_is_understood_in_each_common_shape(content: object, is_last: bool | None, total: int | None) -> None:
    page = parse_page(content, 1)

    assert (page.is_last, page.total) == (is_last, total)


@pytest.mark.parametrize("content", ["x", 1, None, {}, {"a": [], "b": []}, [1], {"posts": ["x"]}])
def test_what_is_no_list_of_items_is_an_error_and_not_an_empty_list(content: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        parse_page(content, 1)


def judged(*readings: tuple[Held, ...] | DriverUnavailable, may_be_behind: bool = True) -> tuple[WriteCheck, int]:
    """The check of one acknowledged write against these readings; the last one repeats. And how many were made."""
    made = 0

    async def read_back() -> tuple[Held, ...]:
        nonlocal made
        reading = readings[min(made, len(readings) - 1)]
        made += 1
        if isinstance(reading, DriverUnavailable):
            raise reading
        return reading

    reader: Callable[[], Awaitable[tuple[Held, ...]]] = read_back
    found = asyncio.run(settled([write("a")], reader, SimulatedClock(), may_be_behind=may_be_behind))
    return check_writes([write("a")], found), made


THERE = (Held("1", "a"),)
SILENT = DriverUnavailable("no answer", hint="wait")


def test_good_news_needs_two_readings_that_agree() -> None:
    check, readings = judged(THERE)

    assert (check.verdict, readings) == (Verdict.VALID, 2)


def test_a_write_that_shows_late_is_not_lost() -> None:
    assert judged((), (), THERE)[0].verdict is Verdict.VALID


def test_a_write_that_never_shows_is_lost() -> None:
    assert judged(())[0].lost == ("a",)


def test_who_cannot_be_behind_is_believed_about_a_loss_when_two_readings_agree() -> None:
    check, readings = judged((), may_be_behind=False)

    assert (check.lost, readings) == (("a",), 2)
    assert judged((), THERE, may_be_behind=False)[0].verdict is Verdict.VALID


def test_a_double_that_only_a_later_reading_shows_is_found() -> None:
    doubled = (*THERE, Held("2", "a"))

    assert judged(THERE, doubled)[0].doubled == ("a",)


def test_a_reading_that_fails_is_made_again_and_at_last_is_an_error() -> None:
    assert judged(SILENT, THERE)[0].verdict is Verdict.VALID
    with pytest.raises(DriverUnavailable):
        judged(SILENT)
