"""How many cores there are."""

from __future__ import annotations

from colonnade.core.processor import cores_count


def test_there_is_a_core() -> None:
    assert cores_count() >= 1
