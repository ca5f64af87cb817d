"""What a cluster of machines like this one needs for the same load, when one machine is no longer enough. Pure.

Counted in whole nodes: it must carry the load while one of them is gone, as it is when it fails and when it is drained.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

RESERVED_CORES = 0.5
RESERVED_MEMORY_SHARE = 0.1
"""Of each node, for the kubelet, the network and the system. By feel; distributions reserve about so much."""

NODES_MIN = 3
"""A quorum of the database's nodes, and of the cluster's own record, survives the loss of one of three, not of two."""

GATEWAYS = 2


@dataclass(frozen=True, slots=True)
class ClusterNeeds:
    """Nodes as large as this machine."""

    nodes: int
    pods: Mapping[str, int]
    """By service, and `gateway`."""
    cores_busy: float
    because: str
    """`cores`, `memory`, or `quorum`."""
    message: str


def cluster_needs(
    pods: Mapping[str, int], cores_busy: float, memory_bytes: int | None, node_cores: float, node_memory_bytes: int
) -> ClusterNeeds | None:
    """For a load that keeps `cores_busy` busy and replicas that take `memory_bytes` together (None: not known).

    None when nodes of this size are too small to be nodes at all.
    """
    usable_cores = node_cores - RESERVED_CORES
    if usable_cores <= 0 or node_memory_bytes <= 0:
        return None
    by_cores = math.ceil(cores_busy / usable_cores) + 1
    usable_bytes = node_memory_bytes * (1 - RESERVED_MEMORY_SHARE)
    by_memory = math.ceil(memory_bytes / usable_bytes) + 1 if memory_bytes is not None else 0
    nodes = max(NODES_MIN, by_cores, by_memory)
    because = "quorum" if nodes > max(by_cores, by_memory) else "cores" if by_cores >= by_memory else "memory"
    all_pods = {**pods, "gateway": GATEWAYS}
    listed = ", ".join(f"{count} of {name}" for name, count in all_pods.items())
    message = (
        f"{nodes} nodes like this machine ({node_cores:.3g} cores each) carry it with one of them gone: "
        f"{cores_busy:.3g} cores busy, and pods: {listed}"
    )
    return ClusterNeeds(nodes, all_pods, cores_busy, because, message)
