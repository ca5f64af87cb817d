"""What a drill is going to do to a cluster, in sentences, for whoever has to agree to it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from colonnade.drill.checkers.phases import fault_name
from colonnade.drill.cluster.faults.registry import IMPOSSIBLE
from colonnade.drill.scenario import Scenario

DOES: Mapping[str, str] = {
    "delete_pod": "deletes pods, with their grace period",
    "evict": "evicts pods, as the disruption budget allows it",
    "rollout": "replaces all pods by new ones of the same version",
    "scale": "gives a service more or fewer pods, then as many as before; an autoscaler is pinned meanwhile",
    "drain_node": "cordons a node, evicts all on it but DaemonSets (pods of others, too), then lets it go again",
    "overload": "sends so many times the load in addition",
}


@dataclass(frozen=True, slots=True)
class Where:
    """What is about to be drilled."""

    context: str
    server: str
    version: str
    namespace: str
    url: str
    """Empty: through a port-forward."""
    is_read_only: bool


def announcement(where: Where, scenario: Scenario) -> Iterator[str]:
    """A line each; what is impossible in a cluster is named, too."""
    load = scenario.load
    yield f"in context {where.context} ({where.server}, Kubernetes {where.version}), namespace {where.namespace}:"
    to = where.url or "the gateways through a port-forward, which ends with the pod it leads to (--url is better)"
    yield f"  {scenario.duration_s:.0f} s of {load.rate_per_s:g} requests/s to {to}"
    if not where.is_read_only:
        yield "  what [drill] in colonnade.toml writes goes into the system's own database and stays there"
    for fault in scenario.faults:
        name = f"  {fault.at_s:6g} s  {fault_name(fault)}"
        yield f"{name}: {DOES[fault.kind]}" if fault.kind in DOES else f"{name}: skipped, {IMPOSSIBLE[fault.kind]}"
    yield "  at the end, also when interrupted, everything is put back but what was written and, after a rollout, the"
    yield "  annotation kubectl.kubernetes.io/restartedAt"
