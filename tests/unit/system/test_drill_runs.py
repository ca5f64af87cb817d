"""Runs of drills: which are kept, and that those of both places are shown."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from colonnade.core.clock import SimulatedClock
from colonnade.core.errors import HostError, SpecError
from colonnade.core.events import EventLog
from colonnade.system.accepted import Accepted
from colonnade.system.drill_runs import BEGUN_HERE, DrillRuns, prune_runs
from colonnade.system.paths import StatePaths


def write_run(directory: Path, name: str, word: str) -> None:
    report = {
        "scenario": {"name": "default", "title": "All"},
        "verdict": "valid",
        "sentence": word,
        "seed": 1,
        "began_at_s": 1.0,
    }
    (directory / name).mkdir(parents=True)
    (directory / name / "report.json").write_text(json.dumps(report))
    (directory / name / "report.html").write_text(word)


@pytest.mark.parametrize(("there", "kept", "left"), [(5, 2, ["3", "4"]), (2, 2, ["0", "1"]), (1, 0, []), (0, 3, [])])
def test_the_newest_runs_are_kept(tmp_path: Path, there: int, kept: int, left: list[str]) -> None:
    for number in range(there):
        write_run(tmp_path, f"20260101-00000{number}-default-7", "x")
    (tmp_path / ".hidden").write_text("is no run")
    prune_runs(tmp_path, kept)
    assert [path.name for path in sorted(tmp_path.glob("2*"))] == [f"20260101-00000{each}-default-7" for each in left]
    assert (tmp_path / ".hidden").exists()


def test_runs_from_the_command_line_and_from_the_page_are_shown(tmp_path: Path) -> None:
    paths = StatePaths(tmp_path)
    runs = DrillRuns(paths, Accepted(tmp_path, ""), EventLog(SimulatedClock(), paths.events))
    write_run(runs.directory, "20260102-000000-default-1", "typed")
    write_run(runs.directory / BEGUN_HERE, "20260103-000000-default-2", "asked")
    assert [each["sentence"] for each in runs.list()] == ["asked", "typed"]
    assert runs.report("20260103-000000-default-2") == "asked"
    assert runs.report("20260102-000000-default-1") == "typed"
    with pytest.raises(SpecError):
        runs.report(f"{BEGUN_HERE}/20260103-000000-default-2")


def test_no_drill_begins_once_the_system_goes_down(tmp_path: Path) -> None:
    paths = StatePaths(tmp_path)
    events = EventLog(SimulatedClock(), paths.events)
    runs = DrillRuns(paths, Accepted(tmp_path, ""), events)
    asyncio.run(runs.stop())
    with pytest.raises(HostError, match="goes down"):
        runs.start("default")
    assert (runs.running(), list(events.recent())) == (None, [])
