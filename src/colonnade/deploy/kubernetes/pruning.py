"""What a former deployment of the system made and its file no longer has. Pure.

Only what has the system's label and was applied by us, and only kinds that can be made again from a file: no Secret, no
volume, no database, no namespace. What pods of a version need that one can go back to stays as long as that version.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from colonnade.deploy.kubernetes.objects import Object, names_of
from colonnade.deploy.kubernetes.owners import is_ours

NEEDED_BY_PODS = ("Job", "RoleBinding", "Role", "ServiceAccount", "ConfigMap")
"""Found in the template of a pod by its name; roles are called as the account is."""

OF_OPERATORS = ("HTTPRoute", "Gateway", "ServiceMonitor", "PrometheusRule")
"""Not every cluster has these kinds, and not everybody may look for them."""

PRUNED = (
    *("HorizontalPodAutoscaler", "Ingress", *OF_OPERATORS),
    *("Deployment", "PodDisruptionBudget", "Service", "NetworkPolicy"),
    *NEEDED_BY_PODS,
)
"""In this order: first who changes others or leads visitors here, then who serves, then what they needed."""


@dataclass(frozen=True, slots=True)
class Removal:
    found: Object
    then: Object | None = None
    """Applied once more when that is gone: a Deployment that its autoscaler held elsewhere."""


def removals(found: Iterable[Object], wanted: Sequence[Object], replica_sets: Sequence[Object]) -> tuple[Removal, ...]:
    """`found`: what has the system's label; `replica_sets`: with it, the versions that the cluster keeps."""
    named = {names_of(each): each for each in wanted}
    deployments = [each for each in wanted if each["kind"] == "Deployment"]
    kept = [_template(each) for each in replica_sets if _owners(each) & {names_of(one) for one in deployments}]
    words = {word for template in kept for word in _words(template)}
    old_labels = [template["metadata"].get("labels", {}) for template in kept]
    new_labels = [_template(each)["metadata"].get("labels", {}) for each in deployments]

    def is_needed(each: Object) -> bool:
        if each["kind"] == "NetworkPolicy":
            # By pods of an old version only; pods of the new one have said what they need.
            return _selects(each, old_labels) and not _selects(each, new_labels)
        return each["kind"] in NEEDED_BY_PODS and each["metadata"]["name"] in words

    gone = [
        each
        for each in found
        if each["kind"] in PRUNED and names_of(each) not in named and is_ours(each) and not _owners(each)
        if not is_needed(each)
    ]
    gone.sort(key=lambda each: (PRUNED.index(each["kind"]), each["metadata"]["name"]))
    return tuple(Removal(each, _held(each, named)) for each in gone)


def _held(each: Object, named: Mapping[tuple[str, str], Object]) -> Object | None:
    if each["kind"] != "HorizontalPodAutoscaler":
        return None
    return named.get(("Deployment", each["spec"]["scaleTargetRef"]["name"]))


def _template(found: Object) -> Object:
    return dict(found["spec"]["template"])


def _owners(found: Object) -> set[tuple[str, str]]:
    return {(owner["kind"], owner["name"]) for owner in found["metadata"].get("ownerReferences") or ()}


def _words(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _words(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _words(inner)
    elif isinstance(value, str):
        yield value


def _selects(policy: Object, pods: Sequence[Mapping[str, str]]) -> bool:
    wanted = policy["spec"].get("podSelector", {}).get("matchLabels") or {}
    return any(wanted.items() <= labels.items() for labels in pods)
