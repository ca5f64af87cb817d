"""All kinds of faults by name. A new one is a file and a line here.

Read next: `fault` for what they have in common.
"""

from __future__ import annotations

from collections.abc import Mapping

from colonnade.drill.faults.bad_rollout import BadRollout
from colonnade.drill.faults.clock_jump import clock_jump
from colonnade.drill.faults.disk_full import DiskFull
from colonnade.drill.faults.error_replies import error_replies
from colonnade.drill.faults.fault import Maker
from colonnade.drill.faults.freeze import Freeze
from colonnade.drill.faults.hang import hang
from colonnade.drill.faults.kill import Kill
from colonnade.drill.faults.link_bandwidth import link_bandwidth
from colonnade.drill.faults.link_cut import link_cut
from colonnade.drill.faults.link_delay import link_delay
from colonnade.drill.faults.link_loss import link_loss
from colonnade.drill.faults.link_reset import LinkReset
from colonnade.drill.faults.memory_pressure import MemoryPressure
from colonnade.drill.faults.of_clusters import INSTEAD, of_clusters
from colonnade.drill.faults.overload import Overload
from colonnade.drill.faults.refuse import refuse
from colonnade.drill.faults.scale import Scale
from colonnade.drill.faults.starve import starve

LINK_FAULTS: Mapping[str, Maker] = {
    "link_delay": link_delay,
    "link_loss": link_loss,
    "link_cut": link_cut,
    "link_bandwidth": link_bandwidth,
    "link_reset": LinkReset,
    "refuse": refuse,
    "hang": hang,
    "error_replies": error_replies,
}
"""They need links where they strike: `ways.ways_needed` tells which."""

FAULTS: Mapping[str, Maker] = {
    "kill": Kill,
    "freeze": Freeze,
    "starve": starve,
    "memory_pressure": MemoryPressure,
    **LINK_FAULTS,
    "disk_full": DiskFull,
    "clock_jump": clock_jump,
    "bad_rollout": BadRollout,
    "scale": Scale,
    "overload": Overload,
    **dict.fromkeys(INSTEAD, of_clusters),
}
