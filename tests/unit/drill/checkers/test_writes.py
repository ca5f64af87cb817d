"""The check of writes finds what is planted, and says nothing where there is nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colonnade.drill.checkers.finding import Verdict
from colonnade.drill.checkers.writes import Held, check_writes
from colonnade.drill.load.ledger import Kind, Operation, Outcome

from ..builders import write

ACKNOWLEDGED = [write("a"), write("b")]
HELD = [Held("1", "a"), Held("2", "b")]


def test_writes_that_are_all_there_once_are_valid() -> None:
    check = check_writes(ACKNOWLEDGED, HELD)

    assert (check.verdict, check.reason, check.acknowledged) == (Verdict.VALID, "writes_as_acknowledged", 2)


def test_a_planted_loss_is_reported() -> None:
    check = check_writes(ACKNOWLEDGED, HELD[:1])

    assert (check.verdict, check.lost) == (Verdict.INVALID, ("b",))


@pytest.mark.parametrize("outcome", Outcome)
def test_a_planted_double_is_reported_whatever_its_outcome_was_called(outcome: Outcome) -> None:
    check = check_writes([*ACKNOWLEDGED, write("c", outcome)], [*HELD, Held("3", "c"), Held("4", "c")])

    assert (check.verdict, check.doubled) == (Verdict.INVALID, ("c",))


def test_one_item_that_was_listed_twice_is_not_a_double() -> None:
    assert check_writes(ACKNOWLEDGED, [*HELD, *HELD]).verdict is Verdict.VALID


def test_a_planted_phantom_is_reported() -> None:
    check = check_writes([*ACKNOWLEDGED, write("c", Outcome.FAILED)], [*HELD, Held("3", "c")])

    assert (check.verdict, check.phantom) == (Verdict.INVALID, ("c",))


def test_a_write_of_unknown_fate_may_be_there_or_not() -> None:
    unknown = [write("c", Outcome.UNKNOWN), write("d", Outcome.UNKNOWN)]

    check = check_writes([*ACKNOWLEDGED, *unknown], [*HELD, Held("3", "c")])

    assert (check.verdict, check.unknown_present, check.unknown_absent) == (Verdict.VALID, 1, 1)


def test_without_an_acknowledged_write_nothing_was_proved() -> None:
    check = check_writes([write("c", Outcome.UNKNOWN)], [])

    assert (check.verdict, check.reason) == (Verdict.UNKNOWN, "nothing_acknowledged")


def test_a_write_that_the_ledger_does_not_know_makes_the_verdict_unknown() -> None:
    check = check_writes(ACKNOWLEDGED, [*HELD, Held("3", "z")])

    assert (check.verdict, check.unaccounted) == (Verdict.UNKNOWN, ("z",))


def test_reads_are_not_looked_for() -> None:
    assert check_writes([*ACKNOWLEDGED, write("r", kind=Kind.READ)], HELD).verdict is Verdict.VALID


@given(st.dictionaries(st.uuids().map(str), st.tuples(st.sampled_from(Outcome), st.integers(0, 2)), max_size=20))
def test_every_write_is_counted_exactly_where_it_belongs(writes: dict[str, tuple[Outcome, int]]) -> None:
    operations: list[Operation] = [write(token, outcome) for token, (outcome, _) in writes.items()]
    held = [Held(f"{token}/{n}", token) for token, (_, copies) in writes.items() for n in range(copies)]

    check = check_writes(operations, held)

    def where(outcome: Outcome, *copies: int) -> set[str]:
        return {token for token, (known, n) in writes.items() if known is outcome and n in copies}

    assert set(check.lost) == where(Outcome.OK, 0)
    assert set(check.phantom) == where(Outcome.FAILED, 1, 2)
    assert set(check.doubled) == {token for token, (_, copies) in writes.items() if copies == 2}
    assert check.unknown_present == len(where(Outcome.UNKNOWN, 1, 2))
    assert check.unknown_absent == len(where(Outcome.UNKNOWN, 0))
    assert (check.verdict is Verdict.INVALID) == bool(check.lost or check.phantom or check.doubled)
