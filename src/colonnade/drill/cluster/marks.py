"""What a drill has changed in a cluster, written on the changed object itself before it is changed: how it was before.

So a drill that was killed leaves no riddle: whoever comes next finds the mark, and can put it back. What somebody else
has changed meanwhile is left as it is.
Read next: `faults/drain_node`, `faults/scale`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from colonnade.core.errors import DriverUnavailable
from colonnade.drill.cluster.api import ClusterApi, Object
from colonnade.drill.faults.fault import NotPossible

MARK = "colonnade.dev/drill"
"""Annotation on nodes, Deployments and autoscalers. Its value is JSON. A Deployment has a label of the same name with
the run's id, too: its ReplicaSets keep copies of its annotations, but not of its labels, so a mark that comes back from
one of them with `kubectl rollout undo` is known as a copy."""

MARKINGS_MAX = 5
"""How often marking is tried, each time from what is there by then: others write to the same objects, too."""

DEPLOYMENT, SCALER, NODE = "Deployment", "HorizontalPodAutoscaler", "Node"


@dataclass(frozen=True, slots=True)
class Change:
    """One change, and the way back."""

    kind: str
    name: str
    run_id: str
    namespace: str
    before: Mapping[str, int]
    """Of a Deployment `replicas`, of an autoscaler `minReplicas` and `maxReplicas`; of a node nothing: it was not
    cordoned, or it would not have been taken."""
    after: Mapping[str, int]

    def __str__(self) -> str:
        if self.kind == NODE:
            return f"node {self.name} is cordoned"
        return f"{self.kind} {self.name} has {_told(self.after)} instead of {_told(self.before)}"

    def to_text(self) -> str:
        fields = {"run": self.run_id, "namespace": self.namespace, "before": self.before, "after": self.after}
        return json.dumps(fields, sort_keys=True)


def change_on(found: Object) -> Change | None:
    """The change that an object is marked with."""
    text = (found["metadata"].get("annotations") or {}).get(MARK)
    if not text:
        return None
    fields = json.loads(text)
    if found["kind"] == DEPLOYMENT and (found["metadata"].get("labels") or {}).get(MARK) != fields["run"]:
        return None
    return Change(
        kind=found["kind"],
        name=found["metadata"]["name"],
        run_id=fields["run"],
        namespace=fields["namespace"],
        before=fields["before"],
        after=fields["after"],
    )


def why_not_changed(found: Object) -> str:
    """Empty for what bears no mark. A second mark would take the place of the first, and with it of how it was."""
    earlier = change_on(found)
    return "" if earlier is None else f"drill {earlier.run_id} has changed it and not put it back: {earlier}"


def make(api: ClusterApi, change: Change) -> None:
    """Mark, then change. An autoscaler and a node take both at once; `scale` of a Deployment is a resource of its
    own. Raises NotPossible where another mark is there by now, and for a node that somebody else has cordoned."""
    if change.kind == DEPLOYMENT:
        _mark(api, change, {})
        api.set_replicas(change.name, change.after["replicas"])
    else:
        spec = {"unschedulable": True} if change.kind == NODE else dict(change.after)
        _mark(api, change, {"spec": spec})


def _mark(api: ClusterApi, change: Change, more: Mapping[str, Any]) -> None:
    """Only on what is as it was looked at here: the API server refuses (409) when somebody wrote in between."""
    for tries_left in reversed(range(MARKINGS_MAX)):
        found = api.get(change.kind, change.name)
        if found is None:
            raise NotPossible("no_such_target", f"{change.kind} {change.name} is gone")
        found = {**found, "kind": change.kind}
        if change_on(found) == change:
            return  # written by the try before, whose answer was lost
        if reason := why_not_changed(found):
            raise NotPossible("marked", reason)
        if change.kind == NODE and (found.get("spec") or {}).get("unschedulable"):
            raise NotPossible("cordoned", f"{change.name} was cordoned meanwhile, by somebody else")
        metadata = {"resourceVersion": found["metadata"].get("resourceVersion")}
        marked = _metadata(change.kind, change.to_text(), change.run_id)
        try:
            api.merge(change.kind, change.name, {"metadata": {**metadata, **marked}, **more})
            return
        except DriverUnavailable:
            if not tries_left:
                raise


def _metadata(kind: str, text: str | None, run_id: str | None) -> Mapping[str, Any]:
    """What writes a mark, or with None takes it off."""
    return {"annotations": {MARK: text}, **({"labels": {MARK: run_id}} if kind == DEPLOYMENT else {})}


def put_back(api: ClusterApi, change: Change) -> str:
    """As it was before, and the mark taken off. Returns what somebody else has changed meanwhile, which stays; empty:
    it is as it was, or the object is gone."""
    found = api.get(change.kind, change.name)
    marked = None if found is None else change_on({**found, "kind": change.kind})
    if found is None or marked is None:
        return ""
    if marked != change:
        return f"drill {marked.run_id} has changed it meanwhile, and that stays"
    unmarked: dict[str, Any] = {"metadata": _metadata(change.kind, None, None)}
    if change.kind == NODE:
        api.merge(NODE, change.name, {**unmarked, "spec": {"unschedulable": None}})
        return ""
    now = {key: found["spec"].get(key) for key in change.after}
    if now not in (dict(change.after), dict(change.before)):
        api.merge(change.kind, change.name, unmarked)
        return f"somebody set {_told(now)} meanwhile, and that stays"
    if change.kind == DEPLOYMENT:
        api.set_replicas(change.name, change.before["replicas"])
        api.merge(DEPLOYMENT, change.name, unmarked)
    else:
        api.merge(change.kind, change.name, {**unmarked, "spec": dict(change.before)})
    return ""


def changes_left(api: ClusterApi, *, with_nodes: bool) -> Iterator[Change]:
    """What drills of this namespace have changed and not put back: one is under way, or was killed. `with_nodes`:
    whether they may be looked at."""
    for kind in (DEPLOYMENT, SCALER, *([NODE] if with_nodes else [])):
        for found in api.list(kind):
            change = change_on(found)
            if change is not None and change.namespace == api.namespace:
                yield change


def _told(values: Mapping[str, Any]) -> str:
    if "replicas" in values:
        return f"{values['replicas']} replicas"
    return f"{values.get('minReplicas')} to {values.get('maxReplicas')} replicas"
