"""What scaling remembers on the disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from colonnade.core.errors import HostError
from colonnade.system.paths import StatePaths
from colonnade.system.scaling_record import (
    forget_pins,
    read_demand_history,
    read_pins,
    write_demand_history,
    write_pins,
)


def test_pins_last_until_they_are_forgotten(tmp_path: Path) -> None:
    paths = StatePaths(tmp_path)
    assert read_pins(paths) == {}
    write_pins(paths, {"web": 3})
    assert read_pins(paths) == {"web": 3}
    forget_pins(paths)
    forget_pins(paths)
    assert read_pins(paths) == {}


def test_a_history_with_holes_comes_back_as_it_was(tmp_path: Path) -> None:
    paths = StatePaths(tmp_path)
    history = {29_000_000: 1.5, 29_000_003: 0.0, 29_000_010: 12.25}
    write_demand_history(paths, "web", history)
    assert read_demand_history(paths, "web") == history
    assert read_demand_history(paths, "other") == {}


def test_what_was_not_written_by_us_counts_for_nothing(tmp_path: Path) -> None:
    paths = StatePaths(tmp_path)
    paths.scaling.mkdir()
    (paths.scaling / "pins.json").write_text('{"web": "three", "api": 2, "x": 0}')
    assert read_pins(paths) == {"api": 2}
    (paths.scaling / "demand-web.json").write_text('{"first_minute": "now", "busy": [1]}')
    assert read_demand_history(paths, "web") == {}
    (paths.scaling / "pins.json").write_text("{")
    with pytest.raises(HostError):
        read_pins(paths)
