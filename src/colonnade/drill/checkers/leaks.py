"""Whether anything is left behind: processes, sockets, replication slots, files.

Read next: `record.Leftovers` for who looked, and when.
"""

from __future__ import annotations

from colonnade.drill.checkers.finding import Finding, compared, counted, unseen
from colonnade.drill.record import Record
from colonnade.drill.scenario import RuleName

RULE = RuleName.LEFTOVERS_MAX


def check(record: Record) -> tuple[Finding, ...]:
    """One finding, where the scenario asks."""
    bound = record.scenario.rules.get(RULE)
    if bound is None:
        return ()
    left = record.leftovers
    if left is None:
        return (unseen(RULE, bound, "could_not_look", "nobody could look for what was left behind"),)
    counts = [
        (left.processes, "process", "processes"),
        (left.sockets, "socket", ""),
        (left.slots, "replication slot", ""),
        (left.files, "file", ""),
        (left.changes, "change of the cluster", "changes of the cluster"),
    ]
    told = ", ".join(counted(len(those), *names) for those, *names in counts if those) or "nothing"
    evidence = tuple(each for those, *_ in counts for each in those)
    return (compared(RULE, len(left), bound, f"{told} left behind after the end", evidence),)
