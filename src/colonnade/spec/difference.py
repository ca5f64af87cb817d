"""What two declarations differ in, key by key. How each key takes effect is in `effects.py`. Pure.

Shows values as they would be written, never those that may be secrets: of variables, URLs and groups of replicas with
variables of their own it says that they changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from colonnade.spec.effects import EFFECTS, Effect, effect_of
from colonnade.spec.model import ReplicasSpec, Spec
from colonnade.spec.problem import KeyPath, dotted
from colonnade.spec.units import duration_text, size_text

SECRET = frozenset(
    {
        "services.*.env",
        "services.*.env_file",
        "database.url",
        "database.read_url",
        "alerts.webhooks",
        "alerts.env_file",
        "drill.headers",
        "drill.writes",
    }
)
"""Never shown. A path to an env file is none, but who changes it changes what is in it; and the headers of a drill's
requests may have a key of the application."""

WHOLE = frozenset({"database", "database.backup"})
"""Tables that switch something on by being there: without them on one side, their keys say nothing more."""

HIDDEN = "…"
NOT_SET = "not set"


@dataclass(frozen=True, slots=True)
class KeyChange:
    """One key that differs. `service`: whose it is, "" for none. `old` and `new` as written, or HIDDEN, or NOT_SET."""

    key: str
    service: str
    old: str
    new: str
    effect: Effect

    def __str__(self) -> str:
        if self.old == self.new:
            return f"{self.key}: changed"
        if HIDDEN in (self.old, self.new):
            return f"{self.key}: {'added' if self.old == NOT_SET else 'removed'}"
        return f"{self.key}: {self.old} → {self.new}"


@dataclass(frozen=True, slots=True)
class Difference:
    """From one declaration to another. Keys of services that are on one side only are not listed."""

    keys: tuple[KeyChange, ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not (self.keys or self.added or self.removed)

    def with_effect(self, effect: Effect) -> tuple[KeyChange, ...]:
        return tuple(change for change in self.keys if change.effect is effect)


@dataclass(frozen=True, slots=True)
class _Leaf:
    """One key: the pattern of EFFECTS that it belongs to, its value, and the name of its field, which has the unit."""

    pattern: str
    value: Any
    field_name: str


def difference(old: Spec, new: Spec) -> Difference:
    """What changes from `old` to `new`, in the order of the file."""
    added = tuple(name for name in new.services if name not in old.services)
    removed = tuple(name for name in old.services if name not in new.services)
    before, after = dict(_leaves(old)), dict(_leaves(new))
    keys = []
    for path in [*after, *(path for path in before if path not in after)]:
        service = str(path[1]) if path[0] == "services" else ""
        one, other = before.get(path), after.get(path)
        if service in (*added, *removed) or _value(one) == _value(other) or _follows(path, before, after):
            continue
        known = other or one
        if known is not None:
            effect = effect_of(known.pattern, _value(one), _value(other))
            keys.append(KeyChange(dotted(path), service, _shown(one), _shown(other), effect))
    return Difference(tuple(keys), added, removed)


def _follows(path: KeyPath, before: Mapping[KeyPath, _Leaf], after: Mapping[KeyPath, _Leaf]) -> bool:
    """Whether the key says nothing of its own: `replicas` beside `weights` is their sum, and the keys of a table that
    is on one side only are told by the table."""
    if path[-1] == "replicas" and len(path) == 3:
        weights = (*path[:2], "weights")
        return any(bool(_value(side.get(weights))) for side in (before, after))
    return any(
        path[: len(whole)] == whole and path != whole and (whole in before) != (whole in after)
        for whole in (("database",), ("database", "backup"))
    )


def _leaves(spec: Spec) -> Iterator[tuple[KeyPath, _Leaf]]:
    for table in ("system", "gateway"):
        yield from _leaves_of(getattr(spec, table), (table,), table)
    for name, service in spec.services.items():
        yield from _leaves_of(service, ("services", name), "services.*")
    if spec.database is not None:
        yield ("database",), _Leaf("database", True, "")
        yield from _leaves_of(spec.database, ("database",), "database")
    yield from _leaves_of(spec.prometheus, ("prometheus",), "prometheus")
    yield from _leaves_of(spec.tracing, ("tracing",), "tracing")
    yield from _leaves_of(spec.dashboard, ("dashboard",), "dashboard")
    yield from _leaves_of(spec.alerts, ("alerts",), "alerts")
    yield from _leaves_of(spec.drill, ("drill",), "drill")
    yield from _leaves_of(spec.plan, ("plan",), "plan")


def _leaves_of(table: BaseModel, path: KeyPath, pattern: str) -> Iterator[tuple[KeyPath, _Leaf]]:
    for name, about in type(table).model_fields.items():
        key = about.alias or name
        value = getattr(table, name)
        here, here_pattern = (*path, key), f"{pattern}.{key}"
        if here_pattern in WHOLE and value is not None:
            yield here, _Leaf(here_pattern, True, name)
        if isinstance(value, dict):
            for inner, entry in value.items():
                yield (*here, inner), _Leaf(here_pattern, entry, name)
        elif isinstance(value, BaseModel) and (here_pattern in WHOLE or here_pattern not in EFFECTS):
            yield from _leaves_of(value, here, here_pattern)
        elif value is not None:
            yield here, _Leaf(here_pattern, value, name)


def _value(leaf: _Leaf | None) -> Any:
    return None if leaf is None else leaf.value


def _shown(leaf: _Leaf | None) -> str:
    if leaf is None:
        return NOT_SET
    return HIDDEN if leaf.pattern in SECRET or leaf.pattern in WHOLE else value_text(leaf.value, leaf.field_name)


def value_text(value: Any, field_name: str = "") -> str:
    """A value as a declaration would have it; `field_name` tells the unit. Variables of groups are hidden."""
    if isinstance(value, ReplicasSpec):
        return str(value.min) if value.fixed else f"{{ min = {value.min}, max = {value.max} }}"
    if isinstance(value, BaseModel):
        entries = [
            f"{about.alias or name} = {HIDDEN if name == 'env' else value_text(getattr(value, name), name)}"
            for name, about in type(value).model_fields.items()
            if getattr(value, name) not in (None, {})
        ]
        return f"{{ {', '.join(entries)} }}"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {value_text(entry)}' for key, entry in value.items())} }}"
    if isinstance(value, list):
        return f"[{', '.join(value_text(item) for item in value)}]"
    if isinstance(value, bool | str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, float) and field_name.endswith("_s"):
        return duration_text(value)
    if isinstance(value, int) and "bytes" in field_name:
        return size_text(value)
    return f"{value:g}" if isinstance(value, float) else str(value)
