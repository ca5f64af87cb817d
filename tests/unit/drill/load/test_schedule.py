"""When operations are meant to be sent, and by whom."""

from collections import Counter, defaultdict
from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest

from colonnade.drill.load.arrivals import intended_offsets
from colonnade.drill.load.schedule import STEPS, THINK_S, Step, expected_count, lone_write_share, session_share, steps
from colonnade.drill.load.workload import reads_of

from .test_plan import PLAN

SESSIONS = replace(PLAN, session_share=0.4, duration_s=60)


def drawn(seed: int = 1) -> list[Step]:
    return list(steps(SESSIONS, Random(seed)))


def visits(of: list[Step]) -> dict[int, list[Step]]:
    found = defaultdict(list)
    for step in of:
        if step.session >= 0:
            found[step.session].append(step)
    return found


def test_without_sessions_the_times_are_those_of_independent_requests() -> None:
    plain = [step.offset_s for step in steps(PLAN, Random(1))]

    assert plain == list(intended_offsets(PLAN.arrivals, PLAN.rate_per_s, PLAN.duration_s, Random(1)))


def test_steps_ascend_and_stay_within_the_run() -> None:
    moments = [step.offset_s for step in drawn()]

    assert moments == sorted(moments)
    assert 0 <= moments[0] <= moments[-1] < SESSIONS.duration_s


def test_the_same_seed_gives_the_same_steps() -> None:
    assert drawn() == drawn() != drawn(2)


def test_rate_and_share_are_as_planned() -> None:
    found = drawn()

    assert len(found) / SESSIONS.duration_s == pytest.approx(100, rel=0.05)
    assert sum(step.session >= 0 for step in found) / len(found) == pytest.approx(0.4, abs=0.03)


@pytest.mark.parametrize(("session_share_", "duration_s"), [(0.0, 100), (0.4, 100), (0.8, 2), (0.8, 20)])
def test_as_many_operations_come_as_are_expected(session_share_: float, duration_s: float) -> None:
    plan = replace(PLAN, session_share=session_share_, duration_s=duration_s)
    counts = [sum(1 for _ in steps(plan, Random(seed))) for seed in range(1 + int(100 / duration_s))]

    assert sum(counts) / len(counts) == pytest.approx(expected_count(plan), rel=0.06)


def test_a_visitor_writes_first_and_looks_after_each_wait() -> None:
    for theirs in visits(drawn()).values():
        assert [step.number for step in theirs] == list(range(len(theirs)))
        for (before, after), (least_s, most_s) in zip(pairwise(theirs), THINK_S, strict=False):
            assert least_s <= after.offset_s - before.offset_s <= most_s


def test_most_visitors_finish() -> None:
    lengths = Counter(map(len, visits(drawn()).values()))

    assert lengths[STEPS] / lengths.total() > 0.9


@pytest.mark.parametrize(
    ("write_share", "asked", "given"),
    [(0.2, 0.4, 0.4), (0.05, 0.4, 0.2), (0.0, 0.4, 0.0), (1.0, 0.4, 0.0), (0.25, 1.0, 1.0)],
)
def test_sessions_never_change_the_share_of_writes(write_share: float, asked: float, given: float) -> None:
    plan = replace(PLAN, write_share=write_share, session_share=asked)
    share = session_share(plan)

    assert share == pytest.approx(given)
    assert share / STEPS + (1 - share) * lone_write_share(plan) == pytest.approx(write_share)


def test_a_run_of_visitors_alone_has_no_passers_by() -> None:
    plan = replace(PLAN, write_share=0.25, session_share=1.0)

    assert all(step.session >= 0 for step in steps(plan, Random(1)))


def test_without_a_way_to_look_there_are_no_sessions() -> None:
    plan = replace(PLAN, workload=reads_of(["/"]), write_share=0.0, session_share=0.5)

    assert session_share(plan) == 0
