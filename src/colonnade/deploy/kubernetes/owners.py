"""Who owns which fields of an object, as the API server keeps it in `metadata.managedFields`. Pure.

An apply takes a field out only when it was the field's last owner. What was applied by `kubectl apply`, or written by
`scale` or `rollback`, has other owners, and would stay for ever; so their fields are taken over first, as kubectl does
before its own server-side apply (client-go's package csaupgrade).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from colonnade.deploy.kubernetes.objects import DRILLED, LAST_APPLIED, Object

FIELD_MANAGER = "colonnade"

OF_KUBECTL = ("kubectl-client-side-apply", "before-first-apply")
"""The second stands for all who wrote before the first server-side apply."""

REPLICAS = ("f:spec", "f:replicas")

NEVER_OURS = (
    *(("f:metadata", "f:annotations", f"f:{name}") for name in (LAST_APPLIED, DRILLED)),
    ("f:metadata", "f:labels", f"f:{DRILLED}"),
    ("f:metadata", "f:annotations", "f:deployment.kubernetes.io/revision"),
)
"""No manifest says these: who owned them would take them out with the next apply."""


def is_ours(found: Object) -> bool:
    """Whether a deployment has applied it."""
    return any(_is_applied(entry) for entry in _entries(found))


def handover(live: Object, *, leaves_replicas: bool) -> Object | None:
    """The merge patch that goes before an apply; None where nothing has to change. With `leaves_replicas` nobody but
    an autoscaler, or whoever scales, owns the number of replicas afterwards, and an apply without it lets it be."""
    ours = [entry for entry in _entries(live) if _is_applied(entry)]
    taken = [entry for entry in _entries(live) if _is_taken(entry)]
    owned = [*taken, *ours]
    if not taken and not (leaves_replicas and any(_has(entry["fieldsV1"], REPLICAS) for entry in ours)):
        return None
    # Fields of another version of the API have other names, perhaps.
    version = owned[-1]["apiVersion"]
    fields = _union(*(entry["fieldsV1"] for entry in owned if entry["apiVersion"] == version))
    for path in (*NEVER_OURS, *([REPLICAS] if leaves_replicas else ())):
        fields = _without(fields, path)
    entry = {**owned[-1], "manager": FIELD_MANAGER, "operation": "Apply", "fieldsV1": fields}
    others = [entry for entry in _entries(live) if entry not in owned]
    metadata: Object = {"managedFields": [*others, entry]}
    if LAST_APPLIED in (live["metadata"].get("annotations") or {}):
        # It would not be true any more, and `kubectl apply` would take out what it names.
        metadata["annotations"] = {LAST_APPLIED: None}
    return {"metadata": metadata}


def given_up(live: Object) -> Object:
    """The part of an object that those say whose place is taken: an apply takes out what it does not say itself."""
    text = (live["metadata"].get("annotations") or {}).get(LAST_APPLIED)
    if text and is_of_kubectl(live):
        # Among the fields that it owns are defaults as well, which come again.
        return dict(json.loads(text))
    fields = _union(*(entry["fieldsV1"] for entry in _entries(live) if _is_taken(entry)))
    for path in NEVER_OURS:
        fields = _without(fields, path)
    return dict(_part(live, fields)) if fields else {"metadata": {}}


def is_of_kubectl(live: Object) -> bool:
    return any(entry.get("manager") in OF_KUBECTL and _is_taken(entry) for entry in _entries(live))


def _part(value: Any, fields: Mapping[str, Any]) -> Any:
    """Of a list the things that are named by key; a list or value without those is one, and taken as it is."""
    if isinstance(value, Mapping):
        inner = {key: fields.get(f"f:{key}") for key in value}
        found = {key: _part(value[key], below) for key, below in inner.items() if below is not None}
        # "." is the place itself, without what is in it.
        return found if fields else value
    keys = {key: below for key, below in fields.items() if key.startswith("k:")}
    if isinstance(value, list) and keys:
        named = [(json.loads(key.removeprefix("k:")), below) for key, below in keys.items()]
        return [{**key, **_part(one, below)} for key, below in named for one in value if key.items() <= one.items()]
    return value


def _entries(found: Object) -> Iterator[Object]:
    yield from found["metadata"].get("managedFields") or ()


def _is_applied(entry: Object) -> bool:
    return entry.get("manager") == FIELD_MANAGER and entry.get("operation") == "Apply" and not entry.get("subresource")


def _is_taken(entry: Object) -> bool:
    is_known = entry.get("manager") in (*OF_KUBECTL, FIELD_MANAGER)
    return is_known and entry.get("operation") == "Update" and not entry.get("subresource")


def _union(*trees: Mapping[str, Any]) -> dict[str, Any]:
    """Each is a set of paths, written as a tree."""
    keys = dict.fromkeys(key for tree in trees for key in tree)
    return {key: _union(*(tree[key] for tree in trees if key in tree)) for key in keys}


def _has(fields: Mapping[str, Any], path: tuple[str, ...]) -> bool:
    return not path or (path[0] in fields and _has(fields[path[0]], path[1:]))


def _without(fields: Mapping[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    if path[0] not in fields:
        return dict(fields)
    rest = {key: value for key, value in fields.items() if key != path[0]}
    if len(path) == 1:
        return rest
    inner = _without(fields[path[0]], path[1:])
    return {**rest, path[0]: inner} if inner else rest
