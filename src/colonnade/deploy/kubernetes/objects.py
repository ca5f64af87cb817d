"""Manifests as objects for the API, how two of them differ, and what a deployment's state means. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import yaml

from colonnade.deploy.kubernetes.manifests import Export

Object = dict[str, Any]

RESTARTS_MAX = 3
"""Of a new pod; after that its version is not waited for."""

SHOWN_CHARS = 60

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
"""Annotation in which `kubectl apply` keeps what it applied."""

_OF_THE_SERVER = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink")


def objects_of(export: Export, namespace: str, components: Sequence[str]) -> list[Object]:
    """What `kubectl apply -k` would apply, in the same order: namespace first, components after."""
    contents = {file.path: file.content for file in export.files}
    top = yaml.safe_load(contents["kustomization.yaml"])
    paths = list(top["resources"])
    patches: list[Object] = []
    for name in components:
        inner = yaml.safe_load(contents[f"components/{name}/kustomization.yaml"])
        paths += [f"components/{name}/{path}" for path in inner["resources"]]
        for patch in inner.get("patches", ()):
            patches += _documents(contents[f"components/{name}/{patch['path']}"])
    found = [_placed(each, namespace) for path in paths for each in _documents(contents[path])]
    for patch in patches:
        _patch(found, patch)
    return found


def _documents(text: str) -> list[Object]:
    return [found for found in yaml.safe_load_all(text) if found is not None]


def _placed(found: Object, namespace: str) -> Object:
    if found["kind"] != "Namespace":
        found["metadata"]["namespace"] = namespace
    for subject in found.get("subjects", ()):
        subject["namespace"] = namespace
    return found


def _patch(objects: Sequence[Object], patch: Object) -> None:
    """The one kind of patch that our components have: variables of a container that are set otherwise."""
    target = next(each for each in objects if names_of(each) == names_of(patch))
    for wanted in containers_of(patch):
        container = next(each for each in containers_of(target) if each["name"] == wanted["name"])
        otherwise = {each["name"]: {k: v for k, v in each.items() if v is not None} for each in wanted["env"]}
        container["env"] = [otherwise.get(each["name"], each) for each in container["env"]]


def names_of(found: Object) -> tuple[str, str]:
    return found["kind"], found["metadata"]["name"]


def containers_of(found: Object) -> list[Object]:
    return list(found["spec"]["template"]["spec"]["containers"])


def difference(live: Object | None, planned: Object) -> list[str]:
    """What applying changes, a line each: `spec.replicas: 2 → 3`. `planned`: what the API server says it would be."""
    if live is None:
        return ["new"]
    before, after = dict(_leaves(_plain(live))), dict(_leaves(_plain(planned)))
    return [
        f"{path}: {_shown(before.get(path))} → {_shown(after.get(path))}"
        for path in [*before, *(path for path in after if path not in before)]
        if before.get(path) != after.get(path)
    ]


def _plain(found: Object) -> Object:
    metadata = {key: value for key, value in found.get("metadata", {}).items() if key not in _OF_THE_SERVER}
    if LAST_APPLIED in (metadata.get("annotations") or {}):
        metadata["annotations"] = {k: v for k, v in metadata["annotations"].items() if k != LAST_APPLIED}
    return {**{key: value for key, value in found.items() if key != "status"}, "metadata": metadata}


def dropped(before: Object, wanted: Object, live: Object) -> list[str]:
    """What was applied `before` and is not wanted any more, as `difference` says it."""
    wanted_paths, there = dict(_leaves(_plain(wanted))), dict(_leaves(_plain(live)))
    return [
        f"{path}: {_shown(there[path])} → nothing"
        for path, _ in _leaves(_plain(before))
        if path in there and path not in wanted_paths and there[path] not in ({}, [])
    ]


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list) and value:
        for number, inner in enumerate(value):
            name = inner.get("name", number) if isinstance(inner, Mapping) else number
            yield from _leaves(inner, f"{path}[{name}]")
    else:
        yield path, value


def _shown(value: Any) -> str:
    text = "nothing" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN_CHARS else text[:SHOWN_CHARS] + "…"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a Deployment's rollout, or a Job, is."""

    state: Literal["going", "done", "failed"]
    message: str


def rollout_of(deployment: Object, pods: Sequence[Object]) -> Progress:
    """`pods`: those of the newest version. Judged as `kubectl rollout status` does, and by pods that keep ending."""
    name, spec, status = deployment["metadata"]["name"], deployment["spec"], deployment.get("status") or {}
    if status.get("observedGeneration", 0) < deployment["metadata"].get("generation", 0):
        return Progress("going", f"{name}: waiting to be seen")
    for condition in status.get("conditions") or ():
        if condition.get("type") == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            return Progress("failed", f"{name}: {condition.get('message') or 'made no progress in time'}")
    if trouble := next((found for pod in pods if (found := _trouble(pod))), ""):
        return Progress("failed", f"{name}: {trouble}")
    wanted = spec.get("replicas", 1)
    updated, total = status.get("updatedReplicas", 0), status.get("replicas", 0)
    available = status.get("availableReplicas", 0)
    if updated < wanted or available < wanted or total > updated:
        old = f", {total - updated} old ones" if total > updated else ""
        return Progress("going", f"{name}: {min(updated, available)} of {wanted} new ones serve{old}")
    return Progress("done", f"{name}: all {wanted} are new and serve")


