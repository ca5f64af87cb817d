"""All kinds of faults as they are in a cluster: those that its API allows, and why others are impossible there.

A scenario is the same file wherever it is run; what is impossible is skipped, and said.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from colonnade.drill.cluster.faults.around import ClusterMaker, ClusterSurroundings
from colonnade.drill.cluster.faults.delete_pod import DeletePod
from colonnade.drill.cluster.faults.drain_node import DrainNode
from colonnade.drill.cluster.faults.evict import Evict
from colonnade.drill.cluster.faults.rollout import Rollout
from colonnade.drill.cluster.faults.scale import Scale
from colonnade.drill.faults.fault import Fault, NotPossible
from colonnade.drill.faults.overload import Overload
from colonnade.drill.scenario import PlannedFault

_PROCESSES = "impossible here, because a cluster's API takes pods away but does nothing to the processes in them"
_LINKS = "impossible here, because the parts of a cluster reach each other with nothing of Colonnade's in between"

IMPOSSIBLE: Mapping[str, str] = {
    "kill": f"{_PROCESSES}: delete_pod is the nearest",
    "freeze": _PROCESSES,
    "starve": _PROCESSES,
    "memory_pressure": _PROCESSES,
    **dict.fromkeys(("link_delay", "link_loss", "link_cut", "link_bandwidth", "link_reset"), _LINKS),
    **dict.fromkeys(("refuse", "hang", "error_replies"), _LINKS),
    "disk_full": "impossible here, because the disks belong to the nodes and to everybody on them",
    "clock_jump": "impossible here, because clocks belong to the nodes and to everybody on them",
    "bad_rollout": "impossible here, because a broken version would have to be in an image, and a drill makes none: "
    "rollout replaces the pods of the version that runs",
}


def impossible(kind: str, planned: PlannedFault, around: ClusterSurroundings) -> Fault:
    """Raises NotPossible."""
    raise NotPossible("not_in_a_cluster", IMPOSSIBLE[kind])


CLUSTER_FAULTS: Mapping[str, ClusterMaker] = {
    "delete_pod": DeletePod,
    "evict": Evict,
    "rollout": Rollout,
    "scale": Scale,
    "drain_node": DrainNode,
    "overload": Overload,
    **{kind: partial(impossible, kind) for kind in IMPOSSIBLE},
}
