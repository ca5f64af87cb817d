"""Rules that cannot be asked of an application are left out beforehand, and said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from colonnade.core.errors import SpecError
from colonnade.drill.applicable import applicable
from colonnade.drill.load.workload import BLOG, Workload, reads_of
from colonnade.drill.scenario import LoadPlan, RuleName, Scenario

ALL = Scenario("all", "Everything is asked.", LoadPlan(), (), dict.fromkeys(RuleName, 0.0))

BY_ITEM = replace(BLOG, list_path="", sql="", item_path="/api/posts/{id}")


WRITES = {
    "lost_writes_max",
    "doubled_writes_max",
    "phantom_writes_max",
    "stale_session_reads_max",
    "failed_writes_share_max",
    "write_gap_s_max",
}


@pytest.mark.parametrize(
    ("workload", "has_database", "left_out"),
    [
        (BLOG, True, set()),
        (BLOG, False, {"two_primaries_s_max"}),
        (reads_of(["/"]), True, WRITES),
        (reads_of(["/"]), False, WRITES | {"two_primaries_s_max"}),
        (replace(BLOG, read_own=()), True, {"stale_session_reads_max"}),
        (BY_ITEM, True, {"doubled_writes_max", "phantom_writes_max"}),
        (replace(BLOG, actions=BLOG.actions[-1:]), True, {"failed_reads_share_max", "read_gap_s_max"}),
    ],
)
def test_only_what_can_be_asked_is_asked(workload: Workload, has_database: bool, left_out: set[str]) -> None:
    asked, sentences = applicable(ALL, workload, has_database=has_database)
    assert ALL.rules.keys() - asked.rules.keys() == left_out
    assert all(any(rule in sentence for sentence in sentences) for rule in left_out)
    assert bool(sentences) == bool(left_out)


def test_a_scenario_of_which_nothing_is_left_is_refused() -> None:
    only_writes = replace(ALL, rules={RuleName.LOST_WRITES_MAX: 0})
    with pytest.raises(SpecError, match="none of the rules"):
        applicable(only_writes, reads_of(["/"]), has_database=True)
