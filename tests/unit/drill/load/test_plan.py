"""Plans that cannot be carried out are refused, and the others survive the way to another process."""

from dataclasses import replace
from typing import Any

import pytest

from colonnade.core.errors import SpecError
from colonnade.drill.load.arrivals import Arrivals
from colonnade.drill.load.history import from_lines, to_lines
from colonnade.drill.load.ledger import Kind, Outcome
from colonnade.drill.load.plan import Plan
from colonnade.drill.load.workload import Action, reads_of

from ..builders import answered_at, history, write

PLAN = Plan(url="http://127.0.0.1:8080", rate_per_s=100, duration_s=30, run_id="abc123")


@pytest.mark.parametrize(
    "fields",
    [
        {"rate_per_s": 0},
        {"rate_per_s": float("nan")},
        {"duration_s": -1},
        {"timeout_s": float("inf")},
        {"in_flight_max": 0},
        {"write_share": 1.5},
        {"duration_s": 1e6},
        {"run_id": "a-b"},
        {"shape": (1.0, 2.0)},
        {"shape": (3.0, -1.0)},
        {"workload": reads_of(["/"]), "write_share": 0.1},
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused_with_a_hint(fields: dict[str, Any]) -> None:
    with pytest.raises(SpecError) as refusal:
        replace(PLAN, **fields)

    assert next(iter(fields)).split("_")[0] in str(refusal.value) + refusal.value.hint
    assert refusal.value.hint


@pytest.mark.parametrize(
    "plan",
    [
        PLAN,
        replace(PLAN, shape=(0.5, 1.5)),
        replace(PLAN, workload=replace(PLAN.workload, headers=(("Authorization", "Basic eDp4"),))),
        replace(PLAN, workload=reads_of(["/a"]), write_share=0, arrivals=Arrivals.CONSTANT),
    ],
)
def test_a_plan_survives_the_way_to_another_process(plan: Plan) -> None:
    assert Plan.from_json(plan.to_json()) == plan


def test_a_history_survives_the_way_back() -> None:
    whole = replace(history(*answered_at(1.0), write("f", Outcome.FAILED, error="http_404")), stopped_at=2.5, cpu_s=0.1)

    assert from_lines(to_lines(whole)) == whole


@pytest.mark.parametrize(
    "fields",
    [
        {"path": "no-slash"},
        {"path": "/a b"},
        {"path": "/a\r\nX: y"},
        {"headers": (("X", "a\nb"),)},
        {"weight": -1.0},
        {"kind": Kind.WRITE},
    ],
)
def test_an_action_that_could_not_be_sent_or_checked_is_refused_with_a_hint(fields: dict[str, Any]) -> None:
    with pytest.raises(SpecError) as refusal:
        replace(Action("a", Kind.READ, "GET", "/"), **fields)

    assert refusal.value.hint
