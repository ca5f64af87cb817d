"""What the command line does with a cluster: deploy, scale, roll back, end. Each waits, and tells what it waits for.

Decisions are in `objects.py`; the record of a system in the cluster is the cluster's own.
"""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from colonnade.core.errors import AppError, DriverError, HostError, SpecError
from colonnade.deploy.kubernetes.cluster import Cluster
from colonnade.deploy.kubernetes.manifests import Secret
from colonnade.deploy.kubernetes.objects import (
    BOUNDS,
    UNDONE,
    Object,
    Progress,
    bounds_chosen,
    difference,
    job_of,
    names_of,
    previous_template,
    rollout_of,
)
from colonnade.deploy.kubernetes.settings import CHOICES, REMEMBERED

_SCALER = "HorizontalPodAutoscaler"

POLL_S = 1.0
RELEASE_S_MAX = 1800.0
ROLLOUT_S_MAX = 3600.0
LOG_LINES = 20
FOLLOWED_MAX = 50
"""Pods whose output is followed at once; each takes a connection and a thread."""

LINES_WAITING_MAX = 1_000

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Change:
    wanted: Object
    live: Object | None
    lines: tuple[str, ...]
    is_scaled: bool = False
    """A Deployment of which an autoscaler says how many replicas it has."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How to wait, and how to say for what: passed in, for tests."""

    monotonic: Callable[[], float]
    sleep: Callable[[float], None]
    tell: Tell


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
            raise HostError(
                f"the Secret is yours to make, and lacks {', '.join(missing)}",
                subject=secret.name,
                hint=f"kubectl -n {cluster.namespace} create secret generic {secret.name} {literals}",
            )


def plan(cluster: Cluster, wanted: Sequence[Object]) -> list[Change]:
    """What deploying would change; those that change nothing are left out. Nothing is done."""
    bounds = {names_of(each)[1]: each["spec"]["minReplicas"] for each in wanted if each["kind"] == _SCALER}
    if cluster.get("Namespace", cluster.namespace) is None:
        return [Change(_with_replicas(each, None, bounds), None, ("new",)) for each in wanted]
    changes = []
    for found in wanted:
        live = cluster.get(*names_of(found))
        each = _with_replicas(found, live, bounds)
        lines = difference(live, cluster.apply(each, is_tried=True))
        if lines:
            is_scaled = found["kind"] == "Deployment" and names_of(found)[1] in bounds
            changes.append(Change(each, live, tuple(lines), is_scaled))
    return changes


def _with_replicas(wanted: Object, live: Object | None, bounds: Mapping[str, int]) -> Object:
    """What an autoscaler has set is said again: a field that nobody says any more would go back to one replica."""
    name = wanted["metadata"]["name"]
    if wanted["kind"] != "Deployment" or name not in bounds:
        return wanted
    count = live["spec"].get("replicas", bounds[name]) if live is not None else bounds[name]
    return {**wanted, "spec": {**wanted["spec"], "replicas": count}}


def _as_many(cluster: Cluster, change: Change, found: Object) -> Object:
    """With the replicas of this moment: while somebody was asked and a release step ran, the autoscaler went on."""
    live = cluster.get(*names_of(found)) if change.is_scaled else None
    return found if live is None else {**found, "spec": {**found["spec"], "replicas": live["spec"].get("replicas", 1)}}


def deploy(cluster: Cluster, changes: Sequence[Change], pace: Pace) -> None:
    """Release steps first, each waited for; then the rest, and the rollouts waited for. Raises AppError when the new
    version is bad: what was there before is there again, apart from what release steps did to the database."""
    is_late = {"Deployment", _SCALER}
    early = [change for change in changes if change.wanted["kind"] not in is_late]
    late = [change for change in changes if change.wanted["kind"] in is_late]
    # A gateway's text is only for gateways that start after it, and so it goes early.
    for change in early:
        cluster.apply(change.wanted)
    try:
        for change in early:
            if change.wanted["kind"] == "Job":
                _wait_for_release(cluster, change.wanted["metadata"]["name"], pace)
        for change in late:
            cluster.apply(_as_many(cluster, change, change.wanted))
        names = [change.wanted["metadata"]["name"] for change in late if change.wanted["kind"] == "Deployment"]
        wait_for_rollouts(cluster, names, pace)
    except AppError as error:
        undone = _undo(cluster, changes)
        raise AppError(
            f"the new version is bad: {error.message}",
            subject=error.subject,
            hint="what was there before is there again; " + ("nothing was" if not undone else ", ".join(undone)),
            detail=error.detail,
        ) from error


