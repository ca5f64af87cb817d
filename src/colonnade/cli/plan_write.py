"""`colonnade plan --write`: the numbers of a plan into colonnade.toml, and what that changed, key by key."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from colonnade.cli.messages import out, print_warning
from colonnade.core.errors import SpecError
from colonnade.core.files import write_durably
from colonnade.planning.answer import Answer
from colonnade.planning.over_time import Day
from colonnade.spec.difference import difference
from colonnade.spec.edit import Value, set_values
from colonnade.spec.load import declared_spec
from colonnade.spec.model import Spec

CONNECTIONS_STEP = 50
"""`connections_max` is raised to the next multiple: a number that somebody would write."""


def write_plan(answer: Answer, spec: Spec, path: Path | None) -> None:
    """Change the file and say what changed. Raises SpecError where there is no file, or its layout is not known."""
    if path is None or not path.exists():
        raise SpecError("there is no file to write to", subject=str(path), hint="run `colonnade init` first")
    text = path.read_text(encoding="utf-8")
    values = dict(_values(answer, spec))
    if not values:
        out.print("colonnade.toml has these numbers already; nothing was written")
        return
    changed = set_values(text, values, subject=str(path))
    before = declared_spec(text, subject=str(path))
    after = declared_spec(changed, subject=str(path))
    write_durably(path, changed, mode=stat.S_IMODE(path.stat().st_mode))
    for change in difference(before, after).keys:
        out.print(f"[green]wrote[/] {change}  [dim]this takes effect {change.effect.value}[/]")
    out.print("[dim]`colonnade deploy` makes a running system follow[/]")


def _values(answer: Answer, spec: Spec) -> Iterator[tuple[tuple[str, ...], Value]]:
    for each in answer.services:
        service = spec.services[each.name]
        if service.weights:
            print_warning(f"{each.name} has `weights`, which say how many replicas of each size: write them yourself")
            continue
        value = _replicas(each.replicas, answer.day, each.name, is_fixed=service.replicas.fixed)
        low, high = (value["min"], value["max"]) if isinstance(value, dict) else (value, value)
        if (service.replicas.min, service.replicas.max) != (low, high) or service.replicas.fixed == isinstance(
            value, dict
        ):
            yield ("services", each.name, "replicas"), value
    if spec.database is not None and answer.database_pools > spec.database.connections_max:
        needed = -(-answer.database_pools // CONNECTIONS_STEP) * CONNECTIONS_STEP
        yield ("database", "connections_max"), needed


def _replicas(count: int, day: Day | None, name: str, *, is_fixed: bool) -> int | dict[str, int]:
    """With a load that goes up and down, or where it is scaled already, from what its quietest part needs up to the
    plan; otherwise the plan."""
    if day is None and is_fixed:
        return count
    least = min((each.replicas[name] for each in day.slices), default=count) if day is not None else count
    return {"min": least, "max": count} if least < count or not is_fixed else count
