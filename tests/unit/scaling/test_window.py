"""What is remembered, and for how long."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from colonnade.scaling.state import LOOKS_KEPT_S, LOOKS_MAX, Look, Memory, Need
from colonnade.scaling.window import highest_need, note_need, remember


def look(at_s: float, arrived: int = 0) -> Look:
    return Look(at_s, arrived, 0, 0, 0.05, 2, 2)


def test_looks_of_half_a_minute_are_kept() -> None:
    memory = Memory()
    for number in range(1_000):
        memory = remember(memory, look(number * 0.5))
    assert LOOKS_KEPT_S <= memory.looks[-1].at_s - memory.looks[0].at_s <= LOOKS_KEPT_S + 1.0


def test_looks_are_bounded_whatever_the_pace() -> None:
    memory = Memory()
    for number in range(1_000):
        memory = remember(memory, look(number * 0.01))
    assert len(memory.looks) <= LOOKS_MAX


def test_a_total_that_falls_begins_anew_and_needs_stay() -> None:
    memory = note_need(remember(remember(Memory(), look(0, 100)), look(1, 200)), Need(1, 5), keep_s=60)
    memory = remember(memory, look(2, 10))
    assert [each.arrived_total for each in memory.looks] == [10]
    assert [need.replicas for need in memory.needs] == [5]


@given(st.lists(st.integers(min_value=1, max_value=9), min_size=1, max_size=60), st.integers(min_value=1, max_value=30))
def test_the_highest_need_is_that_of_the_window(needs: list[int], within_s: int) -> None:
    memory = Memory()
    for at_s, replicas in enumerate(needs):
        memory = note_need(memory, Need(float(at_s), replicas), keep_s=within_s)
        found = highest_need(memory, float(at_s), within_s=within_s)
        if at_s < within_s:
            assert found is None
        else:
            assert found is not None
            assert found.replicas == max(needs[max(0, at_s - within_s) : at_s + 1])
        assert len(memory.needs) <= 9
