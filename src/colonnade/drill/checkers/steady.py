"""Whether the application was well before anything was broken.

Who is too slow for the load fails without any fault, and then nothing that the load measured says what a fault costs.
Read next: `generator`, the other reason not to believe the load.
"""

from __future__ import annotations

from colonnade.drill.checkers.phases import BEFORE, operations_by_phase, phases_of
from colonnade.drill.load.ledger import OWN_ERRORS, Outcome
from colonnade.drill.load.summary import percentile
from colonnade.drill.record import Record

FAILED_SHARE_MAX = 0.1
"""Before the first fault. No rule that is shipped allows more over a whole run."""
FAILED_MIN = 5
"""One failure among eight requests is no tenth of anything."""
MEDIAN_S_MAX = 1.0
"""In an open loop latency grows without end where the load is above what can be answered: half of all wait longer then
within seconds. Applications that need so long for each request are not drilled at this rate."""

HINT = "send less (--rate, or rate in [drill])"


def doubts(record: Record) -> tuple[str, ...]:
    """Why the load's figures say nothing about faults; empty when they may."""
    phases = [phase for phase in phases_of(record) if phase.name == BEFORE]
    asked = [each for each in operations_by_phase(record, phases)[BEFORE] if each.error not in OWN_ERRORS]
    failed = sum(each.outcome is not Outcome.OK for each in asked)
    if failed >= FAILED_MIN and failed > FAILED_SHARE_MAX * len(asked):
        return (f"{failed} of {len(asked)} requests failed before anything was broken: {HINT}",)
    took_s = sorted(each.latency_s for each in asked)
    if took_s and (median_s := percentile(took_s, 0.5)) > MEDIAN_S_MAX:
        return (f"half of the answers took over {median_s:.1f} s before anything was broken: {HINT}",)
    return ()
