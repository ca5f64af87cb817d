"""Counts that can be watched while they are made."""

from __future__ import annotations

from colonnade.drill.load.ledger import Outcome
from colonnade.drill.load.tally import Counts, Tally

from ..builders import write


def test_counts_are_seen_by_others_that_hold_the_same_memory() -> None:
    writer = Tally.make()
    reader = Tally(writer.descriptor)
    assert reader.read() == Counts()
    for outcome in (Outcome.OK, Outcome.FAILED, Outcome.UNKNOWN, Outcome.OK, Outcome.FAILED):
        writer.count(write(outcome=outcome))
    assert reader.read() == writer.read() == Counts(ended=5, failed=2, unknown=1)
    writer.close()
    assert writer.read().ended == 5
