"""Stale reads of visitors are found, and only those."""

from dataclasses import replace

import pytest

from colonnade.drill.checkers.finding import Verdict
from colonnade.drill.checkers.sessions import check, stale_reads
from colonnade.drill.load.ledger import Operation, Outcome
from colonnade.drill.scenario import RuleName

from ..builders import at_second, read, write
from ..records import clean_record, small_record, the

RULE = RuleName.STALE_SESSION_READS_MAX


def wrote(second: float, took_s: float = 0.05, outcome: Outcome = Outcome.OK, session: int = 1) -> Operation:
    return at_second(write(f"drill-r-{session}", outcome), second, took_s, session=session)


def looked(second: float, *, found: bool | None, session: int = 1, action: str = "own_post") -> Operation:
    return at_second(read(served_by="backend-2"), second, session=session, found=found, action=action)


def count(*operations: Operation) -> tuple[int, int]:
    looks, stale = stale_reads(small_record(*operations))
    return looks, len(stale)


def test_a_clean_run_is_valid() -> None:
    finding = the(check(clean_record()), RULE)

    assert (finding.verdict, finding.value) == (Verdict.VALID, 0)


def test_a_look_that_misses_an_acknowledged_write_is_found_and_told() -> None:
    finding = the(check(small_record(wrote(1.0), looked(1.2, found=False), looked(2.0, found=True))), RULE)

    assert (finding.verdict, finding.value) == (Verdict.INVALID, 1)
    assert finding.evidence == (
        "visitor 1 wrote drill-r-1, acknowledged at 1.050 s; asked at 1.200 s and did not find it "
        "(operation 1200, own_post, answered by backend-2)",
    )


def test_who_saw_it_once_must_go_on_seeing_it_even_if_the_write_was_never_acknowledged() -> None:
    write_, seen, missed = wrote(1.0, outcome=Outcome.UNKNOWN), looked(1.2, found=True), looked(2.0, found=False)
    finding = the(check(small_record(write_, seen, missed)), RULE)

    assert (finding.verdict, finding.value) == (Verdict.INVALID, 1)
    assert "visitor 1 saw drill-r-1 at 1.210 s" in finding.evidence[0]


@pytest.mark.parametrize(
    "operations",
    [
        (wrote(1.0, took_s=0.5), looked(1.2, found=False)),
        (wrote(1.0, outcome=Outcome.UNKNOWN), looked(1.2, found=False)),
        (wrote(1.0, outcome=Outcome.FAILED), looked(1.2, found=False)),
        (wrote(1.0), looked(1.2, found=None)),
        (looked(1.2, found=False),),
        (wrote(1.0, session=1), looked(1.2, found=False, session=2)),
    ],
    ids=["sent before the acknowledgement", "unknown write", "failed write", "no answer", "no write", "another's"],
)
def test_what_proves_nothing_is_not_counted(operations: tuple[Operation, ...]) -> None:
    assert count(*operations) == (0, 0)


def test_two_looks_at_the_same_time_prove_nothing_about_each_other() -> None:
    unknown = wrote(1.0, outcome=Outcome.UNKNOWN)

    assert count(unknown, replace(looked(1.2, found=True), done_at=1.5), looked(1.3, found=False)) == (0, 0)


@pytest.mark.parametrize(("others", "stale"), [(99, 1), (100, 0)])
def test_an_item_that_others_pushed_off_the_page_is_not_missed(others: int, stale: int) -> None:
    crowd = [at_second(write(f"o{number}"), 1.1 + number / 1_000, 0.005) for number in range(others)]

    looks, found = count(wrote(1.0), *crowd, looked(2.0, found=False, action="own_in_list"))

    assert (looks, found) == (stale, stale)


def test_a_write_of_unknown_fate_may_push_it_off_long_after_it_was_given_up() -> None:
    crowd = [at_second(write(f"o{number}", Outcome.UNKNOWN), number / 1_000, 0.005) for number in range(100)]

    assert count(wrote(1.0), *crowd, looked(2.0, found=False, action="own_in_list")) == (0, 0)


def test_without_sessions_nothing_is_known() -> None:
    finding = the(check(small_record(write("a"))), RULE)

    assert (finding.verdict, finding.reason, finding.value) == (Verdict.UNKNOWN, "no_session_could_tell", None)


def test_who_is_not_asked_says_nothing() -> None:
    assert check(small_record(wrote(1.0), looked(1.2, found=False), rules={})) == ()
