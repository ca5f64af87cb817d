"""Faults of a cluster's API, on one machine: impossible, and said. In a cluster they are in `cluster/faults`."""

from __future__ import annotations

from collections.abc import Mapping

from colonnade.drill.faults.fault import Fault, NotPossible, Surroundings
from colonnade.drill.scenario import PlannedFault

INSTEAD: Mapping[str, str] = {
    "delete_pod": "kill is the nearest",
    "evict": "scale takes replicas out in order",
    "rollout": "bad_rollout deploys here",
    "drain_node": "there is one node, and everything is on it",
}


def of_clusters(planned: PlannedFault, around: Surroundings) -> Fault:
    """Raises NotPossible."""
    message = f"impossible on one machine, because there is no cluster to ask: {INSTEAD[planned.kind]}"
    raise NotPossible("only_in_a_cluster", message)
