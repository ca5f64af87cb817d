"""One run of a drill as a person sees it: led with its progress on the screen, judged, written down and told. The same
for a copy on this machine and for a system in a cluster; `drill.py` and `cluster_drill.py` have the commands.

Exit codes: 0 valid, 1 invalid, 6 unknown, 130 interrupted (the report is written all the same), and those of errors
where it did not come to a verdict.
"""

from __future__ import annotations

import asyncio
import secrets
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer
from rich.console import Group
from rich.live import Live
from rich.markup import escape

from colonnade.cli.drill_screen import judgement_lines, progress_lines, progress_screen
from colonnade.cli.messages import out
from colonnade.core.clock import SystemClock
from colonnade.core.errors import SpecError
from colonnade.drill.checkers.finding import Verdict, worst
from colonnade.drill.course import Interrupted
from colonnade.drill.load.command import EXIT_INVALID, EXIT_UNKNOWN
from colonnade.drill.order import Order
from colonnade.drill.progress import Progress
from colonnade.drill.record import Record
from colonnade.drill.record_file import write_record
from colonnade.drill.report import write_reports
from colonnade.drill.report.compare import compare, since_lines
from colonnade.drill.report.earlier import directory_name, earlier_reports
from colonnade.drill.report.json import from_json
from colonnade.drill.scenario import Scenario
from colonnade.drill.verdict import Judgement, judge
from colonnade.spec import FILE_NAME
from colonnade.system.paths import STATE_DIRECTORY_NAME

EXIT_INTERRUPTED = 130
EXIT_CODES = {Verdict.VALID: 0, Verdict.INVALID: EXIT_INVALID, Verdict.UNKNOWN: EXIT_UNKNOWN}

REFRESH_S = 0.25

SEED_MAX = 2**31

REPEAT_MAX = 1_000

RepeatOption = Annotated[int, typer.Option(help="How often, each time with the next seed", min=1, max=REPEAT_MAX)]
SeedOption = Annotated[
    int | None, typer.Option(help="Decides whom faults strike, and the load; drawn if not given", min=0)
]
RateOption = Annotated[float | None, typer.Option(help="Requests per second, whatever the scenario says", min=0.1)]
OutOption = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Where reports go. Default: .colonnade/drills")
]


@dataclass(frozen=True, slots=True)
class Run:
    """One that is over."""

    record: Record
    judgement: Judgement
    directory: Path


def declaration_at(file: Path | None) -> Path:
    """The file that is meant, absolute, whether it was named, or its directory, or nothing."""
    path = file if file is not None else Path.cwd()
    return (path / FILE_NAME if path.is_dir() else path).absolute()


def reports_at(directory: Path | None, declaration: Path) -> Path:
    """Where all reports go."""
    return directory or declaration.parent / STATE_DIRECTORY_NAME / "drills"


def directory_now(name: str, seed: int) -> str:
    """Of a report that begins now."""
    at = datetime.fromtimestamp(SystemClock().wall()).strftime("%Y%m%d-%H%M%S")  # noqa: DTZ006 — the user's own
    return directory_name(at, name, seed)


def first_seed(typed: int | None) -> int:
    return secrets.randbelow(SEED_MAX) if typed is None else typed


def new_run_id() -> str:
    return secrets.token_hex(6)


def at_rate(scenario: Scenario, rate_per_s: float | None) -> Scenario:
    """With another rate than its own; None: with its own."""
    return scenario if rate_per_s is None else replace(scenario, load=replace(scenario.load, rate_per_s=rate_per_s))


class Leader(Protocol):
    """Whoever leads one drill."""

    interrupt: asyncio.Event
    progress: Callable[[], Progress]

    async def run(self) -> Record: ...


def carry_out(director: Leader, order: Order, clock: SystemClock, *, otherwise: str) -> Run | None:
    """None when it was interrupted before anything was measured; `otherwise` is what is so then."""
    try:
        record = asyncio.run(_lead(director, order.scenario.name, clock))
    except Interrupted:
        out.print(f"interrupted before anything was measured; {otherwise}")
        return None
    return _finish(record, order.out)


async def _lead(director: Leader, name: str, clock: SystemClock) -> Record:
    """One drill with its progress on the screen. Ctrl-C and SIGTERM end it in order."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, director.interrupt.set)
    watching = asyncio.create_task(_watch(director, name, clock))
    try:
        return await director.run()
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


async def _watch(director: Leader, name: str, clock: SystemClock) -> None:
    """The live screen in a terminal, lines elsewhere; until cancelled."""
    if out.is_terminal:
        with Live(console=out, auto_refresh=False, transient=True) as live:
            while True:
                live.update(Group(*progress_screen(name, director.progress())), refresh=True)
                await clock.sleep(REFRESH_S)
    before: Progress | None = None
    while True:
        now = director.progress()
        for line in progress_lines(before, now):
            out.print(line)
        before = now
        await clock.sleep(REFRESH_S)


def _finish(record: Record, directory: Path) -> Run:
    """Judge, write everything down, and say it, with what changed since the last run of the scenario. One that was
    interrupted is held against none: what it lacks would look like a change."""
    write_record(record, directory)
    judgement = judge(record)
    earlier = () if record.is_interrupted else earlier_reports(directory.parent, record.scenario.name)
    write_reports(record, judgement, directory, earlier=earlier)
    finished = Run(record, judgement, directory)
    print_run(finished)
    if earlier:
        for line in since_lines(compare(earlier[-1], report_of(directory))):
            out.print(f"  [dim]{escape(line)}[/]")
    return finished


def print_run(finished: Run) -> None:
    for line in judgement_lines(finished.judgement):
        out.print(line)
    out.print(f"  report [bold]{escape(str(finished.directory / 'report.html'))}[/]")


def exit_code(runs: Sequence[Run], planned_count: int) -> int:
    if len(runs) < planned_count or any(run.record.is_interrupted for run in runs):
        return EXIT_INTERRUPTED
    return EXIT_CODES[worst(run.judgement.verdict for run in runs)]


def report_of(directory: Path) -> dict[str, Any]:
    """Raises SpecError where there is none."""
    path = directory / "report.json"
    try:
        return from_json(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise SpecError(
            "holds no report of a drill",
            subject=str(directory),
            hint="give the directory that `colonnade drill` named at its end",
        ) from error
