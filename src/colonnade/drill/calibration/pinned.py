"""Holds the number of replicas while a system is measured: what grows meanwhile is not what was calibrated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from colonnade.system.client import ControlClient
from colonnade.system.paths import StatePaths


@contextmanager
def pinned(paths: StatePaths, status: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Services that scale by themselves stay at their number, and are let go afterwards, whatever happened. Gives their
    names. Raises NotRunning where nothing runs."""
    held = [(each["name"], each["desired"]) for each in status["services"] if each["scaling"]["mode"] == "auto"]
    try:
        _scale(paths, dict(held))
        yield tuple(name for name, _ in held)
    finally:
        _scale(paths, {name: None for name, _ in held})


def _scale(paths: StatePaths, wanted: Mapping[str, int | None]) -> None:
    if not wanted:
        return
    with ControlClient(paths) as client:
        for service, count in wanted.items():
            client.scale(service, count)