def _trouble(pod: Object) -> str:
    status = pod.get("status") or {}
    for container in [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]:
        waiting = (container.get("state") or {}).get("waiting") or {}
        reason = waiting.get("reason", "")
        if reason in ("ErrImageNeverPull", "InvalidImageName", "ImagePullBackOff"):
            return f"{pod['metadata']['name']}: {reason}: {waiting.get('message', '')}".rstrip(": ")
        if container.get("restartCount", 0) >= RESTARTS_MAX and not container.get("ready", False):
            return f"{pod['metadata']['name']} ended {container['restartCount']} times before it was ready"
    return ""


def container_at_work(pod: Object) -> str:
    """The one whose output says how the pod is: before the service starts, the one that it waits for."""
    for status in (pod.get("status") or {}).get("initContainerStatuses") or ():
        ended = (status.get("state") or {}).get("terminated")
        if ended is None or ended.get("exitCode", 0) != 0:
            return str(status["name"])
    return str(pod["spec"]["containers"][0]["name"])


def job_of(job: Object) -> Progress:
    name = job["metadata"]["name"]
    for condition in (job.get("status") or {}).get("conditions") or ():
        if condition.get("status") != "True":
            continue
        if condition["type"] == "Complete":
            return Progress("done", f"{name}: done")
        if condition["type"] == "Failed":
            return Progress("failed", f"{name}: {condition.get('message') or condition.get('reason', 'failed')}")
    failed = (job.get("status") or {}).get("failed", 0)
    return Progress("going", f"{name}: " + (f"failed {failed} times, and is tried again" if failed else "running"))


def job_that_cannot_start(name: str, pods: Sequence[Object]) -> Progress | None:
    """None when one of its pods may still start, or has."""
    trouble = next((found for pod in pods if (found := _trouble(pod))), "")
    return Progress("failed", f"{name}: {trouble}") if trouble else None


RESTARTED = "kubectl.kubernetes.io/restartedAt"
"""Annotation by which `kubectl rollout restart`, and a drill, have pods replaced. It is no other version."""


def _version_of(found: Object) -> Object:
    template: Object = json.loads(json.dumps(found["spec"]["template"]))
    template["metadata"].get("labels", {}).pop("pod-template-hash", None)
    annotations = template["metadata"].pop("annotations", None) or {}
    return {**template, "annotations": {key: value for key, value in annotations.items() if key != RESTARTED}}


UNDONE = "colonnade.dev/undone"
"""On the ReplicaSet of a version that was bad. The cluster counts it as the one before, once the old one is back."""


BOUNDS = "colonnade.dev/bounds"
"""On an autoscaler that `scale` has pinned: what it may do when it is let go again."""

SCALED = "colonnade.dev/scaled"
"""On a Deployment without an autoscaler of which `scale` has said how many replicas it has."""

DRILLED = "colonnade.dev/drill"
"""On what a drill has changed for its time: JSON, with how it was `before` (`drill/cluster/marks`)."""


def bounds_chosen(scaler: Object) -> str:
    """What an autoscaler may do unless it is pinned, by `scale` or by a drill: "2-5"."""
    annotations, spec = scaler["metadata"].get("annotations") or {}, scaler["spec"]
    if annotations.get(DRILLED):
        spec = json.loads(annotations[DRILLED])["before"]
    return annotations.get(BOUNDS) or f"{spec.get('minReplicas', 1)}-{spec['maxReplicas']}"


def previous_template(deployment: Object, replica_sets: Sequence[Object]) -> Object | None:
    """The pods' template of the revision before the one that runs, but for those that were undone, and for those that
    are the same version in pods started at another time; None where none is kept."""

    def revision(found: Object) -> int:
        return int((found["metadata"].get("annotations") or {}).get("deployment.kubernetes.io/revision", 0))

    uid, now = deployment["metadata"].get("uid"), revision(deployment)
    owned = [
        each
        for each in replica_sets
        if UNDONE not in (each["metadata"].get("annotations") or {})
        and any(owner.get("uid") == uid for owner in each["metadata"].get("ownerReferences") or ())
        and revision(each) < now
        and _version_of(each) != _version_of(deployment)
    ]
    if not owned:
        return None
    template: Object = json.loads(json.dumps(max(owned, key=revision)["spec"]["template"]))
    template["metadata"].get("labels", {}).pop("pod-template-hash", None)
    return template
