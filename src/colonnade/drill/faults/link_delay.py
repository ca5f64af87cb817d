"""Link delay: what goes over it arrives later, by a fixed and a random part, in both directions."""

from __future__ import annotations

from colonnade.drill.faults.fault import Fault, Surroundings
from colonnade.drill.faults.on_links import OnLinks
from colonnade.drill.faults.settings import numbers
from colonnade.drill.links.rule import LinkRule
from colonnade.drill.scenario import PlannedFault


def link_delay(planned: PlannedFault, around: Surroundings) -> Fault:
    """`delay_s` and `jitter_s`: each way."""
    given = numbers(planned, delay_s=0.1, jitter_s=0.02)
    rule = LinkRule(delay_s=given["delay_s"], jitter_s=given["jitter_s"])
    return OnLinks(
        planned, around, rule, f"delayed by {rule.delay_s * 1000:.0f} ms and up to {rule.jitter_s * 1000:.0f} ms more:"
    )
