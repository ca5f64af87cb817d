"""What a cluster says of a system, reduced to what a drill looks at: the same shape as `colonnade status` on one
machine as far as there is the same. Pure.

A pod that leaves counts no more from the moment that its deletion is asked for: the API server writes that down before
anybody acts on it, so a look right after a fault never takes the system for whole because nobody has noticed yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from colonnade.drill.cluster.api import Object
from colonnade.drill.record import Sample
from colonnade.spec.model import Spec

PART_OF = "app.kubernetes.io/part-of"
SERVICE = "colonnade.dev/service"
GATEWAY = "gateway"

ENDED = ("Succeeded", "Failed")


def status_of(spec: Spec, deployments: Sequence[Object], pods: Sequence[Object]) -> dict[str, Any]:
    """One entry for each Deployment, in the order of their names; the gateways are one of them."""
    entries = [_entry(each, pods, spec) for each in sorted(deployments, key=lambda each: str(each["metadata"]["name"]))]
    return {"system": spec.system.name, "services": entries, "problems": [p for e in entries for p in _problems(e)]}


def _entry(deployment: Object, pods: Sequence[Object], spec: Spec) -> dict[str, Any]:
    name, template = deployment["metadata"]["name"], deployment["spec"]["template"]
    service = (template["metadata"].get("labels") or {}).get(SERVICE, name)
    declared = spec.services.get(service)
    wanted = deployment["spec"]["selector"]["matchLabels"].items()
    own = [pod for pod in pods if wanted <= (pod["metadata"].get("labels") or {}).items()]
    state = deployment.get("status") or {}
    return {
        "name": name,
        "service": service,
        "route": declared.route if declared is not None else None,
        "image": template["spec"]["containers"][0]["image"],
        "desired": deployment["spec"].get("replicas", 1),
        "replicas": [_pod(pod) for pod in own if (pod.get("status") or {}).get("phase") not in ENDED],
        "is_seen": state.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0),
        "updated": state.get("updatedReplicas", 0),
        "total": state.get("replicas", 0),
    }


def _pod(pod: Object) -> dict[str, Any]:
    status = pod.get("status") or {}
    conditions = {each["type"]: each["status"] for each in status.get("conditions") or ()}
    state = "ready" if conditions.get("Ready") == "True" else str(status.get("phase", "Unknown")).lower()
    return {
        "id": pod["metadata"]["name"],
        "state": "leaving" if pod["metadata"].get("deletionTimestamp") else state,
        "node": pod["spec"].get("nodeName", ""),
    }


def _problems(entry: Mapping[str, Any]) -> Iterator[str]:
    name, desired = entry["name"], entry["desired"]
    staying = [pod for pod in entry["replicas"] if pod["state"] != "leaving"]
    ready = sum(pod["state"] == "ready" for pod in staying)
    if ready != desired or len(staying) != desired:
        more = f", {len(staying)} are there" if len(staying) > desired else ""
        yield f"{name}: {ready} of {desired} pods serve{more}"
    elif not entry["is_seen"]:
        yield f"{name}: a change of it was not taken up yet"
    elif entry["updated"] != desired or entry["total"] != desired:
        yield f"{name}: {entry['updated']} of {desired} pods are of the newest template"


def sample_of(at: float, status: Mapping[str, Any] | None) -> Sample:
    """A status reduced to what is compared later; None for one that was not given."""
    if status is None:
        return Sample(at, is_answered=False)
    entries = status["services"]
    return Sample(
        at=at,
        is_answered=True,
        problems=tuple(status["problems"]) or (() if entries else ("there is no Deployment of this system",)),
        ready={each["name"]: sum(pod["state"] == "ready" for pod in each["replicas"]) for each in entries},
        desired={each["name"]: each["desired"] for each in entries},
    )
