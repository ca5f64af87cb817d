"""Which node may be drained, and which pods have to leave it: as `kubectl drain --ignore-daemonsets` sees it. Pure.

Never the only node that takes pods; never one with a pod that nobody would start again; and one with files of others
only where that was allowed.
"""

from __future__ import annotations

from collections.abc import Sequence

from colonnade.drill.cluster.api import Object
from colonnade.drill.cluster.state import ENDED, PART_OF

MIRROR = "kubernetes.io/config.mirror"
"""Annotation of a pod that the node itself keeps; the API cannot take it away."""


def is_schedulable(node: Object) -> bool:
    """Whether a pod without tolerations can come to it."""
    spec = node.get("spec") or {}
    conditions = {each["type"]: each["status"] for each in (node.get("status") or {}).get("conditions") or ()}
    kept_off = any(taint.get("effect") in ("NoSchedule", "NoExecute") for taint in spec.get("taints") or ())
    return conditions.get("Ready") == "True" and not spec.get("unschedulable") and not kept_off


def why_not_drained(node: Object, nodes: Sequence[Object]) -> str:
    """Empty for one that may be drained."""
    name = node["metadata"]["name"]
    if (node.get("spec") or {}).get("unschedulable"):
        return f"{name} is cordoned already, by somebody else"
    if not any(is_schedulable(other) for other in nodes if other["metadata"]["name"] != name):
        return f"{name} is the only node that takes pods"
    return ""


def leaving(pods: Sequence[Object]) -> list[Object]:
    """Those that are evicted: not what belongs to the node itself, and not what a DaemonSet would put there again."""
    return [pod for pod in pods if not _is_mirror(pod) and not _is_of_a_daemon_set(pod)]


def is_ours(pod: Object, namespace: str, system: str) -> bool:
    metadata = pod["metadata"]
    return bool(metadata["namespace"] == namespace and (metadata.get("labels") or {}).get(PART_OF) == system)


def why_not_evicted(pod: Object) -> str:
    """Empty for a pod that may be evicted whoever it belongs to."""
    if _is_over(pod) or _owner(pod) is not None:
        return ""
    return f"nobody would start {name_of(pod)} again"


def files_lost(pod: Object) -> str:
    """Empty for a pod that keeps no files on its node."""
    if _is_over(pod) or not any("emptyDir" in volume for volume in pod["spec"].get("volumes") or ()):
        return ""
    return f"{name_of(pod)} keeps files on it, which would be lost (--delete-emptydir-data allows that)"


def name_of(pod: Object) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"


def _is_mirror(pod: Object) -> bool:
    return MIRROR in (pod["metadata"].get("annotations") or {})


def _is_of_a_daemon_set(pod: Object) -> bool:
    owner = _owner(pod)
    return owner is not None and owner.get("kind") == "DaemonSet" and not _is_over(pod)


def _is_over(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in ENDED


def _owner(pod: Object) -> Object | None:
    references = pod["metadata"].get("ownerReferences") or ()
    return next((dict(each) for each in references if each.get("controller")), None)
