"""Link cut: nothing arrives in either direction, as with a cable pulled out. Nobody is told; what was under way arrives
after the healing, if both sides still wait for it then."""

from __future__ import annotations

from colonnade.drill.faults.fault import Fault, Surroundings
from colonnade.drill.faults.on_links import OnLinks
from colonnade.drill.faults.settings import known
from colonnade.drill.links.rule import CUT
from colonnade.drill.scenario import PlannedFault


def link_cut(planned: PlannedFault, around: Surroundings) -> Fault:
    known(planned, {})
    return OnLinks(planned, around, CUT, "cut")
