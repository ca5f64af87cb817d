"""Rules that cannot be asked of an application are left out beforehand, and said."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from colonnade.core.errors import SpecError
from colonnade.drill.applicable import applicable
from colonnade.drill.load.workload import BLOG, Workload, reads_of
from colonnade.drill.scenario import LoadPlan, RuleName, Scenario
from colonnade.spec.model import Spec

ALL = Scenario("all", "Everything is asked.", LoadPlan(), (), dict.fromkeys(RuleName, 0.0))

BY_ITEM = replace(BLOG, list_path="", sql="", item_path="/api/posts/{id}")


def spec(**database: Any) -> Spec:
    return Spec.model_validate({"services": {"web": {"app": "m:a"}}, "database": database or None})


OURS = spec(standbys=2)

WRITES = {
    "lost_writes_max",
    "doubled_writes_max",
    "phantom_writes_max",
    "stale_session_reads_max",
    "failed_writes_share_max",
    "write_gap_s_max",
}


@pytest.mark.parametrize(
    ("workload", "declared", "left_out"),
    [
        (BLOG, OURS, set()),
        (BLOG, spec(url="postgresql://x"), {"two_primaries_s_max"}),
        (reads_of(["/"]), OURS, WRITES),
        (reads_of(["/"]), spec(), WRITES | {"two_primaries_s_max"}),
        (replace(BLOG, read_own=()), OURS, {"stale_session_reads_max"}),
        (BY_ITEM, OURS, {"doubled_writes_max", "phantom_writes_max"}),
        (replace(BLOG, actions=BLOG.actions[-1:]), OURS, {"failed_reads_share_max", "read_gap_s_max"}),
    ],
)
def test_only_what_can_be_asked_is_asked(workload: Workload, declared: Spec, left_out: set[str]) -> None:
    asked, sentences = applicable(ALL, workload, declared)
    assert ALL.rules.keys() - asked.rules.keys() == left_out
    assert all(any(rule in sentence for sentence in sentences) for rule in left_out)
    assert bool(sentences) == bool(left_out)


def test_a_scenario_of_which_nothing_is_left_is_refused() -> None:
    only_writes = replace(ALL, rules={RuleName.LOST_WRITES_MAX: 0})
    with pytest.raises(SpecError, match="none of the rules"):
        applicable(only_writes, reads_of(["/"]), OURS)
