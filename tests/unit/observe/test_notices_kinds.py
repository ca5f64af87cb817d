"""Whoever wants to be told of decisions is told by kinds of events that there are."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import colonnade
from colonnade.observe import notices
from colonnade.runtime import rollouts
from colonnade.system.deployment import ENDED
from colonnade.system.phase import Phase

MADE = (
    *(f"system_{phase.value}" for phase in Phase),
    *(f"deployment_{stage.value}" for stage in ENDED),
    *(f"rollout_{end}" for end in rollouts.TOLD.values()),
)
"""Kinds that are put together from a state."""


def literals() -> Iterator[str]:
    """Every text in the code, but for the list itself and what only explains."""
    root = Path(colonnade.__file__).parent
    for part in ("runtime", "database", "system", "gateway", "scaling"):
        for path in (root / part).rglob("*.py"):
            if path.name in ("episodes.py", "sentences.py", "explanation.py"):
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value


def test_every_kind_that_is_told_is_emitted_somewhere() -> None:
    assert notices.DECISIONS - set(MADE) <= set(literals())
