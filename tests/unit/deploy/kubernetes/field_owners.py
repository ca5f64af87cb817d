"""Who owns which fields, kept in `metadata.managedFields` as a real API server keeps it: what was applied and is not
said any more goes, unless somebody else owns it. Lists of named things are merged by name; other lists are one value.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

Object = dict[str, Any]
Path = tuple[str, ...]

NAMED_LISTS = ("containers", "initContainers", "env", "volumes")
NOBODYS = ("name", "namespace", "uid", "generation", "resourceVersion", "managedFields", "creationTimestamp")


def paths_of(found: Object) -> set[Path]:
    """Leaves that somebody may own."""
    metadata = {key: value for key, value in found.get("metadata", {}).items() if key not in NOBODYS}
    rest = {key: value for key, value in found.items() if key not in ("apiVersion", "kind", "metadata", "status")}
    return set(_paths({**rest, "metadata": metadata}, ""))


def _paths(value: Any, name: str) -> Iterator[Path]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from ((f"f:{key}", *path) for path in _paths(inner, key))
    elif name in NAMED_LISTS and value:
        for item in value:
            yield from ((_key(item), *path) for path in _paths(item, ""))
    else:
        yield ()


def _key(item: Object) -> str:
    return f"k:{json.dumps({'name': item['name']}, separators=(',', ':'))}"


def tree_of(paths: set[Path]) -> Object:
    tree: Object = {}
    for path in sorted(paths):
        place = tree
        for step in path:
            place = place.setdefault(step, {})
    return tree


def paths_in(tree: Object, before: Path = ()) -> set[Path]:
    return set().union(*(paths_in(inner, (*before, step)) for step, inner in tree.items())) if tree else {before}


def value_at(found: Any, path: Path) -> Any:
    for step in path:
        if isinstance(found, dict):
            found = found.get(step[2:])
        elif isinstance(found, list):
            found = next((item for item in found if _key(item) == step), None)
    return found


def _removed(found: Any, path: Path) -> None:
    """With what it leaves empty; a named thing goes with its name."""
    holder, last = value_at(found, path[:-1]), path[-1]
    if isinstance(holder, dict) and last.startswith("f:"):
        holder.pop(last[2:], None)
        is_nameless = last == "f:name" and len(path) > 1 and path[-2].startswith("k:")
        if len(path) > 1 and (is_nameless or not holder):
            _removed(found, path[:-1])
    elif isinstance(holder, list):
        # Its name is gone by now.
        holder[:] = [item for item in holder if "name" in item]


def combined(old: Any, new: Any, name: str = "") -> Any:
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{key: combined(old.get(key), value, key) for key, value in new.items()}}
    if isinstance(old, list) and isinstance(new, list) and name in NAMED_LISTS:
        before = {item["name"]: item for item in old}
        said = {item["name"] for item in new}
        return [combined(before.get(item["name"]), item) for item in new] + [i for i in old if i["name"] not in said]
    return new


def _entry(manager: str, operation: str, version: str, paths: set[Path]) -> Object:
    return {
        "manager": manager,
        "operation": operation,
        "apiVersion": version,
        "fieldsType": "FieldsV1",
        "fieldsV1": tree_of(paths),
    }


def entries_of(found: Object) -> list[tuple[str, str, set[Path]]]:
    entries = found.get("metadata", {}).get("managedFields") or []
    return [(each["manager"], each["operation"], paths_in(each["fieldsV1"])) for each in entries]


def applied(old: Object, body: Object, manager: str) -> Object:
    """Server-side apply, forced."""
    said, new = paths_of(body), combined(copy.deepcopy(old), body)
    others = [each for each in entries_of(old) if each[:2] != (manager, "Apply")]
    before = set().union(*(paths for who, how, paths in entries_of(old) if (who, how) == (manager, "Apply")))
    # The longest first: a thing's fields before the thing.
    for path in sorted(before - said, key=len, reverse=True):
        if not any(path in paths for _, _, paths in others):
            _removed(new, path)
    changed = {path for path in said if value_at(old, path) != value_at(new, path)}
    kept = [(who, how, paths - changed) for who, how, paths in others]
    return _owned(new, [*kept, (manager, "Apply", said)])


def updated(old: Object, new: Object, manager: str) -> Object:
    """Any other write: who changes a field owns it."""
    changed = {path for path in paths_of(new) if value_at(old, path) != value_at(new, path)}
    there = paths_of(new)
    entries = [(who, how, (paths - changed) & there) for who, how, paths in entries_of(new or old)]
    own = next((paths for who, how, paths in entries if (who, how) == (manager, "Update")), set())
    rest = [each for each in entries if each[:2] != (manager, "Update")]
    return _owned(new, [*rest, (manager, "Update", own | changed)])


def _owned(found: Object, entries: list[tuple[str, str, set[Path]]]) -> Object:
    version = found.get("apiVersion", "v1")
    fields = [_entry(who, how, version, paths) for who, how, paths in entries if paths]
    return {**found, "metadata": {**found["metadata"], "managedFields": fields}}
