"""A deployment to a cluster: what it would change, the change, and the way back when the new version is bad.

What to apply and to take away is decided in `scaling.py`, `owners.py` and `pruning.py`; `waiting.py` waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from colonnade.core.errors import AppError, HostError
from colonnade.deploy.kubernetes import waiting
from colonnade.deploy.kubernetes.answers import NotServed
from colonnade.deploy.kubernetes.cluster import Cluster
from colonnade.deploy.kubernetes.objects import UNDONE, Object, difference, dropped, names_of, previous_template
from colonnade.deploy.kubernetes.owners import given_up, handover, is_of_kubectl
from colonnade.deploy.kubernetes.pruning import Removal, removals
from colonnade.deploy.kubernetes.scaling import SCALER, Wanted, with_numbers_kept
from colonnade.deploy.kubernetes.waiting import Pace

SERVICE = "colonnade.dev/service"
"""Label on pods. Policies that select it let a service call others."""


@dataclass(frozen=True, slots=True)
class Change:
    wanted: Wanted
    live: Object | None
    lines: tuple[str, ...]

    @property
    def names(self) -> tuple[str, str]:
        return names_of(self.wanted.applied)


@dataclass(frozen=True, slots=True)
class Plan:
    changes: tuple[Change, ...]
    removals: tuple[Removal, ...] = ()
    kept: tuple[str, ...] = ()
    """What is not as declared and stays, in sentences: numbers of replicas, the namespace."""

    @property
    def is_empty(self) -> bool:
        return not self.changes and not self.removals


def plan(cluster: Cluster, system: str, wanted: Sequence[Object]) -> Plan:
    """What deploying would change; what changes nothing is left out. Nothing is done."""
    if not cluster.has_namespace():
        return Plan(tuple(Change(each, None, ("new",)) for each in with_numbers_kept(wanted, {})))
    wanted, out_of_reach = _within_reach(cluster, wanted)
    found = {names_of(each): cluster.get(*names_of(each)) for each in wanted}
    live = {names: each for names, each in found.items() if each is not None}
    kept = with_numbers_kept(wanted, live)
    changes = [_change(cluster, each, live.get(names_of(each.applied))) for each in kept]
    replica_sets = cluster.list("ReplicaSet", {"app.kubernetes.io/part-of": system})
    return Plan(
        tuple(change for change in changes if change.lines),
        removals(cluster.prunable(system), wanted, replica_sets),
        (*out_of_reach, *(each.kept for each in kept if each.kept)),
    )


def _within_reach(cluster: Cluster, wanted: Sequence[Object]) -> tuple[Sequence[Object], tuple[str, ...]]:
    """Without the namespace where it belongs to somebody else, as it does where teams are given one each."""
    try:
        for each in wanted:
            if each["kind"] == "Namespace":
                cluster.apply(each, is_tried=True)
    except NotServed:
        rest = [each for each in wanted if each["kind"] != "Namespace"]
        return rest, (f"the namespace {cluster.namespace} stays as it is: its labels are not yours to set",)
    return wanted, ()


def _change(cluster: Cluster, wanted: Wanted, live: Object | None) -> Change:
    if live is None:
        return Change(wanted, None, ("new",))
    lines = difference(live, cluster.apply(wanted.tried(live), is_tried=True))
    # Not seen by trying: fields of others are taken over only when it is meant.
    lines += [line for line in dropped(given_up(live), wanted.tried(live), live) if line not in lines]
    if not lines and is_of_kubectl(live):
        lines = ["from now on kept by `colonnade deploy`, no more by `kubectl apply`"]
    return Change(wanted, live, tuple(lines))


def deploy(cluster: Cluster, system: str, planned: Plan, pace: Pace) -> None:
    """Release steps first, each waited for; then the rest, and the rollouts waited for; then what is not wanted any
    more is deleted. Raises AppError when the new version is bad: what was there before is there again, apart from what
    release steps did to the database, and nothing was deleted."""
    is_late = {"Deployment", SCALER}
    early = [change for change in planned.changes if change.names[0] not in is_late]
    late = [change for change in planned.changes if change.names[0] in is_late]
    # A gateway's text is only for gateways that start after it, and so it goes early.
    for change in early:
        _apply(cluster, change)
    try:
        for kind, name in (change.names for change in early):
            if kind == "Job":
                waiting.wait_for_release(cluster, name, pace)
        for wave in _waves(early, late):
            for change in wave:
                _apply(cluster, change)
            names = [name for kind, name in (change.names for change in wave) if kind == "Deployment"]
            waiting.wait_for_rollouts(cluster, names, pace)
    except AppError as error:
        undone = _undo(cluster, planned.changes)
        raise AppError(
            f"the new version is bad: {error.message}",
            subject=error.subject,
            hint="what was there before is there again; " + ("nothing was" if not undone else ", ".join(undone)),
            detail=error.detail,
        ) from error
    _remove(cluster, system, planned.removals, pace)


def _waves(early: Sequence[Change], late: Sequence[Change]) -> tuple[list[Change], ...]:
    """New services before gateways that lead visitors there, and gateways before services that call others by them,
    which may not get ready without."""
    selectors = [change.wanted.applied["spec"]["podSelector"] for change in early if change.names[0] == "NetworkPolicy"]
    calling = {selector.get("matchLabels", {}).get(SERVICE) for selector in selectors}
    gateway = [change for change in late if change.names == ("Deployment", "gateway")]
    new = [
        change
        for change in late
        if change.live is None and change.names[0] == "Deployment" and change not in gateway
        if change.wanted.applied["spec"]["template"]["metadata"]["labels"][SERVICE] not in calling
    ]
    return new, gateway, [change for change in late if change not in (*new, *gateway)]


def _apply(cluster: Cluster, change: Change) -> None:
    """With the fields of those whose place we take, or else what they said would stay."""
    kind, name = change.names

    def take_over(live: Object) -> None:
        if (patch := handover(live, leaves_replicas=change.wanted.leaves_replicas)) is not None:
            cluster.merge(kind, name, patch, based_on=live)

    if change.live is not None:
        cluster.on_newest(kind, name, take_over)
    cluster.apply(change.wanted.applied)


def _remove(cluster: Cluster, system: str, gone: Sequence[Removal], pace: Pace) -> None:
    if any(each.found["kind"] == "Deployment" for each in gone):
        # Old gateways may still lead visitors there, and old replicas call it.
        waiting.wait_for_leaving(cluster, system, pace)
    for each in gone:
        cluster.delete(*names_of(each.found))
        pace.tell(f"deleted {' '.join(names_of(each.found))}")
        if each.then is not None:
            cluster.apply(each.then)


def _undo(cluster: Cluster, changes: Sequence[Change]) -> list[str]:
    """Put back what was there; a Job that ended is left, for its log."""
    undone = []
    for change in changes:
        kind, name = change.names
        if kind == "Deployment":
            for each in waiting.newest_replica_sets(cluster, cluster.get(kind, name)):
                cluster.merge("ReplicaSet", each["metadata"]["name"], {"metadata": {"annotations": {UNDONE: "true"}}})
        if change.live is not None and kind in ("Deployment", "ConfigMap", SCALER):
            _put_back(cluster, change, change.live)
            undone.append(f"{kind} {name}")
    return undone


def _put_back(cluster: Cluster, change: Change, before: Object) -> None:
    def write(live: Object) -> None:
        meant = {**before, "kind": change.names[0], "apiVersion": change.wanted.applied["apiVersion"]}
        if change.wanted.leaves_replicas:
            # Those of this moment: meanwhile the autoscaler went on.
            meant["spec"] = {**before["spec"], "replicas": live["spec"].get("replicas", 1)}
        cluster.replace(meant, based_on=live)

    cluster.on_newest(*change.names, write)


def roll_back(cluster: Cluster, system: str, pace: Pace) -> None:
    """Every service to the revision before. Raises HostError where none is kept, AppError when it does not get well."""
    changed = []
    for deployment in cluster.list("Deployment", {"app.kubernetes.io/part-of": system}):
        name = deployment["metadata"]["name"]
        template = previous_template(deployment, cluster.list("ReplicaSet", {"app.kubernetes.io/name": name}))
        if name != "gateway" and template is not None:
            _set_template(cluster, name, template)
            changed.append(name)
    if not changed:
        raise HostError(
            "no version before is kept in the cluster", subject=system, hint="`colonnade status` shows what runs"
        )
    waiting.wait_for_rollouts(cluster, changed, pace)


def _set_template(cluster: Cluster, name: str, template: Object) -> None:
    """As a whole: merged, what only the newer one has would stay."""

    def write(live: Object) -> None:
        meant = {**live, "kind": "Deployment", "apiVersion": "apps/v1", "spec": {**live["spec"], "template": template}}
        cluster.replace(meant, based_on=live)

    cluster.on_newest("Deployment", name, write)
