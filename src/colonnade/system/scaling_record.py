"""What scaling remembers beyond the controller's life: pinned numbers, and each service's demand per minute.

Pins go with `down`, as everything that was asked for by hand; demand stays, or there would be no pattern of the day.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from colonnade.core.files import make_directory, read_json, write_json_atomically
from colonnade.system.paths import StatePaths

PINS = "pins.json"


def read_pins(paths: StatePaths) -> dict[str, int]:
    """Service → number of replicas. What is not of this shape was not written by us and counts for nothing."""
    found = read_json(paths.scaling / PINS) or {}
    return {name: count for name, count in found.items() if isinstance(count, int) and count > 0}


def write_pins(paths: StatePaths, pins: Mapping[str, int]) -> None:
    make_directory(paths.scaling, mode=0o700)
    write_json_atomically(paths.scaling / PINS, pins)


def forget_pins(paths: StatePaths) -> None:
    (paths.scaling / PINS).unlink(missing_ok=True)


def read_demand_history(paths: StatePaths, service: str) -> dict[int, float]:
    """Minute since the epoch → places that were busy."""
    found = read_json(_demand_path(paths, service)) or {}
    first, values = found.get("first_minute"), found.get("busy")
    if not isinstance(first, int) or not isinstance(values, list):
        return {}
    return {first + index: float(value) for index, value in enumerate(values) if isinstance(value, int | float)}


def write_demand_history(paths: StatePaths, service: str, history: Mapping[int, float]) -> None:
    """One list with a hole for each minute that nobody watched: a tenth of what pairs would take."""
    if not history:
        return
    first, last = min(history), max(history)
    values = [history.get(minute) for minute in range(first, last + 1)]
    make_directory(paths.scaling, mode=0o700)
    write_json_atomically(_demand_path(paths, service), {"first_minute": first, "busy": values})


def _demand_path(paths: StatePaths, service: str) -> Path:
    return paths.scaling / f"demand-{service}.json"
