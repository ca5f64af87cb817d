"""Link loss: nothing arrives in one direction. Who sends there hears nothing back and is not told; new connections get
no answer. The hardest of partitions, since one side sees the other well."""

from __future__ import annotations

from colonnade.drill.faults.fault import Fault, Surroundings
from colonnade.drill.faults.on_links import OnLinks
from colonnade.drill.faults.settings import known, refusal
from colonnade.drill.links.rule import Direction, LinkRule
from colonnade.drill.scenario import PlannedFault


def link_loss(planned: PlannedFault, around: Surroundings) -> Fault:
    """`direction`: towards (from who connects), or back."""
    given = known(planned, {"direction": Direction.TOWARDS.value}).get("direction", Direction.TOWARDS.value)
    if given not in set(Direction):
        raise refusal(planned, f"direction must be towards or back, got {given!r}")
    is_towards = given == Direction.TOWARDS
    rule = LinkRule(loses_towards=is_towards, loses_back=not is_towards)
    return OnLinks(planned, around, rule, f"lost everything {given} on")
