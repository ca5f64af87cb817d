"""Hang: connections are accepted and nobody ever answers. Unlike a cut, who connects believes to be connected, and may
not try elsewhere what it has sent."""

from __future__ import annotations

from colonnade.drill.faults.fault import Fault, Surroundings
from colonnade.drill.faults.on_links import OnLinks
from colonnade.drill.faults.settings import known
from colonnade.drill.links.rule import LinkRule
from colonnade.drill.scenario import PlannedFault


def hang(planned: PlannedFault, around: Surroundings) -> Fault:
    known(planned, {})
    return OnLinks(planned, around, LinkRule(is_hanging=True), "accepted and never answered on")
