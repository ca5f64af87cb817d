"""How far the archive leads along a history with forks."""

from __future__ import annotations

import pytest

from colonnade.database.backup.lineage import SEGMENT_BYTES, Reach, is_before, lineage_of, reach_of, segment_name

FORK = 5 * SEGMENT_BYTES + 1000
FORKS = {2: [(1, FORK)], 3: [(1, FORK), (2, 8 * SEGMENT_BYTES)]}


def files(timeline: int, *numbers: int) -> list[str]:
    return [segment_name(timeline, number) for number in numbers]


@pytest.mark.parametrize(
    ("timeline", "names", "start", "reach"),
    [
        (1, [], 3, Reach(3 * SEGMENT_BYTES, "")),
        (1, files(1, 3, 4), 3, Reach(5 * SEGMENT_BYTES, segment_name(1, 4))),
        (1, files(1, 3, 5), 3, Reach(4 * SEGMENT_BYTES, segment_name(1, 3), segment_name(1, 4))),
        # Timeline 2 begins in segment 5: its own copy leads on, the old one only up to the fork.
        (2, files(1, 3, 4, 5, 6) + files(2, 5, 6), 3, Reach(7 * SEGMENT_BYTES, segment_name(2, 6))),
        (2, [*files(1, 3, 4), segment_name(1, 5) + ".partial"], 3, Reach(FORK, segment_name(1, 5))),
        (2, files(1, 3, 4, 5) + files(2, 6), 3, Reach(FORK, segment_name(1, 5), segment_name(2, 5))),
        # WAL of the old primary beyond the fork leads nowhere.
        (2, files(1, 3, 4, 5, 6, 7), 3, Reach(FORK, segment_name(1, 5), segment_name(2, 5))),
        # A fork on a boundary.
        (3, files(1, 4) + files(2, 5, 6, 7) + files(3, 8), 4, Reach(9 * SEGMENT_BYTES, segment_name(3, 8))),
    ],
)
def test_reach(timeline: int, names: list[str], start: int, reach: Reach) -> None:
    found = reach_of(lineage_of(timeline, FORKS), names, start * SEGMENT_BYTES)
    assert found.end_lsn == reach.end_lsn
    assert found.last == reach.last
    if names != files(1, 3, 4, 5, 6, 7):  # what lies beyond a fork may be called missing there, or nothing
        assert found.missing == reach.missing


def test_a_history_contains_what_led_to_it() -> None:
    lineage = lineage_of(3, FORKS)
    assert lineage.contains(1, FORK)
    assert not lineage.contains(1, FORK + 1)
    assert lineage.contains(2, FORK + 1)
    assert lineage.contains(3, 10**9)
    assert not lineage_of(1, FORKS).contains(2, FORK)


def test_what_ends_before_a_point_is_before_it() -> None:
    assert is_before(segment_name(1, 4), 5 * SEGMENT_BYTES)
    assert is_before(segment_name(1, 4) + ".partial", 5 * SEGMENT_BYTES)
    assert not is_before(segment_name(1, 5), 5 * SEGMENT_BYTES + 1)
    assert not is_before("00000002.history", 10**12)


def test_names_are_postgresqls() -> None:
    assert segment_name(0x1A, 1023) == "0000001A00000000000003FF"
    assert segment_name(1, 1024) == "000000010000000100000000"
