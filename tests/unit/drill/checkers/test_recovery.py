"""Recovery after each fault, full strength at the end, and what is left behind."""

from dataclasses import replace

import pytest

from colonnade.drill.checkers import leaks, strength
from colonnade.drill.checkers.finding import Verdict
from colonnade.drill.checkers.recovery import check, recoveries
from colonnade.drill.record import FaultEnd, FaultRecord, Leftovers, Record, Sample
from colonnade.drill.scenario import RuleName

from ..records import EVENTS, FAULTS, at, clean_record, events, the


def with_faults(*faults: FaultRecord, **fields: object) -> Record:
    return replace(clean_record(), faults=faults, **fields)  # type: ignore[arg-type]


def recovery(record: Record) -> tuple[Verdict, str]:
    finding = the(check(record), RuleName.RECOVERY_S_MAX)
    return finding.verdict, finding.reason


def test_the_slowest_recovery_counts_from_the_end_of_its_fault() -> None:
    finding = the(check(clean_record()), RuleName.RECOVERY_S_MAX)

    assert (finding.verdict, finding.value) == (Verdict.VALID, 5.0)
    assert finding.evidence == (
        "kill primary: 5.00 s",
        "kill backend replica: 2.50 s",
        "delay gateway → backend replica: 0.50 s",
    )


def test_a_recovery_above_the_bound_is_invalid() -> None:
    slow = replace(FAULTS[0], whole_at=at(31.0))

    assert recovery(with_faults(slow)) == (Verdict.INVALID, "above_bound")


def test_a_system_that_was_never_whole_again_is_invalid_however_soon_the_run_ended() -> None:
    late = replace(FAULTS[0], injected_at=at(59), whole_at=None)

    assert recovery(with_faults(late)) == (Verdict.INVALID, "above_bound")


def test_a_drill_that_was_interrupted_cannot_tell() -> None:
    late = replace(FAULTS[0], whole_at=None)

    assert recovery(with_faults(late, is_interrupted=True)) == (Verdict.UNKNOWN, "interrupted")


def test_faults_that_did_not_come_to_pass_prove_nothing() -> None:
    assert recovery(with_faults(FAULTS[3])) == (Verdict.UNKNOWN, "no_fault_happened")
    assert recovery(with_faults()) == (Verdict.VALID, "within_bound")


def test_a_fault_that_failed_is_not_waited_for() -> None:
    failed = replace(FAULTS[0], end=FaultEnd.FAILED, whole_at=None)

    assert recovery(with_faults(failed, FAULTS[1]))[0] is Verdict.VALID


def test_a_failover_is_split_into_its_phases_and_detecting_counts_from_the_fault() -> None:
    kill = recoveries(clean_record())[1]

    assert kill.noticed_s == pytest.approx(0.02, abs=1e-3)
    assert list(kill.failover_s) == ["detect", "fence", "elect", "promote", "reroute", "rejoin"]
    assert kill.failover_s["detect"] == pytest.approx(0.03, abs=1e-3)
    assert kill.failover_s["promote"] == 0.25


def test_a_replica_is_noticed_under_the_name_that_events_use() -> None:
    assert recoveries(clean_record())[0].noticed_s == pytest.approx(0.01, abs=1e-3)


def test_events_of_the_next_fault_are_not_taken_for_this_ones() -> None:
    record = replace(clean_record(), events=events(*EVENTS[3:]))

    assert recoveries(record)[0].noticed_s is None
    assert recoveries(record)[0].failover_s == {}


def sample(at_s: float = 60.0, **fields: object) -> Sample:
    return replace(Sample(at(at_s), is_answered=True, ready={"backend": 3}, desired={"backend": 3}), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("last", "verdict", "message"),
    [
        (sample(), Verdict.VALID, "at the end nothing was missing (3 backend)"),
        (sample(problems=("backend: 2 of 3 replicas are ready",)), Verdict.INVALID, "at the end backend: 2 of 3"),
        (sample(ready={"backend": 2}), Verdict.INVALID, "at the end 2 of 3 backend replicas are ready"),
        (sample(is_writable=False), Verdict.INVALID, "at the end the database takes no writes"),
        (sample(is_answered=False), Verdict.INVALID, "at the end the system did not say"),
        (sample(at_s=40.0), Verdict.UNKNOWN, "the last look at the system was 20.0 s before"),
    ],
)
def test_full_strength_is_judged_by_the_last_look(last: Sample, verdict: Verdict, message: str) -> None:
    finding = the(strength.check(replace(clean_record(), samples=(last,))), RuleName.MISSING_AT_END_MAX)

    assert finding.verdict is verdict
    assert finding.message.startswith(message)


def test_who_never_looked_does_not_know() -> None:
    assert strength.check(replace(clean_record(), samples=()))[0].verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("left", "verdict"),
    [
        (Leftovers(), Verdict.VALID),
        (Leftovers(processes=("pid 77: haproxy",), slots=("colonnade-b on a",)), Verdict.INVALID),
        (None, Verdict.UNKNOWN),
    ],
)
def test_what_is_left_behind_is_found(left: Leftovers | None, verdict: Verdict) -> None:
    finding = the(leaks.check(replace(clean_record(), leftovers=left)), RuleName.LEFTOVERS_MAX)

    assert finding.verdict is verdict
    if verdict is Verdict.INVALID:
        assert finding.value == 2
        assert finding.evidence == ("pid 77: haproxy", "colonnade-b on a")
