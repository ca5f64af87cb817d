"""Failures, their windows and the gaps without a success."""

import pytest

from colonnade.drill.checkers.availability import GOOD_IN_A_ROW, check, errors_by_phase, longest_gap, windows
from colonnade.drill.checkers.finding import Verdict
from colonnade.drill.load.ledger import ErrorKind, Kind, Operation, Outcome
from colonnade.drill.scenario import RuleName

from ..builders import at_second, read, write
from ..records import clean_record, small_record


def steadily(*failed: float, until_s: int = 10) -> list[Operation]:
    """A read every tenth of a second; those at these seconds fail."""
    moments = [number / 10 for number in range(until_s * 10)]
    outcomes = [Outcome.FAILED if moment in failed else Outcome.OK for moment in moments]
    return [
        at_second(read(outcome, error="http_503" if outcome is Outcome.FAILED else None), moment)
        for moment, outcome in zip(moments, outcomes, strict=True)
    ]


def test_a_clean_run_is_within_its_bounds() -> None:
    findings = check(clean_record())

    assert {finding.verdict for finding in findings} == {Verdict.VALID}
    assert len(findings) == 4


def test_a_share_of_failures_above_the_bound_is_invalid_and_the_first_are_told() -> None:
    record = small_record(*steadily(2.0, 2.1), rules={RuleName.FAILED_READS_SHARE_MAX: 0.01})
    (finding,) = check(record)

    assert (finding.verdict, finding.value) == (Verdict.INVALID, 0.02)
    assert finding.message == "2 of 100 reads failed (2.00%)"
    assert finding.evidence[0] == "operation 2000 (home) meant for 2.000 s: http_503 after 0.010 s"


def test_a_write_of_unknown_fate_counts_as_failed() -> None:
    record = small_record(
        write("a"), at_second(write("b", Outcome.UNKNOWN), 1.0), rules={RuleName.FAILED_WRITES_SHARE_MAX: 0.4}
    )
    (finding,) = check(record)

    assert (finding.verdict, finding.value) == (Verdict.INVALID, 0.5)
    assert "1 of them of unknown fate" in finding.message


def test_what_the_generator_did_not_send_counts_for_nothing() -> None:
    own = at_second(read(Outcome.FAILED, error=ErrorKind.GENERATOR_SATURATED), 3.0)
    record = small_record(*steadily(), own, rules={RuleName.FAILED_READS_SHARE_MAX: 0})

    assert check(record)[0].verdict is Verdict.VALID


@pytest.mark.parametrize("rule", [RuleName.FAILED_WRITES_SHARE_MAX, RuleName.WRITE_GAP_S_MAX])
def test_of_what_nobody_asked_nothing_is_known(rule: RuleName) -> None:
    assert check(small_record(*steadily(), rules={rule: 1}))[0].verdict is Verdict.UNKNOWN


def test_a_gap_lasts_from_the_first_who_asked_to_the_next_success() -> None:
    operations = [each for each in steadily() if not 3.05 < each.intended_at < 5.95]
    failed = [at_second(read(Outcome.FAILED), second) for second in (4.0, 5.0)]
    gap = longest_gap(small_record(*operations, *failed), Kind.READ)

    assert gap is not None
    assert (gap.start_at, gap.intended_count) == (4.0, 3)
    assert gap.duration_s == pytest.approx(2.01)


def test_a_pause_in_which_nobody_asked_is_no_gap() -> None:
    operations = [each for each in steadily() if not 3.05 < each.intended_at < 5.95]
    gap = longest_gap(small_record(*operations), Kind.READ)

    assert gap is not None
    assert gap.duration_s < 0.2


def test_a_gap_that_the_run_did_not_outlast_is_open() -> None:
    operations = [*steadily(until_s=5), *(at_second(read(Outcome.FAILED), 5 + n / 10, 1.0) for n in range(50))]
    record = small_record(*operations, rules={RuleName.READ_GAP_S_MAX: 2.0})
    (finding,) = check(record)

    assert finding.verdict is Verdict.INVALID
    assert "had not ended with the run" in finding.message


def test_a_window_ends_with_the_first_of_enough_successes_in_a_row() -> None:
    (window,) = windows(small_record(*steadily(2.0, 2.1, 2.5)), Kind.READ)

    assert window.start_at == 2.0
    assert window.end_at == pytest.approx(2.61)
    assert (window.failed, window.intended, window.is_open) == (3, 6, False)


def test_failures_far_apart_are_windows_of_their_own() -> None:
    found = windows(small_record(*steadily(2.0, 2.0 + GOOD_IN_A_ROW / 10 + 0.1, 8.0)), Kind.READ)

    assert [window.start_at for window in found] == [2.0, 3.1, 8.0]


def test_a_window_at_the_end_is_open() -> None:
    assert windows(small_record(*steadily(9.9)), Kind.READ)[0].is_open


def test_errors_are_counted_by_class_and_phase() -> None:
    assert errors_by_phase(clean_record()) == {"kill primary": {"http_503": 13}}