def _wait_for_release(cluster: Cluster, name: str, pace: Pace) -> None:
    progress = _wait(pace, RELEASE_S_MAX, lambda: [job_of(cluster.get("Job", name) or {"metadata": {"name": name}})])
    if progress.state == "failed":
        pods = cluster.list("Pod", {"job-name": name})
        hint = f"kubectl -n {cluster.namespace} logs job/{name}"
        raise AppError(progress.message, subject=name, hint=hint, detail=_last_words(cluster, pods[-1:], "release"))


def wait_for_rollouts(cluster: Cluster, names: Sequence[str], pace: Pace) -> None:
    """Until all of them run their newest version. Raises AppError for the first that does not."""

    def look() -> list[Progress]:
        return [_rollout(cluster, name) for name in names]

    progress = _wait(pace, ROLLOUT_S_MAX, look)
    if progress.state == "failed":
        name = progress.message.partition(":")[0]
        pods = _newest_pods(cluster, cluster.get("Deployment", name) or {})
        bad = [pod for pod in pods if not _is_ready(pod)]
        container = bad[0]["spec"]["containers"][0]["name"] if bad else ""
        hint = f"kubectl -n {cluster.namespace} describe deployment/{name}"
        raise AppError(progress.message, subject=name, hint=hint, detail=_last_words(cluster, bad[:1], container))


def _rollout(cluster: Cluster, name: str) -> Progress:
    deployment = cluster.get("Deployment", name)
    if deployment is None:
        return Progress("failed", f"{name}: is gone")
    return rollout_of(deployment, _newest_pods(cluster, deployment))


def _newest_pods(cluster: Cluster, deployment: Object) -> list[Object]:
    return [
        pod
        for each in _newest_replica_sets(cluster, deployment)
        for pod in cluster.list("Pod", each["metadata"].get("labels", {}))
    ]


def _newest_replica_sets(cluster: Cluster, deployment: Object | None) -> list[Object]:
    """The one with the deployment's own revision; none when it has changed and that is not there yet."""
    if not deployment:
        return []
    key = "deployment.kubernetes.io/revision"
    revision = (deployment["metadata"].get("annotations") or {}).get(key)
    found = cluster.list("ReplicaSet", deployment["spec"]["selector"]["matchLabels"])
    return [each for each in found if (each["metadata"].get("annotations") or {}).get(key) == revision]


def _wait(pace: Pace, limit_s: float, look: Callable[[], Sequence[Progress]]) -> Progress:
    """The first that failed, or that all are done; every new message is told once."""
    deadline, told = pace.monotonic() + limit_s, set[str]()
    while True:
        found = look()
        for each in found:
            if each.message not in told:
                told.add(each.message)
                pace.tell(each.message)
        failed = [each for each in found if each.state == "failed"]
        if failed or all(each.state == "done" for each in found):
            return failed[0] if failed else Progress("done", "")
        if pace.monotonic() >= deadline:
            waiting = next(each for each in found if each.state == "going")
            return Progress("failed", f"{waiting.message}, after {limit_s:.0f} s")
        pace.sleep(POLL_S)


def _last_words(cluster: Cluster, pods: Sequence[Object], container: str) -> str:
    return "\n".join(
        line
        for pod in pods
        for line in cluster.log(pod["metadata"]["name"], container, lines=LOG_LINES, is_following=False)
    )


def _is_ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions)


def _undo(cluster: Cluster, changes: Sequence[Change]) -> list[str]:
    """Put back what was there; a Job that ended is left, for its log."""
    undone = []
    for change in changes:
        kind, name = names_of(change.wanted)
        if kind == "Deployment":
            for each in _newest_replica_sets(cluster, cluster.get(kind, name)):
                cluster.merge("ReplicaSet", each["metadata"]["name"], {"metadata": {"annotations": {UNDONE: "true"}}})
        if change.live is not None and kind in ("Deployment", "ConfigMap", _SCALER):
            before = {"kind": kind, "apiVersion": change.wanted["apiVersion"], **change.live}
            cluster.replace(_as_many(cluster, change, before))
            undone.append(f"{kind} {name}")
    return undone


