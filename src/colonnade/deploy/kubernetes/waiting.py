"""Waits for what a cluster does after it was told to, and tells how far it is. Judges by `objects.py`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from colonnade.core.errors import AppError, DriverUnavailable
from colonnade.deploy.kubernetes.cluster import Cluster
from colonnade.deploy.kubernetes.objects import Object, Progress, job_of, job_that_cannot_start, rollout_of
from colonnade.deploy.kubernetes.output import last_words

POLL_S = 1.0
RELEASE_S_MAX = 1800.0
ROLLOUT_S_MAX = 3600.0
LEAVING_S_MAX = 300.0
"""For pods of the version before to finish what they have: gateways keep connections of visitors for a minute or so."""

AWAY_S_MAX = 100.0
"""Without an answer of the API server: one that is replaced is back within half a minute."""

NAME = "app.kubernetes.io/name"
CREATED = "creationTimestamp"


@dataclass(frozen=True, slots=True)
class Pace:
    """How to wait, and how to say for what: passed in, for tests."""

    monotonic: Callable[[], float]
    sleep: Callable[[float], None]
    tell: Callable[[str], None]


def wait_for_release(cluster: Cluster, name: str, pace: Pace) -> None:
    def pods() -> list[Object]:
        """The oldest first."""
        return sorted(cluster.list("Pod", {"job-name": name}), key=lambda pod: str(pod["metadata"].get(CREATED)))

    def look() -> list[Progress]:
        job = job_of(cluster.get("Job", name) or {"metadata": {"name": name}})
        # A Job waits for ever for an image that is nowhere.
        return [job_that_cannot_start(name, pods()) or job] if job.state == "going" else [job]

    progress = _wait(pace, RELEASE_S_MAX, look)
    if progress.state == "failed":
        hint = f"kubectl -n {cluster.namespace} logs job/{name}"
        raise AppError(progress.message, subject=name, hint=hint, detail=last_words(cluster, pods()[-1:]))


def wait_for_rollouts(cluster: Cluster, names: Sequence[str], pace: Pace) -> None:
    """Until all of them run their newest version. Raises AppError for the first that does not."""

    def look() -> list[Progress]:
        return [_rollout(cluster, name) for name in names]

    progress = _wait(pace, ROLLOUT_S_MAX, look)
    if progress.state == "failed":
        name = progress.message.partition(":")[0]
        pods = _newest_pods(cluster, cluster.get("Deployment", name) or {})
        bad = [pod for pod in pods if not is_ready(pod)]
        hint = f"kubectl -n {cluster.namespace} describe deployment/{name}"
        raise AppError(progress.message, subject=name, hint=hint, detail=last_words(cluster, bad[:1]))


def wait_for_leaving(cluster: Cluster, system: str, pace: Pace) -> None:
    """Until no pod of the system is on its way out; one that takes very long is not waited for."""

    def look() -> list[Progress]:
        pods = cluster.list("Pod", {"app.kubernetes.io/part-of": system})
        names = sorted({str(pod["metadata"].get("labels", {}).get(NAME)) for pod in pods if is_leaving(pod)})
        return [Progress("going", f"{name}: old ones finish what they have") for name in names]

    _wait(pace, LEAVING_S_MAX, look)


def is_leaving(pod: Object) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def _rollout(cluster: Cluster, name: str) -> Progress:
    deployment = cluster.get("Deployment", name)
    if deployment is None:
        return Progress("failed", f"{name}: is gone")
    return rollout_of(deployment, _newest_pods(cluster, deployment))


def _newest_pods(cluster: Cluster, deployment: Object) -> list[Object]:
    return [
        pod
        for each in newest_replica_sets(cluster, deployment)
        for pod in cluster.list("Pod", each["metadata"].get("labels", {}))
    ]


def newest_replica_sets(cluster: Cluster, deployment: Object | None) -> list[Object]:
    """The one with the deployment's own revision; none when it has changed and that is not there yet."""
    if not deployment:
        return []
    key = "deployment.kubernetes.io/revision"
    revision = (deployment["metadata"].get("annotations") or {}).get(key)
    found = cluster.list("ReplicaSet", deployment["spec"]["selector"]["matchLabels"])
    return [each for each in found if (each["metadata"].get("annotations") or {}).get(key) == revision]


def _wait(pace: Pace, limit_s: float, look: Callable[[], Sequence[Progress]]) -> Progress:
    """The first that failed, or that all are done; every new message is told once."""
    started, told = pace.monotonic(), set[str]()
    deadline, answered = started + limit_s, started
    while True:
        try:
            found = look()
            answered = pace.monotonic()
        except DriverUnavailable as error:
            if pace.monotonic() - answered >= AWAY_S_MAX:
                raise
            found = [Progress("going", f"{error.message}; asked again")]
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


def is_ready(pod: Object) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions)
