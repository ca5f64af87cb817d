"""The times of a run, and who belongs to which."""

from dataclasses import replace

import pytest

from colonnade.drill.checkers.finding import Verdict
from colonnade.drill.checkers.latency import check, latency_by_phase
from colonnade.drill.checkers.phases import fault_name, fault_names, operations_by_phase, phases_of
from colonnade.drill.record import FaultRecord
from colonnade.drill.scenario import Aim, Extent, PlannedFault, Role, RuleName

from ..builders import at_second, read
from ..records import FAULTS, clean_record, small_record, the


def struck(injected_at: float | None, whole_at: float | None) -> FaultRecord:
    return replace(FAULTS[0], injected_at=injected_at, whole_at=whole_at)


def phases(*faults: FaultRecord) -> list[tuple[str, list[tuple[float, float]]]]:
    record = small_record(at_second(read(), 0.0), faults=faults)
    return [(each.name, [(time.start_at, time.end_at) for time in each.stretches]) for each in phases_of(record)]


def test_a_run_without_faults_is_all_before() -> None:
    assert phases(struck(None, None)) == [("before", [(0.0, 10.0)])]


def test_times_between_faults_are_one_phase() -> None:
    assert phases(struck(1, 2), struck(4, 5), struck(7, 8)) == [
        ("before", [(0.0, 1)]),
        ("kill backend replica (1)", [(1, 2)]),
        ("between faults", [(2, 4), (5, 7)]),
        ("kill backend replica (2)", [(4, 5)]),
        ("kill backend replica (3)", [(7, 8)]),
        ("after", [(8, 10.0)]),
    ]


def test_faults_that_overlap_leave_nothing_between_them() -> None:
    assert [name for name, _ in phases(struck(1, 5), struck(4, 8))] == [
        "before",
        "kill backend replica (1)",
        "kill backend replica (2)",
        "after",
    ]


def test_a_fault_after_which_nothing_was_whole_again_lasts_to_the_end() -> None:
    assert phases(struck(6, None))[1] == ("kill backend replica", [(6, 10.0)])


def test_who_was_under_way_when_it_struck_belongs_to_the_fault() -> None:
    operations = [at_second(read(), 0.9, 0.2), at_second(read(), 0.5), at_second(read(), 1.5), at_second(read(), 2.5)]
    record = small_record(*operations, faults=(struck(1, 2),))
    found = operations_by_phase(record, phases_of(record))

    assert {name: [each.id for each in those] for name, those in found.items()} == {
        "before": [500],
        "kill backend replica": [900, 1500],
        "after": [2500],
    }


def test_slow_answers_in_quiet_times_break_the_rule_and_those_during_faults_do_not() -> None:
    quick = [at_second(read(), number / 10) for number in range(50)]
    rules = {RuleName.P99_MS_MAX: 250.0}
    slow = at_second(read(), 6.0, 1.0)

    assert check(small_record(*quick, slow, rules=rules, faults=(struck(5.5, 8),)))[0].verdict is Verdict.VALID
    (finding,) = check(small_record(*quick, slow, rules=rules))
    assert finding.verdict is Verdict.INVALID
    assert finding.value == pytest.approx(1_000)
    assert finding.evidence == ("operation 6000 (home) took 1000 ms, meant for 6.000 s",)


def test_without_an_answer_in_quiet_times_nothing_is_known() -> None:
    assert check(small_record(rules={RuleName.P99_MS_MAX: 250.0}))[0].verdict is Verdict.UNKNOWN


def test_latency_counts_from_the_intended_time_and_beside_it_from_the_sent_one() -> None:
    late = replace(at_second(read(), 1.0, 0.5), sent_at=1.4)
    (row,) = latency_by_phase(small_record(late))

    assert row.from_intended.p99_ms == pytest.approx(500)
    assert row.from_sent.p99_ms == pytest.approx(100)


def test_the_clean_run_is_within_its_bound() -> None:
    assert the(check(clean_record()), RuleName.P99_MS_MAX).verdict is Verdict.VALID


@pytest.mark.parametrize(
    ("kind", "aim", "name"),
    [
        ("kill", Aim(Role.PRIMARY), "kill primary"),
        ("freeze", Aim(Role.REPLICA, Extent.SOME, "backend"), "freeze some backend replicas"),
        ("kill", Aim(Role.STANDBY, Extent.ALL), "kill all standbys"),
        ("cut", Aim(Role.STANDBY, towards=Role.PRIMARY), "cut standby → primary"),
        ("delay", Aim(Role.GATEWAY, service="backend", towards=Role.REPLICA), "delay gateway → backend replica"),
        ("bad_rollout", Aim(Role.SERVICE, service="backend"), "bad rollout backend"),
        ("fill_disk", Aim(Role.SYSTEM, Extent.ALL), "fill disk"),
    ],
)
def test_faults_have_names_that_people_read(kind: str, aim: Aim, name: str) -> None:
    assert fault_name(PlannedFault(kind, aim, 0.0)) == name


def test_faults_that_are_alike_are_told_apart() -> None:
    assert fault_names([FAULTS[0], FAULTS[1], FAULTS[0]]) == (
        "kill backend replica (1)",
        "kill primary",
        "kill backend replica (2)",
    )
