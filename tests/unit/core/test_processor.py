"""How many cores there are, and may be used."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from colonnade.core.processor import cores_allowed, cores_count


def test_there_is_a_core() -> None:
    assert cores_count() >= 1


@pytest.mark.parametrize(
    ("bound", "cores"),
    [
        ("max 100000", 8),
        ("300000 100000", 3),
        ("150000 100000", 1),
        ("50000 100000", 1),
        ("900000 100000", 8),
        (None, 8),
    ],
)
def test_a_control_group_may_allow_fewer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str | None, cores: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    if bound is not None:
        (tmp_path / "cpu.max").write_text(f"{bound}\n")
    assert cores_allowed(tmp_path) == cores