def scale(cluster: Cluster, service: str, replicas: int | None, slots: int) -> str:
    """A number, or None for `auto`. Raises SpecError for what cannot be. Returns what was done."""
    if replicas is not None and replicas > slots:
        raise SpecError(
            f"the gateways send to {slots} replicas at most, and {replicas} were asked for",
            subject=service,
            hint="raise `replicas` in colonnade.toml and deploy: that makes more room",
        )
    scaler = cluster.get("HorizontalPodAutoscaler", service)
    if scaler is None:
        if replicas is None:
            raise SpecError(
                "has no bounds to scale between", subject=service, hint="say replicas = { min = 2, max = 8 }"
            )
        if cluster.get("Deployment", service) is None:
            raise SpecError("there is no such service in the cluster", subject=service, hint="see `colonnade status`")
        cluster.merge("Deployment", service, {"spec": {"replicas": replicas}})
        return f"{service} → {replicas}, until the next deployment"
    bounds = bounds_chosen(scaler)
    if replicas is None:
        low, _, high = bounds.partition("-")
        patch: dict[str, Any] = {"minReplicas": int(low), "maxReplicas": int(high)}
        cluster.merge("HorizontalPodAutoscaler", service, {"metadata": {"annotations": {BOUNDS: None}}, "spec": patch})
        return f"{service} → by its load, {low} to {high}"
    if replicas < 1:
        raise SpecError("a HorizontalPodAutoscaler keeps one at least", subject=service, hint="say a number from 1 on")
    patch = {"minReplicas": replicas, "maxReplicas": replicas}
    cluster.merge("HorizontalPodAutoscaler", service, {"metadata": {"annotations": {BOUNDS: bounds}}, "spec": patch})
    return f"{service} → {replicas}, until `auto` or the next deployment"


def roll_back(cluster: Cluster, system: str, pace: Pace) -> None:
    """Every service to the revision before. Raises HostError where none is kept, AppError when it does not get well."""
    changed = []
    for deployment in cluster.list("Deployment", {"app.kubernetes.io/part-of": system}):
        name = deployment["metadata"]["name"]
        template = previous_template(deployment, cluster.list("ReplicaSet", {"app.kubernetes.io/name": name}))
        if name != "gateway" and template is not None:
            # A template is replaced as a whole: merged, what only the newer one has would stay.
            cluster.replace(
                {**deployment, "apiVersion": "apps/v1", "spec": {**deployment["spec"], "template": template}}
            )
            changed.append(name)
    if not changed:
        raise HostError(
            "no version before is kept in the cluster", subject=system, hint="`colonnade status` shows what runs"
        )
    wait_for_rollouts(cluster, changed, pace)


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
        "phase": "leaving" if found["metadata"].get("deletionTimestamp") else state.get("phase", "Unknown"),
        "is_ready": _is_ready(found),
        "restarts": sum(each.get("restartCount", 0) for each in state.get("containerStatuses") or ()),
        "node": found["spec"].get("nodeName", ""),
    }


def logs(cluster: Cluster, system: str, services: Sequence[str], lines: int) -> Iterator[tuple[str, str]]:
    """(pod, line) of the pods of these services, all if none is named."""
    for pod in cluster.list("Pod", {"app.kubernetes.io/part-of": system}):
        if _is_meant(pod, services):
            name, container = pod["metadata"]["name"], pod["spec"]["containers"][0]["name"]
            yield from ((name, line) for line in cluster.log(name, container, lines=lines, is_following=False))


def follow(cluster: Cluster, system: str, services: Sequence[str], lines: int) -> Iterator[tuple[str, str]]:
    """As `logs`, and on as they come, until all of these pods have ended. Pods that come later are not among them."""
    found = [pod for pod in cluster.list("Pod", {"app.kubernetes.io/part-of": system}) if _is_meant(pod, services)]
    if len(found) > FOLLOWED_MAX:
        raise SpecError(
            f"{len(found)} pods are too many to follow at once", subject="logs", hint="name a service, or a pod"
        )
    said: queue.Queue[tuple[str, str | None]] = queue.Queue(maxsize=LINES_WAITING_MAX)

    def read(name: str, container: str) -> None:
        try:
            for line in cluster.log(name, container, lines=lines, is_following=True):
                said.put((name, line))
        except DriverError as error:
            said.put((name, str(error)))
        said.put((name, None))

    for pod in found:
        names = (pod["metadata"]["name"], pod["spec"]["containers"][0]["name"])
        # Nobody waits for them: they end with the command.
        threading.Thread(target=read, args=names, daemon=True).start()
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
