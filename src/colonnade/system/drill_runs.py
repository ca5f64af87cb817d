"""Drills of a system that runs: those that were, and starting one. A drill breaks a copy, never this system, and is a
process of its own that goes on whoever watches; here it is begun, ended with the system, and its report found again.

What a drill started is known to itself alone: `colonnade drill sweep` clears away after one that was killed.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from colonnade.core import processes
from colonnade.core.errors import HostError, SpecError
from colonnade.core.events import EventLog
from colonnade.core.files import read_json, write_json_atomically
from colonnade.core.processes import Command, Process, ProcessId
from colonnade.system.accepted import Accepted
from colonnade.system.paths import StatePaths

SCENARIO = re.compile(r"[a-z][a-z0-9-]{0,40}")
"""A name of one that comes with Colonnade; a path is for the command line."""

RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}")
"""The directory of one run, as drills name it."""

BEGUN_HERE = "asked"
"""The directory, beside those of drills from the command line, of drills that were asked for here."""

BEGUN_KEPT = 20
"""The newest of those; what somebody ran from the command line is his own, and stays."""

END_GRACE_S = 30.0
"""A drill that is to end takes its copy down first: seconds, and many where a database of its own is stopped."""

SWEEP_S_MAX = 20.0

LISTED_MAX = 50
REPORT_BYTES_MAX = 20 * 1024 * 1024


class DrillRuns:
    """One at a time, and the newest reports."""

    def __init__(self, paths: StatePaths, accepted: Accepted, events: EventLog) -> None:
        self._paths = paths
        self._accepted = accepted
        self._events = events
        self._running: tuple[str, Process] | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._is_stopping = False
        self._known: dict[Path, tuple[float, dict[str, Any]]] = {}

    @property
    def directory(self) -> Path:
        return self._paths.root / "drills"

    def start(self, scenario: str) -> str:
        """Begin; returns one sentence. Raises SpecError for a name that is none, HostError while another one runs and
        once the system goes down."""
        if not SCENARIO.fullmatch(scenario):
            raise SpecError(f"{scenario!r} is no scenario", subject="scenario", hint="see `colonnade drill list`")
        if self._is_stopping:  # the control API answers until the end: nobody would end what is begun now
            raise HostError("the system goes down", subject="drill", hint="`colonnade up`, then ask again")
        if not self._accepted.source:
            hint = "`colonnade init` writes a colonnade.toml; start from it"
            raise HostError("only a system with a colonnade.toml can be drilled", subject="drill", hint=hint)
        if self.running() is not None:
            raise HostError(f"a drill runs already ({self.running()})", subject="drill", hint="wait for its report")
        prune_runs(self.directory / BEGUN_HERE, BEGUN_KEPT - 1)
        words = ["run", scenario, "--file", self._accepted.source, "--out", str(self.directory / BEGUN_HERE)]
        process = processes.start(self._command(words))
        identity = process.identity
        record = {"scenario": scenario, "pid": identity.pid, "start_ticks": identity.start_ticks}
        try:
            write_json_atomically(record_path(self._paths), record)
        except HostError:  # nobody would find it after this controller
            process.send_group(signal.SIGTERM)
            process.close()
            raise
        message = f"the drill {scenario} has begun on a copy: `colonnade logs drill` shows how far it is"
        self._events.emit("drill_started", "drill", reason="asked", message=message)
        self._watch(scenario, process)
        return message

    def running(self) -> str | None:
        """The scenario that runs now."""
        if self._running is not None and self._running[1].has_exited():
            self._running = None
        return self._running[0] if self._running is not None else None

    def adopt(self) -> None:
        """Find the drill that an earlier controller began."""
        found = recorded_drill(self._paths)
        if found is not None:
            self._watch(*found)

    async def stop(self) -> None:
        """End the one that runs, and wait until nothing of it is left. It takes its copy down and writes its report.
        None can be begun from now on."""
        self._is_stopping = True
        if self._running is not None:
            process = self._running[1]
            process.send(signal.SIGTERM)
            if not await process.wait(END_GRACE_S):
                await processes.kill(process)
            await asyncio.sleep(0)  # for what is done at its end
        if self._sweeping is not None:
            await self._sweeping

    def _watch(self, scenario: str, process: Process) -> None:
        self._running = (scenario, process)
        process.on_exit(lambda: self._ended(scenario, process))

    def _ended(self, scenario: str, process: Process) -> None:
        code = process.exit_code
        verdicts: dict[int | None, str] = {0: "valid", 1: "invalid", 6: "unknown", 130: "interrupted", None: "ended"}
        verdict = verdicts.get(code, f"no verdict: exit {code}")
        self._events.emit(
            "drill_ended",
            "drill",
            reason=verdict.partition(":")[0].replace(" ", "_"),
            message=f"the drill {scenario} ended: {verdict}",
        )
        process.close()
        record_path(self._paths).unlink(missing_ok=True)
        if code is None or code < 0:  # killed, as far as we know: it could take nothing with it
            self._sweeping = asyncio.ensure_future(self._sweep())

    async def _sweep(self) -> None:
        sweeper = processes.start(self._command(["sweep"]))
        if not await sweeper.wait(SWEEP_S_MAX):
            await processes.kill(sweeper)
        sweeper.close()

    def _command(self, words: list[str]) -> Command:
        env = {name: value for name, value in os.environ.items() if name != processes.SYSTEM_MARK}
        argv = [sys.executable, "-m", "colonnade.cli.main", "drill", *words]
        return Command(argv, Path("/"), {**env, "NO_COLOR": "1"}, self._paths.logs / "drill.log")

    def list(self) -> list[dict[str, Any]]:
        """The newest first. Each report is read once."""
        paths = [*self.directory.glob("*/report.json"), *self.directory.glob(f"{BEGUN_HERE}/*/report.json")]
        found = sorted(paths, key=lambda path: path.parent.name, reverse=True)
        return [about for path in found[:LISTED_MAX] if (about := self._about(path)) is not None]

    def report(self, run: str) -> str:
        """The page of one run, self-contained. Raises SpecError when there is none."""
        places = (self.directory, self.directory / BEGUN_HERE) if RUN.fullmatch(run) else ()
        for path in (place / run / "report.html" for place in places):
            if path.is_file() and path.stat().st_size <= REPORT_BYTES_MAX:
                return path.read_text(encoding="utf-8", errors="replace")
        raise SpecError(f"there is no report {run!r}", subject="drill", hint="see `colonnade drill show DIR`")

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


def prune_runs(directory: Path, kept: int) -> None:
    """Remove all but the newest `kept` runs of a directory. Their names begin with the time."""
    runs = sorted(path for path in directory.glob("*") if RUN.fullmatch(path.name))
    for path in runs[: max(0, len(runs) - kept)]:
        shutil.rmtree(path, ignore_errors=True)


def record_path(paths: StatePaths) -> Path:
    return paths.root / "drill.json"


def recorded_drill(paths: StatePaths) -> tuple[str, Process] | None:
    """(scenario, process) of the drill that was begun here and runs. A record that cannot be read is none."""
    try:
        found = read_json(record_path(paths))
        process = processes.adopt(ProcessId(found["pid"], found["start_ticks"])) if found is not None else None
        return (str(found["scenario"]), process) if found is not None and process is not None else None
    except (HostError, KeyError, TypeError):
        return None
