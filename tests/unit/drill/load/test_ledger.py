"""What outcomes are called, and that the ledger survives being written down."""

import pytest

from colonnade.drill.load.ledger import Kind, Outcome, classify, from_lines, to_line

from ..builders import write

OK, FAILED, UNKNOWN = Outcome.OK, Outcome.FAILED, Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("was_sent", "status", "write_is", "read_is"),
    [
        (True, 201, OK, OK),
        (False, None, FAILED, FAILED),
        (True, None, UNKNOWN, FAILED),
        (True, 400, FAILED, FAILED),
        (True, 404, FAILED, FAILED),
        (True, 408, UNKNOWN, FAILED),
        (True, 409, UNKNOWN, FAILED),
        (True, 422, FAILED, FAILED),
        (True, 302, UNKNOWN, FAILED),
        (True, 500, UNKNOWN, FAILED),
        (True, 503, UNKNOWN, FAILED),
        (True, 504, UNKNOWN, FAILED),
    ],
)
def test_a_write_is_failed_only_when_it_certainly_had_no_effect(
    *, was_sent: bool, status: int | None, write_is: Outcome, read_is: Outcome
) -> None:
    is_expected = status == 201
    assert classify(Kind.WRITE, was_sent=was_sent, is_expected=is_expected, status=status) is write_is
    assert classify(Kind.READ, was_sent=was_sent, is_expected=is_expected, status=status) is read_is


def test_latency_counts_from_the_intended_time_and_lag_ends_where_the_system_begins() -> None:
    operation = write(intended_at=1.0, started_at=1.25, sent_at=1.5, done_at=3.0)

    assert operation.latency_s == 2.0
    assert operation.lag_s == 0.25


def test_an_operation_survives_being_written_down() -> None:
    operation = write("drill-x-1", UNKNOWN, error="reply_cut", served_by="backend/1", first_byte_at=0.5)

    assert list(from_lines([to_line(operation)])) == [operation]


@pytest.mark.parametrize("line", ["", "{", '{"kind": "read"}', '{"kind": "none", "outcome": "ok"}'])
def test_a_line_that_is_no_operation_is_an_error(line: str) -> None:
    with pytest.raises((ValueError, KeyError)):
        list(from_lines([line]))
