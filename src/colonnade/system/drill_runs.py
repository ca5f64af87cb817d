"""Drills of a system that runs: those that were, and starting one. A drill breaks a copy, never this system, and is a
process of its own that goes on whoever watches; here it is only begun and its report found again.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from colonnade.core import processes
from colonnade.core.errors import HostError, SpecError
from colonnade.core.events import EventLog
from colonnade.core.processes import Command, Process
from colonnade.system.accepted import Accepted
from colonnade.system.paths import StatePaths

SCENARIO = re.compile(r"[a-z][a-z0-9-]{0,40}")
"""A name of one that comes with Colonnade; a path is for the command line."""

RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}")
"""The directory of one run, as drills name it."""

LISTED_MAX = 50
REPORT_BYTES_MAX = 20 * 1024 * 1024


class DrillRuns:
    """One at a time, and the newest reports."""

    def __init__(self, paths: StatePaths, accepted: Accepted, events: EventLog) -> None:
        self._paths = paths
        self._accepted = accepted
        self._events = events
        self._running: tuple[str, Process] | None = None
        self._known: dict[Path, tuple[float, dict[str, Any]]] = {}

    @property
    def directory(self) -> Path:
        return self._paths.root / "drills"

    def start(self, scenario: str) -> str:
        """Begin; returns one sentence. Raises SpecError for a name that is none, HostError while another one runs."""
        if not SCENARIO.fullmatch(scenario):
            raise SpecError(f"{scenario!r} is no scenario", subject="scenario", hint="see `colonnade drill list`")
        if not self._accepted.source:
            hint = "`colonnade init` writes a colonnade.toml; start from it"
            raise HostError("only a system with a colonnade.toml can be drilled", subject="drill", hint=hint)
        if self.running() is not None:
            raise HostError(f"a drill runs already ({self.running()})", subject="drill", hint="wait for its report")
        argv = [sys.executable, "-m", "colonnade.cli.main", "drill", "run", scenario]
        argv += ["--file", self._accepted.source, "--out", str(self.directory)]
        env = {name: value for name, value in os.environ.items() if name != processes.SYSTEM_MARK}
        process = processes.start(Command(argv, Path("/"), {**env, "NO_COLOR": "1"}, self._paths.logs / "drill.log"))
        self._running = (scenario, process)
        message = f"the drill {scenario} has begun on a copy: `colonnade logs drill` shows how far it is"
        self._events.emit("drill_started", "drill", reason="asked", message=message)
        process.on_exit(lambda: self._ended(scenario, process))
        return message

    def running(self) -> str | None:
        """The scenario that runs now."""
        if self._running is not None and self._running[1].has_exited():
            self._running = None
        return self._running[0] if self._running is not None else None

    def _ended(self, scenario: str, process: Process) -> None:
        verdicts: dict[int | None, str] = {0: "valid", 1: "invalid", 6: "unknown"}
        verdict = verdicts.get(process.exit_code, f"no verdict: exit {process.exit_code}")
        self._events.emit(
            "drill_ended",
            "drill",
            reason=verdict.partition(":")[0].replace(" ", "_"),
            message=f"the drill {scenario} ended: {verdict}",
        )
        process.close()

    def list(self) -> list[dict[str, Any]]:
        """The newest first. Each report is read once."""
        found = sorted(self.directory.glob("*/report.json"), key=lambda path: path.parent.name, reverse=True)
        return [about for path in found[:LISTED_MAX] if (about := self._about(path)) is not None]

    def report(self, run: str) -> str:
        """The page of one run, self-contained. Raises SpecError when there is none."""
        path = self.directory / run / "report.html"
        if not RUN.fullmatch(run) or not path.is_file() or path.stat().st_size > REPORT_BYTES_MAX:
            raise SpecError(f"there is no report {run!r}", subject="drill", hint="see `colonnade drill show DIR`")
        return path.read_text(encoding="utf-8", errors="replace")

    def _about(self, path: Path) -> dict[str, Any] | None:
        try:
            changed_at_s = path.stat().st_mtime
            if path in self._known and self._known[path][0] == changed_at_s:
                return self._known[path][1]
            report = json.loads(path.read_text(encoding="utf-8"))
            about = {
                "run": path.parent.name,
                "scenario": report["scenario"]["name"],
                "title": report["scenario"]["title"],
                "verdict": report["verdict"],
                "sentence": report["sentence"],
                "seed": report["seed"],
                "began_at_s": report["began_at_s"],
                "has_page": (path.parent / "report.html").is_file(),
            }
        except (OSError, ValueError, KeyError, TypeError):
            return None  # half written, or of another format: nothing to show of it
        self._known = {**dict(list(self._known.items())[-LISTED_MAX:]), path: (changed_at_s, about)}
        return about
