"""Which rules of a scenario can be asked of an application at all, decided before anything is measured. Pure.

An application that is only read cannot lose a write: a rule about that would never be more than unknown. It is left
out, and the report says so in a sentence. What could be seen and then was not is another matter: that is unknown.
Read next: `scenario`, `workloads`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from colonnade.core.errors import SpecError
from colonnade.drill.load.ledger import Kind
from colonnade.drill.load.workload import Workload
from colonnade.drill.scenario import RuleName, Scenario

OF_WRITES = frozenset(
    {
        RuleName.LOST_WRITES_MAX,
        RuleName.DOUBLED_WRITES_MAX,
        RuleName.PHANTOM_WRITES_MAX,
        RuleName.STALE_SESSION_READS_MAX,
        RuleName.FAILED_WRITES_SHARE_MAX,
        RuleName.WRITE_GAP_S_MAX,
    }
)
OF_READS = frozenset({RuleName.FAILED_READS_SHARE_MAX, RuleName.READ_GAP_S_MAX})
OF_SESSIONS = frozenset({RuleName.STALE_SESSION_READS_MAX})
OF_ALL_ITEMS = frozenset({RuleName.DOUBLED_WRITES_MAX, RuleName.PHANTOM_WRITES_MAX})
OF_OUR_DATABASE = frozenset({RuleName.TWO_PRIMARIES_S_MAX})


def applicable(scenario: Scenario, workload: Workload, *, has_database: bool) -> tuple[Scenario, tuple[str, ...]]:
    """The scenario with the rules that can be asked, and a sentence for each group that was left out. `has_database`:
    there is one of Colonnade's, whose servers can be looked at.

    Raises SpecError when none is left.
    """
    rules = dict(scenario.rules)
    sentences = []
    for out_of_question, sentence in _left_out(workload, has_database=has_database):
        gone = out_of_question & rules.keys()
        if gone:
            rules = {rule: bound for rule, bound in rules.items() if rule not in gone}
            sentences.append(f"{sentence}: not asked are {', '.join(rule for rule in scenario.rules if rule in gone)}")
    if not rules:
        raise SpecError(
            f"none of the rules of {scenario.name} can be asked of this application",
            subject="drill",
            hint="say in [drill] what can be written and how it is found again, or take another scenario",
        )
    return replace(scenario, rules=rules), tuple(sentences)


def _left_out(workload: Workload, *, has_database: bool) -> Iterator[tuple[frozenset[RuleName], str]]:
    kinds = {action.kind for action in workload.actions}
    if Kind.WRITE not in kinds:
        yield OF_WRITES, "nothing was written, since [drill] names no writes"
    if Kind.READ not in kinds:
        yield OF_READS, "nothing was read"
    if not workload.read_own:
        yield OF_SESSIONS, "nobody looked for what they had written, since [drill] names no `own`"
    if workload.item_path and not (workload.list_path or workload.sql):
        yield OF_ALL_ITEMS, "writes were asked for one by one, so that others would not have been seen"
    if not has_database:
        yield OF_OUR_DATABASE, "there is no database of Colonnade's"
