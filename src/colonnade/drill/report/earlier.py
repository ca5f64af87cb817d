"""The reports of earlier runs of a scenario, as they lie in the directory of drills: what a new run is held against.

Only reads. Read next: `compare` for the one before, `repeat` for all that are like it.
"""

from __future__ import annotations

from glob import escape
from pathlib import Path
from typing import Any

from colonnade.core.errors import SpecError
from colonnade.drill.report.json import from_json

EARLIER_MAX = 100
"""Of the newest. A distribution over more runs looks no different, and each is a file to read."""


def directory_name(when: str, scenario: str, seed: int) -> str:
    """Of one drill. Directories of one scenario sort by time."""
    return f"{when}-{scenario}-{seed}"


def earlier_reports(drills: Path, scenario: str) -> tuple[dict[str, Any], ...]:
    """Of this scenario, the oldest first. Runs that were interrupted are no measure for others, and what is no report
    (any more) is nothing to compare with: both are passed over."""
    paths = sorted(drills.glob(f"*-{escape(scenario)}-*/report.json"))[-EARLIER_MAX:]
    found = [report for path in paths if (report := _read(path)) is not None]
    found = [each for each in found if each["scenario"]["name"] == scenario and not each["is_interrupted"]]
    return tuple(sorted(found, key=lambda each: float(each["began_at_s"])))


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return from_json(path.read_text(encoding="utf-8"), str(path))
    except (OSError, SpecError):
        return None
