"""Refuse: new connections are refused, as where nobody listens; those that are there go on."""

from __future__ import annotations

from colonnade.drill.faults.fault import Fault, Surroundings
from colonnade.drill.faults.on_links import OnLinks
from colonnade.drill.faults.settings import known
from colonnade.drill.links.rule import LinkRule
from colonnade.drill.scenario import PlannedFault


def refuse(planned: PlannedFault, around: Surroundings) -> Fault:
    known(planned, {})
    return OnLinks(planned, around, LinkRule(is_refusing=True), "refused new connections on")
