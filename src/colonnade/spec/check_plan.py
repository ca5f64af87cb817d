"""Checks of [plan]: work is told of parts that there are, and calls of what is used. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from colonnade.spec.derive import DATABASE
from colonnade.spec.model import Spec
from colonnade.spec.problem import Problem, suggestion

GATEWAY = "gateway"
"""The name in `plan.work` that is neither a service nor the database."""


def check_plan(spec: Spec) -> Iterator[Problem]:
    known = [*spec.services, *([DATABASE] if spec.database is not None else []), GATEWAY]
    for name, work in spec.plan.work.items():
        key = ("plan", "work", name)
        if name not in known:
            yield Problem(key, "is no part of this system", hint=suggestion(name, known, what="there are"))
            continue
        used = spec.services[name].uses if name in spec.services else []
        for called, count in work.calls.items():
            if called not in used:
                hint = suggestion(called, used, what=f"services that {name} uses")
                yield Problem((*key, "calls", called), f"is not used by {name}", hint=hint)
            elif not 0 <= count <= 10_000:
                yield Problem((*key, "calls", called), f"expected 0 to 10000 calls, got {count:g}")
