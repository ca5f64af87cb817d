"""What a drill needs to be allowed in a cluster, known before anything is touched. Pure but for `check`, which asks.

A right that is missing in the middle would leave a system half way: so all are asked for first, of the API server
itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from colonnade.core.errors import HostError
from colonnade.drill.cluster.api import ClusterApi


@dataclass(frozen=True, slots=True)
class Permission:
    """What somebody has to be allowed, as RBAC has it: `patch deployments.apps/scale`."""

    verb: str
    resource: str
    group: str = ""
    subresource: str = ""
    is_everywhere: bool = False
    """In all namespaces, or for what is in none; otherwise in the system's."""

    def __str__(self) -> str:
        group = f".{self.group}" if self.group else ""
        below = f"/{self.subresource}" if self.subresource else ""
        return f"{self.verb} {self.resource}{group}{below}"


LOOKING = (
    Permission("list", "deployments", "apps"),
    Permission("list", "pods"),
    Permission("list", "events"),
    Permission("list", "horizontalpodautoscalers", "autoscaling"),
)
"""Of every drill."""

NODES = Permission("list", "nodes", is_everywhere=True)
"""For drains; otherwise nodes are only named in the report, by their pods."""

FORWARDING = (
    Permission("get", "services"),
    Permission("get", "pods"),
    Permission("create", "pods", subresource="portforward"),
)
"""Of `kubectl port-forward` to a service. A newer kubectl asks with `get` first, for websockets, and with `create`
where that is refused; so `get` is in the documented role, and not required."""

NEEDED: Mapping[str, tuple[Permission, ...]] = {
    "delete_pod": (Permission("delete", "pods"),),
    "evict": (Permission("create", "pods", subresource="eviction"),),
    "rollout": (Permission("get", "deployments", "apps"), Permission("patch", "deployments", "apps")),
    "scale": (
        Permission("get", "deployments", "apps"),
        Permission("patch", "deployments", "apps"),
        Permission("patch", "deployments", "apps", "scale"),
        Permission("get", "horizontalpodautoscalers", "autoscaling"),
        Permission("patch", "horizontalpodautoscalers", "autoscaling"),
    ),
    "drain_node": (
        NODES,
        Permission("get", "nodes", is_everywhere=True),
        Permission("patch", "nodes", is_everywhere=True),
        Permission("list", "pods", is_everywhere=True),
        Permission("get", "pods", is_everywhere=True),
        Permission("create", "pods", subresource="eviction", is_everywhere=True),
    ),
}
"""By kind of fault; others need nothing of the API."""


def needed_for(kinds: Iterable[str], *, is_forwarded: bool) -> tuple[Permission, ...]:
    """Each once, in a stable order."""

    def all_of() -> Iterator[Permission]:
        yield from LOOKING
        yield from FORWARDING if is_forwarded else ()
        for kind in kinds:
            yield from NEEDED.get(kind, ())

    return tuple(dict.fromkeys(all_of()))


def is_allowed(api: ClusterApi, asked: Permission) -> bool:
    return api.may(asked.verb, asked.group, asked.resource, asked.subresource, is_everywhere=asked.is_everywhere)


def check(api: ClusterApi, kinds: Iterable[str], *, is_forwarded: bool = False) -> None:
    """Raises HostError with everything that is missing."""
    missing = [asked for asked in needed_for(kinds, is_forwarded=is_forwarded) if not is_allowed(api, asked)]
    if not missing:
        return
    places = [
        f"{asked} {'in the whole cluster' if asked.is_everywhere else f'in namespace {api.namespace}'}"
        for asked in missing
    ]
    first = missing[0]
    where = "--all-namespaces" if first.is_everywhere else f"-n {api.namespace}"
    below = f" --subresource={first.subresource}" if first.subresource else ""
    resource = f"{first.resource}.{first.group}" if first.group else first.resource
    raise HostError(
        f"you may not: {'; '.join(places)}",
        subject=f"context {api.context}",
        hint=f"`kubectl auth can-i {first.verb} {resource}{below} {where}` asks the same; docs/cluster-drills.md has a "
        "role with all of them, or take a scenario without these faults",
    )
