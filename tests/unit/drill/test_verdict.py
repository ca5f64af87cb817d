"""The verdict over a whole record: one planted fault at a time, and the one clean run."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from colonnade.drill.checkers.finding import Verdict, worst
from colonnade.drill.checkers.generator import MEASURED_BY_LOAD
from colonnade.drill.checkers.writes import Held
from colonnade.drill.load.ledger import ErrorKind, Kind, Operation, Outcome
from colonnade.drill.record import FaultEnd, Leftovers, Record
from colonnade.drill.scenario import RuleName
from colonnade.drill.verdict import judge

from .records import FAULTS, RULES, SERVER_LINES, clean_record, lines


def with_operations(change: Callable[[Operation], Operation]) -> Record:
    record = clean_record()
    changed = tuple(change(each) for each in record.history.operations)
    return replace(record, history=replace(record.history, operations=changed))


def with_fault_ends(*ends: FaultEnd) -> Record:
    faults = [replace(fault, end=end) for fault, end in zip(FAULTS, ends, strict=True)]
    return replace(clean_record(), faults=tuple(faults))


def first_write(record: Record) -> Operation:
    return next(each for each in record.history.operations if each.kind is Kind.WRITE)


def lost() -> Record:
    record = clean_record()
    assert record.held is not None
    return replace(record, held=tuple(each for each in record.held if each.token != first_write(record).token))


def doubled() -> Record:
    record = clean_record()
    assert record.held is not None
    return replace(record, held=(*record.held, Held("another", str(first_write(record).token))))


def phantom() -> Record:
    token = first_write(clean_record()).token
    return with_operations(lambda each: replace(each, outcome=Outcome.FAILED) if each.token == token else each)


def stale() -> Record:
    return with_operations(lambda each: replace(each, found=False) if each.found and each.session == 3 else each)


def slow() -> Record:
    return with_operations(lambda each: replace(each, done_at=each.done_at + 0.4))


def failing() -> Record:
    return with_operations(
        lambda each: replace(each, outcome=Outcome.FAILED) if each.kind is Kind.READ and each.id % 20 == 0 else each
    )


def silent() -> Record:
    return with_operations(
        lambda each: replace(each, outcome=Outcome.UNKNOWN) if each.token and 1030 < each.done_at < 1034 else each
    )


PLANTED: dict[str, tuple[Callable[[], Record], set[RuleName]]] = {
    "a lost write": (lost, {RuleName.LOST_WRITES_MAX}),
    "a doubled write": (doubled, {RuleName.DOUBLED_WRITES_MAX}),
    "a phantom write": (phantom, {RuleName.PHANTOM_WRITES_MAX}),
    "stale reads": (stale, {RuleName.STALE_SESSION_READS_MAX}),
    "slow answers": (slow, {RuleName.P99_MS_MAX}),
    "failed reads": (failing, {RuleName.FAILED_READS_SHARE_MAX}),
    "writers who wait": (silent, {RuleName.WRITE_GAP_S_MAX, RuleName.FAILED_WRITES_SHARE_MAX}),
    "something left behind": (
        lambda: replace(clean_record(), leftovers=Leftovers(files=("/dev/shm/x",))),
        {RuleName.LEFTOVERS_MAX},
    ),
    "two primaries": (
        lambda: replace(clean_record(), server_lines=lines(*SERVER_LINES, ("a", 21.5, "LOG:  a transaction"))),
        {RuleName.TWO_PRIMARIES_S_MAX},
    ),
    "a fault that was not survived": (
        lambda: replace(clean_record(), faults=(replace(FAULTS[0], whole_at=None),)),
        {RuleName.RECOVERY_S_MAX},
    ),
}


def test_the_clean_run_is_valid_and_its_sentence_has_n_faults_and_machine() -> None:
    judgement = judge(clean_record())

    assert (judgement.verdict, judgement.reason, judgement.doubts) == (Verdict.VALID, "all_rules_hold", ())
    assert judgement.sentence == (
        "Valid: all 13 rules held for 5,938 operations under 3 faults of 2 kinds, on 2 cores, 8.0 GB, Linux 6.1.0; "
        "1 fault was not possible here."
    )
    assert judgement.skipped == ("fill disk: a small file system of its own needs root or a user namespace",)


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_fault_is_found_by_its_rule_and_by_no_other(planted: str) -> None:
    plant, rules = PLANTED[planted]

    judgement = judge(plant())

    assert {each.rule for each in judgement.findings if each.verdict is Verdict.INVALID} == rules
    assert judgement.verdict is Verdict.INVALID
    assert judgement.sentence.startswith("Invalid: ")


def test_the_first_offending_operation_is_shown() -> None:
    record = lost()
    write = first_write(record)
    finding = next(each for each in judge(record).findings if each.verdict is Verdict.INVALID)

    assert f"{write.token} (operation {write.id}): sent at " in finding.evidence[0]
    assert finding.evidence[0].endswith("(ok); not there")


def test_every_rule_is_answered_once() -> None:
    rules = [each.rule for each in judge(clean_record()).findings]

    assert sorted(rules) == sorted({*RULES, RuleName.MISSING_AT_END_MAX})


def test_a_fault_that_failed_makes_it_unknown() -> None:
    judgement = judge(with_fault_ends(FaultEnd.FAILED, FaultEnd.DONE, FaultEnd.DONE, FaultEnd.SKIPPED))

    assert judgement.verdict is Verdict.UNKNOWN
    assert judgement.doubts == ("kill backend replica failed: killed backend-2 (pid 4402)",)


def test_a_drill_that_ended_before_its_faults_is_unknown() -> None:
    record = with_fault_ends(FaultEnd.DONE, FaultEnd.DONE, FaultEnd.DONE, FaultEnd.NOT_REACHED)

    assert judge(record).doubts == ("the drill ended before 1 of 4 faults",)


def test_a_drill_in_which_nothing_was_possible_is_unknown() -> None:
    assert "no fault came to pass" in judge(with_fault_ends(*[FaultEnd.SKIPPED] * 4)).doubts


def test_a_late_generator_makes_what_it_measured_unknown_good_or_bad() -> None:
    record = with_operations(lambda each: replace(each, started_at=each.intended_at + 0.05, done_at=each.done_at + 1))
    judgement = judge(record)
    verdicts = {each.rule: each.verdict for each in judgement.findings}

    assert judgement.verdict is Verdict.UNKNOWN
    assert verdicts[RuleName.P99_MS_MAX] is verdicts[RuleName.READ_GAP_S_MAX] is Verdict.UNKNOWN
    assert verdicts[RuleName.LOST_WRITES_MAX] is Verdict.VALID


def test_a_loss_stands_however_late_the_generator_was() -> None:
    record = lost()
    late = tuple(replace(each, started_at=each.intended_at + 0.05) for each in record.history.operations)
    judgement = judge(replace(record, history=replace(record.history, operations=late)))

    assert judgement.verdict is Verdict.INVALID
    assert judgement.sentence.startswith("Invalid: 1 acknowledged write is not there")


@pytest.mark.parametrize(("bound", "verdict"), [(0.0, Verdict.INVALID), (0.01, Verdict.UNKNOWN)])
def test_a_failure_stands_where_none_may_be_however_late_the_generator_was(bound: float, verdict: Verdict) -> None:
    record = failing()
    late = tuple(replace(each, started_at=each.intended_at + 0.05) for each in record.history.operations)
    rules = {RuleName.FAILED_READS_SHARE_MAX: bound}
    history, scenario = replace(record.history, operations=late), replace(record.scenario, rules=rules)

    assert judge(replace(record, history=history, scenario=scenario)).verdict is verdict


def test_where_nothing_is_asked_that_it_measures_a_late_generator_is_no_matter() -> None:
    record = with_operations(lambda each: replace(each, started_at=each.intended_at + 0.05))
    rules = {rule: bound for rule, bound in RULES.items() if rule not in MEASURED_BY_LOAD}
    judgement = judge(replace(record, scenario=replace(record.scenario, rules=rules)))

    assert (judgement.verdict, judgement.doubts) == (Verdict.VALID, ())


def test_a_generator_that_could_not_send_is_not_believed() -> None:
    record = with_operations(
        lambda each: (
            replace(each, outcome=Outcome.FAILED, error=ErrorKind.GENERATOR_SATURATED) if each.id == 5 else each
        )
    )

    assert judge(record).doubts == ("1 operations were not sent: generator_saturated",)


def before_the_faults(change: Callable[[Operation], Operation]) -> Record:
    return with_operations(lambda each: change(each) if each.intended_at < 1_009 else each)


def test_an_application_that_failed_before_anything_was_broken_says_nothing_about_faults() -> None:
    judgement = judge(before_the_faults(lambda each: replace(each, outcome=Outcome.UNKNOWN) if each.id % 4 else each))
    verdicts = {each.rule: each.verdict for each in judgement.findings}

    assert "requests failed before anything was broken: send less (--rate" in judgement.doubts[0]
    assert verdicts[RuleName.FAILED_READS_SHARE_MAX] is Verdict.UNKNOWN, "not the fault of any fault"
    assert verdicts[RuleName.LOST_WRITES_MAX] is Verdict.VALID
    assert judgement.verdict is Verdict.UNKNOWN


def test_nor_does_one_whose_answers_came_ever_later() -> None:
    judgement = judge(before_the_faults(lambda each: replace(each, done_at=each.done_at + each.intended_at - 1_000)))

    assert judgement.doubts[0].startswith("half of the answers took over 4.")
    assert judgement.doubts[0].endswith(" before anything was broken: send less (--rate, or rate in [drill])")


def test_a_few_failures_before_the_faults_are_no_reason_to_doubt() -> None:
    few = {each.id for each in clean_record().history.operations[:4]}
    record = before_the_faults(lambda each: replace(each, outcome=Outcome.UNKNOWN) if each.id in few else each)

    assert judge(record).doubts == ()


def test_a_run_that_sent_far_less_than_planned_is_not_believed() -> None:
    record = clean_record()
    few = replace(record.history, operations=record.history.operations[:3_000])

    assert any(
        "operations were intended where the plan has 59" in each for each in judge(replace(record, history=few)).doubts
    )


def test_what_cannot_be_read_back_is_unknown() -> None:
    judgement = judge(replace(clean_record(), held=None, held_problem="this application has no list"))
    unknown = [each for each in judgement.findings if each.verdict is Verdict.UNKNOWN]

    assert judgement.verdict is Verdict.UNKNOWN
    assert {each.rule for each in unknown} == {
        RuleName.LOST_WRITES_MAX,
        RuleName.DOUBLED_WRITES_MAX,
        RuleName.PHANTOM_WRITES_MAX,
    }
    assert all(each.message == "this application has no list" for each in unknown)


@pytest.mark.parametrize(
    ("verdicts", "worst_of_all"),
    [
        ((Verdict.VALID, Verdict.UNKNOWN, Verdict.INVALID), Verdict.INVALID),
        ((Verdict.VALID, Verdict.UNKNOWN), Verdict.UNKNOWN),
        ((Verdict.VALID,), Verdict.VALID),
        ((), Verdict.UNKNOWN),
    ],
)
def test_invalid_outweighs_unknown_and_unknown_outweighs_valid(
    verdicts: tuple[Verdict, ...], worst_of_all: Verdict
) -> None:
    assert worst(verdicts) is worst_of_all
