"""What the command line asks of a cluster beside `deploying.py` and `scaling.py`: how it is, what it says, its end.

The record of a system in the cluster is the cluster's own.
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from colonnade.core.errors import HostError, SpecError
from colonnade.deploy.kubernetes.cluster import Cluster
from colonnade.deploy.kubernetes.manifests import Secret
from colonnade.deploy.kubernetes.objects import Object, names_of
from colonnade.deploy.kubernetes.output import lines_of
from colonnade.deploy.kubernetes.settings import CHOICES, REMEMBERED
from colonnade.deploy.kubernetes.waiting import is_leaving, is_ready

FOLLOWED_MAX = 50
"""Pods whose output is followed at once; each takes a connection and a thread."""

LINES_WAITING_MAX = 1_000

Tell = Callable[[str], None]


def choices(cluster: Cluster) -> dict[str, Any]:
    """What was chosen for that which runs there; nothing where nothing does, or this was not kept yet."""
    found = cluster.get("ConfigMap", "gateway-config")
    text = ((found or {}).get("metadata", {}).get("annotations") or {}).get(CHOICES)
    chosen = {name: value for name, value in json.loads(text).items() if name in REMEMBERED} if text else {}
    # Often edited by hand or patched: visitors who come that way must not be shut out by the next deployment.
    service = cluster.get("Service", "gateway")
    return chosen if service is None else {**chosen, "service_type": service["spec"].get("type", "ClusterIP")}


def check_secrets(cluster: Cluster, secrets: Sequence[Secret]) -> None:
    """Raises HostError for the first that is missing, or lacks a key: it is the user's to make."""
    for secret in secrets:
        found = cluster.get("Secret", secret.name)
        missing = [key for key in secret.keys if found is None or key not in (found.get("data") or {})]
        if missing:
            literals = " ".join(f"--from-literal={key}=…" for key in missing)
            first = "" if cluster.has_namespace() else f"kubectl create namespace {cluster.namespace} && "
            raise HostError(
                f"the Secret is yours to make, and lacks {', '.join(missing)}",
                subject=secret.name,
                hint=f"{first}kubectl -n {cluster.namespace} create secret generic {secret.name} {literals}",
            )


def down(cluster: Cluster, system: str, tell: Tell) -> int:
    """Delete everything of the system but Secrets, the namespace and databases. Returns how many objects."""
    count = 0
    for each in list(cluster.owned(system)):
        cluster.delete(*names_of(each))
        tell(" ".join(names_of(each)))
        count += 1
    return count


def status(cluster: Cluster, system: str) -> dict[str, Any]:
    """Deployments and pods of the system, as data."""
    labels = {"app.kubernetes.io/part-of": system}
    scalers = {each["metadata"]["name"]: each for each in cluster.list("HorizontalPodAutoscaler", labels)}
    return {
        "system": system,
        "namespace": cluster.namespace,
        "deployments": [_deployment(each, scalers) for each in cluster.list("Deployment", labels)],
        "pods": [_pod(each) for each in cluster.list("Pod", labels)],
    }


def _deployment(found: Object, scalers: Mapping[str, Object]) -> dict[str, Any]:
    state, name = found.get("status") or {}, found["metadata"]["name"]
    scaler = scalers.get(name)
    return {
        "name": name,
        "wanted": found["spec"].get("replicas", 1),
        "available": state.get("availableReplicas", 0),
        "updated": state.get("updatedReplicas", 0),
        "image": found["spec"]["template"]["spec"]["containers"][0]["image"],
        "bounds": [scaler["spec"].get("minReplicas", 1), scaler["spec"]["maxReplicas"]] if scaler else None,
    }


def _pod(found: Object) -> dict[str, Any]:
    state = found.get("status") or {}
    return {
        "name": found["metadata"]["name"],
        "service": found["metadata"].get("labels", {}).get("app.kubernetes.io/name", ""),
        "phase": "leaving" if is_leaving(found) else state.get("phase", "Unknown"),
        "is_ready": is_ready(found),
        "restarts": sum(each.get("restartCount", 0) for each in state.get("containerStatuses") or ()),
        "node": found["spec"].get("nodeName", ""),
    }


def logs(cluster: Cluster, system: str, services: Sequence[str], lines: int) -> Iterator[tuple[str, str]]:
    """(pod, line) of the pods of these services, all if none is named."""
    for pod in cluster.list("Pod", {"app.kubernetes.io/part-of": system}):
        if _is_meant(pod, services):
            yield from ((pod["metadata"]["name"], line) for line in lines_of(cluster, pod, lines=lines))


def follow(cluster: Cluster, system: str, services: Sequence[str], lines: int) -> Iterator[tuple[str, str]]:
    """As `logs`, and on as they come, until all of these pods have ended. Pods that come later are not among them."""
    found = [pod for pod in cluster.list("Pod", {"app.kubernetes.io/part-of": system}) if _is_meant(pod, services)]
    if len(found) > FOLLOWED_MAX:
        raise SpecError(
            f"{len(found)} pods are too many to follow at once", subject="logs", hint="name a service, or a pod"
        )
    said: queue.Queue[tuple[str, str | None]] = queue.Queue(maxsize=LINES_WAITING_MAX)

    def read(pod: Object) -> None:
        name = pod["metadata"]["name"]
        for line in lines_of(cluster, pod, lines=lines, is_following=True):
            said.put((name, line))
        said.put((name, None))

    for pod in found:
        # Nobody waits for them: they end with the command.
        threading.Thread(target=read, args=(pod,), daemon=True).start()
    open_count = len(found)
    while open_count:
        name, line = said.get()
        if line is None:
            open_count -= 1
        else:
            yield name, line


def _is_meant(pod: Object, services: Sequence[str]) -> bool:
    name, service = pod["metadata"]["name"], pod["metadata"].get("labels", {}).get("app.kubernetes.io/name", "")
    return not services or service in services or name in services


def events(cluster: Cluster, count: int) -> list[dict[str, Any]]:
    """The newest of the namespace, the newest last."""

    def at(event: Object) -> str:
        return str(
            event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp") or ""
        )

    found = sorted(cluster.list("Event"), key=at)
    return [
        {
            "at": at(event),
            "about": f"{event['involvedObject'].get('kind')} {event['involvedObject'].get('name')}",
            "reason": event.get("reason", ""),
            "message": event.get("message", ""),
        }
        for event in found[-count:]
    ]
