"""Figures of a run: percentiles, gaps, what was in flight, and when not to believe any of it."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colonnade.drill.load.ledger import ErrorKind, Kind, Outcome
from colonnade.drill.load.summary import (
    distribution,
    gap_around,
    in_flight_at,
    in_flight_peak,
    longest_gap,
    percentile,
    summarize,
)

from ..builders import answered_at, history, write

moments = st.lists(st.floats(0, 100), max_size=30)


@pytest.mark.parametrize(("share", "expected"), [(0.01, 1), (0.07, 7), (0.5, 50), (0.99, 99), (0.991, 100), (1.0, 100)])
def test_percentiles_are_observed_values_by_nearest_rank(share: float, expected: int) -> None:
    assert percentile(range(1, 101), share) == expected


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.001, 1))
def test_a_percentile_is_the_smallest_value_that_covers_its_share(values: list[float], share: float) -> None:
    value = percentile(sorted(values), share)

    assert value in values
    assert sum(v <= value for v in values) >= share * len(values) - 1e-6
    assert sum(v < value for v in values) < share * len(values)


@pytest.mark.parametrize(("values", "share"), [([], 0.5), ([1.0], 0.0), ([1.0], 1.1)])
def test_a_percentile_of_nothing_or_beyond_all_is_refused(values: list[float], share: float) -> None:
    with pytest.raises(ValueError, match="a percentile needs"):
        percentile(values, share)


def test_a_distribution_of_nothing_counts_nothing() -> None:
    assert distribution([]).count == 0


@given(moments)
def test_the_longest_gap_holds_no_success_and_no_longer_one_exists(times: list[float]) -> None:
    gap = longest_gap(answered_at(*times), 0.0, 100.0)

    assert not any(gap.start_at < at < gap.end_at for at in times)
    edges = sorted([0.0, *times, 100.0])
    assert gap.duration_s == max(later - earlier for earlier, later in pairwise(edges))


def test_the_gap_around_a_fault_lasts_from_success_to_success() -> None:
    operations = [*answered_at(1.0, 1.9, 2.6, 3.0), write("lost", Outcome.UNKNOWN, intended_at=2.2, done_at=2.5)]

    gap = gap_around(operations, 2.0, within_s=5.0)

    assert (gap.start_at, gap.end_at, gap.is_open) == (1.9, 2.6, False)
    assert gap.intended_count == 2  # the one that failed, and the one that ended it


def test_a_gap_that_begins_a_moment_after_the_fault_still_belongs_to_it() -> None:
    gap = gap_around(answered_at(1.0, 2.1, 2.2, 4.0, 4.1), 2.0, within_s=1.0)

    assert (gap.start_at, gap.end_at) == (2.2, 4.0)


def test_a_gap_long_after_the_fault_is_not_its_doing() -> None:
    gap = gap_around(answered_at(1.9, 2.1, 9.0, 20.0), 2.0, within_s=1.0)

    assert (gap.start_at, gap.end_at) == (2.1, 9.0)


def test_a_gap_that_no_success_ended_is_open_and_lasts_until_the_end() -> None:
    operations = [*answered_at(1.0), write("x", Outcome.FAILED, intended_at=5.0, done_at=6.0)]

    gap = gap_around(operations, 2.0, within_s=1.0)

    assert (gap.start_at, gap.end_at, gap.is_open, gap.intended_count) == (1.0, 6.0, True, 1)


@given(moments, st.floats(0, 100))
def test_the_gap_around_a_moment_is_at_least_the_one_that_it_lies_in(times: list[float], moment: float) -> None:
    gap = gap_around(answered_at(*times), moment, within_s=100.0)
    inside = longest_gap(
        answered_at(*times),
        max((at for at in times if at <= moment), default=moment),
        min((at for at in times if at > moment), default=moment),
    )

    assert gap.duration_s >= inside.duration_s
    assert not any(gap.start_at < at < gap.end_at for at in times)


def test_in_flight_is_what_was_sent_and_not_over() -> None:
    early, there, unsent = (
        write("early", sent_at=0.0, done_at=1.0),
        write("there", sent_at=1.0, done_at=3.0),
        write("unsent", Outcome.FAILED, sent_at=None, done_at=3.0),
    )

    assert in_flight_at([early, there, unsent], 1.0) == (there,)
    assert in_flight_peak([early, there, unsent]) == 1


def test_latency_of_all_counts_failures_and_latency_of_ok_does_not() -> None:
    failed = write("f", Outcome.UNKNOWN, intended_at=0.0, done_at=10.0, error="reply_timeout")

    writes = summarize(history(*answered_at(1.0), failed)).writes

    assert writes.latency_ok.max_ms == pytest.approx(10.0)
    assert writes.latency_all.max_ms == pytest.approx(10_000.0)
    assert (writes.intended, writes.ok, writes.unknown, writes.errors) == (2, 1, 1, {"reply_timeout": 1})


def test_replies_are_counted_by_replica_and_reads_apart_from_writes() -> None:
    summary = summarize(history(write(served_by="a"), write(served_by="a", kind=Kind.READ), write(served_by="b")))

    assert summary.replies_by_replica == {"a": 2, "b": 1}
    assert (summary.reads.ok, summary.writes.ok) == (1, 2)


def test_a_run_that_kept_up_is_not_doubted() -> None:
    assert summarize(history(*answered_at(1.0, 2.0))).doubts == ()


def test_a_generator_that_could_not_keep_up_is_not_to_be_judged_by() -> None:
    late = [write(str(at), intended_at=at, started_at=at + 0.05, done_at=at + 0.06) for at in range(10)]

    (doubt,) = summarize(history(*late)).doubts

    assert "could not keep up" in doubt
    assert summarize(history(*late), lag_ms_p99_max=60.0).doubts == ()


def test_operations_that_the_generator_itself_did_not_send_are_a_doubt() -> None:
    saturated = write("s", Outcome.FAILED, sent_at=None, error=ErrorKind.GENERATOR_SATURATED)

    assert summarize(history(*answered_at(1.0), saturated)).doubts == (
        "1 operations were not sent: generator_saturated",
    )


def test_a_run_without_operations_is_doubted() -> None:
    assert summarize(history()).doubts == ("no operation was sent",)
