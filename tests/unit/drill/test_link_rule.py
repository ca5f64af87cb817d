"""What a link's rule means, without any socket."""

from __future__ import annotations

from random import Random

import pytest

from colonnade.core.errors import SpecError
from colonnade.drill.links.rule import CLEAR, CUT, Direction, DoorState, Lane, LinkRule, together

TOWARDS, BACK = Direction.TOWARDS, Direction.BACK


@pytest.mark.parametrize(
    ("rule", "holds_towards", "holds_back", "door"),
    [
        (CLEAR, False, False, DoorState.OPEN),
        (CUT, True, True, DoorState.SILENT),
        (LinkRule(loses_towards=True), True, False, DoorState.SILENT),
        (LinkRule(loses_back=True), False, True, DoorState.SILENT),
        (LinkRule(is_hanging=True), True, True, DoorState.OPEN),
        (LinkRule(is_refusing=True), False, False, DoorState.SHUT),
        (LinkRule(is_refusing=True, loses_back=True), False, True, DoorState.SILENT),
        (LinkRule(http_error=503, delay_s=1.0), False, False, DoorState.OPEN),
    ],
)
def test_what_moves_and_what_a_new_connection_meets(
    rule: LinkRule, holds_towards: bool, holds_back: bool, door: DoorState
) -> None:
    assert (rule.holds(TOWARDS), rule.holds(BACK)) == (holds_towards, holds_back)
    assert rule.door(is_dead_end=False) is door


def test_a_link_to_nobody_refuses_in_the_others_name_and_a_cut_one_stays_silent() -> None:
    assert CLEAR.door(is_dead_end=True) is DoorState.SHUT
    assert CUT.door(is_dead_end=True) is DoorState.SILENT


def test_rules_that_overlap_are_all_in_force() -> None:
    found = together(
        [
            LinkRule(delay_s=0.1, bytes_per_s=1_000),
            LinkRule(delay_s=0.2, loses_back=True, bytes_per_s=500),
            LinkRule(jitter_s=0.1, http_error=502),
        ]
    )
    assert found.delay_s == pytest.approx(0.3)
    assert (found.jitter_s, found.bytes_per_s, found.loses_back, found.loses_towards) == (0.1, 500, True, False)
    assert found.http_error == 502
    assert together([]) == CLEAR
    assert together([LinkRule(delay_s=50.0)] * 2).delay_s == 60.0


@pytest.mark.parametrize(
    "fields", [{"delay_s": -1}, {"delay_s": 61}, {"bytes_per_s": float("nan")}, {"http_error": 200}, {"jitter_s": -1}]
)
def test_a_rule_that_makes_no_sense_is_refused(fields: dict[str, float]) -> None:
    with pytest.raises(SpecError):
        LinkRule(**fields)  # type: ignore[arg-type]


def test_a_rule_is_read_back_as_it_was_written() -> None:
    rule = LinkRule(delay_s=0.5, is_hanging=True, http_error=500)
    assert LinkRule.from_json(rule.to_json()) == rule


def test_a_limited_lane_is_taken_up_by_what_goes_over_it() -> None:
    lane, rule = Lane(Random(1)), LinkRule(bytes_per_s=100)
    assert [lane.due_s(rule, size, now_s) for size, now_s in [(50, 0.0), (50, 0.0), (100, 5.0)]] == [0.5, 1.0, 6.0]


def test_a_delay_does_not_take_up_the_lane() -> None:
    lane, rule = Lane(Random(1)), LinkRule(delay_s=0.1)
    assert [lane.due_s(rule, 1_000_000, now_s) for now_s in (0.0, 0.0, 1.0)] == [0.1, 0.1, 1.1]


def test_jitter_is_drawn_from_the_seed_and_bounded() -> None:
    rule = LinkRule(delay_s=0.1, jitter_s=0.2)
    first, again = ([Lane(Random(seed)).due_s(rule, 1, 0.0) for seed in range(20)] for _ in range(2))
    assert first == again
    assert all(0.1 <= due_s <= 0.3 for due_s in first)
    assert len(set(first)) == 20


@pytest.mark.parametrize(("rule", "size"), [(CLEAR, 0), (LinkRule(bytes_per_s=1000), 20), (LinkRule(bytes_per_s=1), 1)])
def test_a_limited_link_sends_small_pieces(rule: LinkRule, size: int) -> None:
    assert Lane.piece_bytes(rule) == size
