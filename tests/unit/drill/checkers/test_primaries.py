"""Two primaries are found in what the servers wrote down, and what nobody can know is called unknown."""

from dataclasses import replace

import pytest

from colonnade.drill.checkers.finding import Verdict
from colonnade.drill.checkers.primaries import check, reigns, told_reigns
from colonnade.drill.record import Death, Promotion, Record
from colonnade.drill.scenario import RuleName

from ..records import STARTED_AT, WALL_OFFSET_S, at, clean_record, lines, the

RULE = RuleName.TWO_PRIMARIES_S_MAX
A_REIGNS = [
    ("a", 0.0, "LOG:  starting PostgreSQL 18.6"),
    ("a", 0.1, "LOG:  database system is ready to accept connections"),
    ("a", 9.0, "app@app LOG:  something"),
]
B_PROMOTED = [
    ("b", 0.0, "LOG:  starting PostgreSQL 18.6"),
    ("b", 0.2, "LOG:  database system is ready to accept read-only connections"),
    ("b", 10.0, "LOG:  received promote request"),
    ("b", 10.1, "LOG:  selected new timeline ID: 2"),
    ("b", 10.2, "LOG:  database system is ready to accept connections"),
    ("b", 30.0, "LOG:  database system is shut down"),
]
A_AGAIN = [("a", 12.0, "LOG:  starting PostgreSQL 18.6")]


def record(*rows: tuple[str, float, str], deaths: tuple[Death, ...] = ()) -> Record:
    return replace(clean_record(), server_lines=lines(*rows), deaths=deaths, promotions=())


def verdict(record_: Record) -> tuple[Verdict, str]:
    finding = the(check(record_), RULE)
    return finding.verdict, finding.reason


def test_a_clean_failover_is_valid() -> None:
    finding = the(check(clean_record()), RULE)

    assert (finding.verdict, finding.value) == (Verdict.VALID, 0)


@pytest.mark.parametrize(
    ("last_words", "verdict_"),
    [
        ((9.5, "LOG:  received fast shutdown request"), Verdict.UNKNOWN),
        ((9.5, "LOG:  database system is shut down"), Verdict.VALID),
        ((9.5, "LOG:  received immediate shutdown request"), Verdict.VALID),
        ((9.5, "app@app FATAL:  terminating connection due to unexpected postmaster exit"), Verdict.VALID),
        ((11.5, "LOG:  database system is shut down"), Verdict.INVALID),
        ((11.5, "app@app LOG:  something"), Verdict.INVALID),
    ],
)
def test_a_reign_ends_when_its_server_says_so(last_words: tuple[float, str], verdict_: Verdict) -> None:
    assert verdict(record(*A_REIGNS, ("a", *last_words), *B_PROMOTED, *A_AGAIN))[0] is verdict_


def test_a_life_begins_though_its_first_line_is_missing() -> None:
    died = ("a", 9.5, "app@app FATAL:  terminating connection due to unexpected postmaster exit")
    back = [
        ("a", 12.0, 'LOG:  listening on IPv4 address "127.0.0.1", port 5432'),
        ("a", 12.1, "LOG:  database system was interrupted while in recovery at log time"),
        ("a", 12.2, "LOG:  entering standby mode"),
        ("a", 30.0, "LOG:  database system is shut down"),
    ]
    assert verdict(record(*A_REIGNS, died, *B_PROMOTED, *back))[0] is Verdict.VALID


def test_the_overlap_is_measured_and_told() -> None:
    finding = the(check(record(*A_REIGNS, ("a", 11.5, "LOG:  database system is shut down"), *B_PROMOTED)), RULE)

    assert finding.value == pytest.approx(1.4, abs=0.01)
    assert finding.evidence == ("node a took writes until 11.50 s, node b from 10.10 s on",)


def test_a_killed_server_whose_end_nobody_saw_leaves_it_unknown() -> None:
    assert verdict(record(*A_REIGNS, *B_PROMOTED, *A_AGAIN)) == (Verdict.UNKNOWN, "end_of_primary_not_seen")


@pytest.mark.parametrize(
    ("deaths", "verdict_"),
    [
        ((Death("a", 10, at(9.5)),), Verdict.VALID),
        ((Death("a", 10, at(11.0)),), Verdict.UNKNOWN),
        ((Death("a", 10, at(8.5)),), Verdict.UNKNOWN),
        ((Death("b", 10, at(9.5)),), Verdict.UNKNOWN),
    ],
    ids=["before the promotion", "after it", "before its last line", "another node"],
)
def test_the_kernels_word_on_the_end_of_the_process_decides(deaths: tuple[Death, ...], verdict_: Verdict) -> None:
    assert verdict(record(*A_REIGNS, *B_PROMOTED, *A_AGAIN, deaths=deaths))[0] is verdict_


def test_a_killed_server_that_came_back_before_the_promotion_was_gone_by_then() -> None:
    assert verdict(record(*A_REIGNS, ("a", 9.8, "LOG:  starting PostgreSQL 18.6"), *B_PROMOTED))[0] is Verdict.VALID


def test_a_timeline_that_two_nodes_began_is_not_called_valid() -> None:
    twice = (Promotion("b", 2, "0/3000148"), Promotion("c", 2, "0/3000200"))
    finding = the(check(replace(clean_record(), promotions=twice)), RULE)

    assert (finding.verdict, finding.reason) == (Verdict.UNKNOWN, "timelines_diverged")
    assert finding.evidence == ("timeline 2 was begun by node b at 0/3000148 and by node c at 0/3000200",)


def test_without_logs_nothing_is_known() -> None:
    assert verdict(record()) == (Verdict.UNKNOWN, "no_server_log")
    assert verdict(record(*B_PROMOTED[:2])) == (Verdict.UNKNOWN, "no_server_log")


def test_a_standby_that_takes_readers_does_not_reign() -> None:
    found = told_reigns(reigns(clean_record()), STARTED_AT + WALL_OFFSET_S)

    assert found == ("node a from -29.90 s to a moment between 19.50 and 20.00 s", "node b from 20.35 s to 70.20 s")
