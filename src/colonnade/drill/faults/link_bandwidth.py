"""Link bandwidth: a narrow link, shared by all connections over it, in each direction."""

from __future__ import annotations

from colonnade.drill.faults.fault import Fault, Surroundings
from colonnade.drill.faults.on_links import OnLinks
from colonnade.drill.faults.settings import numbers, refusal
from colonnade.drill.links.rule import LinkRule
from colonnade.drill.scenario import PlannedFault


def link_bandwidth(planned: PlannedFault, around: Surroundings) -> Fault:
    """`bytes_per_s`: each way."""
    given = numbers(planned, bytes_per_s=100_000)["bytes_per_s"]
    if given < 1:
        raise refusal(planned, f"bytes_per_s must be 1 or more, got {given:g}; what passes nothing is link_cut")
    return OnLinks(planned, around, LinkRule(bytes_per_s=given), f"limited to {given / 1000:.0f} kB/s:")
