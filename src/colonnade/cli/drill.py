"""`colonnade drill`: break a copy of the system under load, and say whether it kept its promises.

Exit codes: 0 valid, 1 invalid, 6 unknown, 130 interrupted (the report is written all the same), and those of errors
where it did not come to a verdict.
"""

from __future__ import annotations

import asyncio
import secrets
import shlex
import signal
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer
from rich.console import Group
from rich.live import Live
from rich.markup import escape

from colonnade.cli.drill_screen import judgement_lines, progress_lines, progress_screen, scenario_lines, scenario_table
from colonnade.cli.messages import out, print_warning
from colonnade.core.clock import SystemClock
from colonnade.core.errors import SpecError
from colonnade.drill.checkers.finding import Verdict, worst
from colonnade.drill.course import Interrupted
from colonnade.drill.director import Director, InstanceOrder
from colonnade.drill.faults.fault import NotPossible
from colonnade.drill.faults.registry import FAULTS
from colonnade.drill.instance import small_disk, sweep
from colonnade.drill.load.command import EXIT_INVALID, EXIT_UNKNOWN
from colonnade.drill.progress import Progress
from colonnade.drill.record import Record
from colonnade.drill.record_file import read_record, write_record
from colonnade.drill.report import write_reports
from colonnade.drill.report.compare import compare, comparison_lines, since_lines
from colonnade.drill.report.earlier import directory_name, earlier_reports
from colonnade.drill.report.json import from_json
from colonnade.drill.report.repeat import summary_lines
from colonnade.drill.scenario import Scenario
from colonnade.drill.scenario_file import DEFAULT, SUFFIX, find_scenario, shipped_names
from colonnade.drill.verdict import Judgement, judge
from colonnade.spec import FILE_NAME
from colonnade.spec.load import load_spec
from colonnade.system.paths import STATE_DIRECTORY_NAME

EXIT_INTERRUPTED = 130
EXIT_CODES = {Verdict.VALID: 0, Verdict.INVALID: EXIT_INVALID, Verdict.UNKNOWN: EXIT_UNKNOWN}

REFRESH_S = 0.25

SEED_MAX = 2**31

REPEAT_MAX = 1_000

app = typer.Typer(invoke_without_command=True)

FileOption = Annotated[
    Path | None, typer.Option("--file", "-f", help="The declaration, or its directory. Default: ./colonnade.toml")
]
OutOption = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Where reports go. Default: .colonnade/drills")
]


@dataclass(frozen=True, slots=True)
class _Wishes:
    """What is wanted of every run."""

    file: Path
    out: Path
    seed: int
    allow_external_database: bool


@dataclass(frozen=True, slots=True)
class Run:
    """One that is over."""

    record: Record
    judgement: Judgement
    directory: Path


@app.callback()
def drill(context: typer.Context) -> None:
    """Without a command: the default set of faults."""
    if context.invoked_subcommand is None:
        run([DEFAULT])


@app.command(name="list")
def list_scenarios() -> None:
    """The scenarios that come with Colonnade."""
    out.print(scenario_table([find_scenario(name, FAULTS) for name in shipped_names()]))


@app.command()
def run(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME | FILE.toml …]")] = None,
    file: FileOption = None,
    is_all: Annotated[bool, typer.Option("--all", help="Every scenario that comes with Colonnade")] = False,
    repeat: Annotated[int, typer.Option(help="How often, each time with the next seed", min=1, max=REPEAT_MAX)] = 1,
    seed: Annotated[
        int | None, typer.Option(help="Decides whom faults strike, and the load; drawn if not given", min=0)
    ] = None,
    rate: Annotated[float | None, typer.Option(help="Requests per second, whatever the scenario says", min=0.1)] = None,
    out_dir: OutOption = None,
    allow_external_database: Annotated[
        bool, typer.Option("--allow-external-database", help="Drill although database.url is somebody else's")
    ] = False,
) -> None:
    """Run scenarios: the default one, those named, or all."""
    if is_all and names:
        raise SpecError("--all and names are one too many", hint="`colonnade drill run --all`, or names alone")
    chosen = shipped_names() if is_all else names or [DEFAULT]
    first = secrets.randbelow(SEED_MAX) if seed is None else seed
    wishes = _wishes(file, out_dir, first, allow_external_database=allow_external_database)
    declared = load_spec(wishes.file).spec.drill.rate_per_s
    scenarios = [scenario_at(name, rate, declared) for name in chosen]
    planned = [
        (scenario, first + number, _command(name, first + number, rate, wishes))
        for name, scenario in zip(chosen, scenarios, strict=True)
        for number in range(repeat)
    ]
    raise typer.Exit(_run_all(planned, wishes))


@app.command()
def show(
    what: Annotated[str, typer.Argument(metavar="DIR | NAME", help="A drill's directory, or a scenario")],
) -> None:
    """What a drill came to, judged once more from its record; or what a scenario is going to do."""
    if what in shipped_names() or what.endswith(SUFFIX):
        for line in scenario_lines(find_scenario(what, FAULTS)):
            out.print(line)
        return
    record = read_record(Path(what))
    _print(Run(record, judge(record), Path(what)))


@app.command()
def replay(
    directory: Annotated[Path, typer.Argument(help="As named at the end of a drill")],
    file: FileOption = None,
    out_dir: OutOption = None,
    allow_external_database: Annotated[bool, typer.Option("--allow-external-database")] = False,
) -> None:
    """The same scenario with the same seed, and the two verdicts side by side."""
    before = read_record(directory)
    if before.cluster is not None:
        raise SpecError(
            "was run in a cluster, which has to be named again", subject=str(directory), hint=before.command
        )
    wishes = _wishes(file, out_dir, before.seed, allow_external_database=allow_external_database)
    runs = _run_each([(before.scenario, before.seed, before.command)], wishes)
    if runs:
        _print_comparison(directory, runs[0].directory)
    raise typer.Exit(exit_code(runs, 1))


@app.command(name="sweep")
def sweep_up() -> None:
    """Clear away what drills left that were killed. The next drill does so too."""
    swept = sweep()
    out.print("\n".join(f"{escape(directory)} is cleared away" for directory in swept) or "nothing was left")


@app.command(name="compare")
def compare_runs(
    before: Annotated[Path, typer.Argument(metavar="DIR")], after: Annotated[Path, typer.Argument(metavar="DIR")]
) -> None:
    """What differs between two drills: verdicts, rules, and every number that moved."""
    _print_comparison(before, after)


def _wishes(file: Path | None, out_dir: Path | None, seed: int, *, allow_external_database: bool) -> _Wishes:
    path = file if file is not None else Path.cwd()
    path = (path / FILE_NAME if path.is_dir() else path).absolute()
    return _Wishes(path, out_dir or path.parent / STATE_DIRECTORY_NAME / "drills", seed, allow_external_database)


def scenario_at(name: str, typed_per_s: float | None, declared_per_s: float | None) -> Scenario:
    """A scenario with its rate: as typed, else as [drill] has it (for scenarios whose author could not know the
    application), else its own."""
    scenario = find_scenario(name, FAULTS)
    rate_per_s = typed_per_s or (declared_per_s if name in shipped_names() else None)
    if rate_per_s is None:
        return scenario
    return replace(scenario, load=replace(scenario.load, rate_per_s=rate_per_s))


def _command(name: str, seed: int, rate: float | None, wishes: _Wishes) -> str:
    """What does this run once more."""
    words = ["colonnade", "drill", "run", name, "--file", str(wishes.file), "--seed", str(seed)]
    words += ["--rate", f"{rate:g}"] if rate is not None else []
    words += ["--allow-external-database"] if wishes.allow_external_database else []
    return shlex.join(words)


def _run_all(planned: Sequence[tuple[Scenario, int, str]], wishes: _Wishes) -> int:
    """Run them one after the other and tell each; then each scenario's runs together. Returns the exit code."""
    runs = _run_each(planned, wishes)
    if len(runs) > 1:
        out.print("\n".join(map(escape, summary_lines([_report_of(run.directory) for run in runs]))))
    return exit_code(runs, len(planned))


def _run_each(planned: Sequence[tuple[Scenario, int, str]], wishes: _Wishes) -> list[Run]:
    """Ends early when interrupted."""
    for directory in sweep():
        print_warning(f"an earlier drill was killed and left an instance: {directory} is cleared away")
    runs: list[Run] = []
    with ExitStack() as stack:
        disk = _disk_for([scenario for scenario, _, _ in planned], stack)
        for number, (scenario, seed, command) in enumerate(planned, 1):
            order = InstanceOrder(
                file=wishes.file,
                scenario=scenario,
                seed=seed,
                run_id=secrets.token_hex(6),
                command=command,
                out=wishes.out / directory_now(scenario.name, seed),
                allow_external_database=wishes.allow_external_database,
                state=disk if _fills_disk(scenario) else None,
            )
            which = f" ({number} of {len(planned)})" if len(planned) > 1 else ""
            out.print(f"[bold]drill {escape(scenario.name)}[/] seed {seed}{which}: {escape(scenario.title)}")
            try:
                clock = SystemClock()
                record = asyncio.run(lead(Director(order, clock), scenario.name, clock))
            except Interrupted:
                out.print("interrupted before anything was measured; nothing is left")
                break
            runs.append(finish(record, order.out))
            if record.is_interrupted:
                break
    return runs


def directory_now(name: str, seed: int) -> str:
    """Of a report that begins now."""
    at = datetime.fromtimestamp(SystemClock().wall()).strftime("%Y%m%d-%H%M%S")  # noqa: DTZ006 — the user's own
    return directory_name(at, name, seed)


def _disk_for(scenarios: Iterable[Scenario], stack: ExitStack) -> Path | None:
    """A disk that may be filled, until the stack is closed; None where nobody fills one, or it cannot be had."""
    if not any(map(_fills_disk, scenarios)):
        return None
    try:
        return stack.enter_context(small_disk())
    except NotPossible as refusal:
        print_warning(refusal.message)
        return None


def _fills_disk(scenario: Scenario) -> bool:
    return any(fault.kind == "disk_full" for fault in scenario.faults)


def exit_code(runs: Sequence[Run], planned_count: int) -> int:
    if len(runs) < planned_count or any(run.record.is_interrupted for run in runs):
        return EXIT_INTERRUPTED
    return EXIT_CODES[worst(run.judgement.verdict for run in runs)]


class Leader(Protocol):
    """Whoever leads one drill."""

    interrupt: asyncio.Event
    progress: Callable[[], Progress]

    async def run(self) -> Record: ...


async def lead(director: Leader, name: str, clock: SystemClock) -> Record:
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


def finish(record: Record, directory: Path) -> Run:
    """Judge, write everything down, and say it, with what changed since the last run of the scenario. One that was
    interrupted is held against none: what it lacks would look like a change."""
    write_record(record, directory)
    judgement = judge(record)
    earlier = () if record.is_interrupted else earlier_reports(directory.parent, record.scenario.name)
    write_reports(record, judgement, directory, earlier=earlier)
    finished = Run(record, judgement, directory)
    _print(finished)
    if earlier:
        for line in since_lines(compare(earlier[-1], _report_of(directory))):
            out.print(f"  [dim]{escape(line)}[/]")
    return finished


def _print(finished: Run) -> None:
    for line in judgement_lines(finished.judgement):
        out.print(line)
    out.print(f"  report [bold]{escape(str(finished.directory / 'report.html'))}[/]")


def _print_comparison(before: Path, after: Path) -> None:
    out.print("\n".join(map(escape, comparison_lines(compare(_report_of(before), _report_of(after))))))


def _report_of(directory: Path) -> dict[str, Any]:
    path = directory / "report.json"
    try:
        return from_json(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise SpecError(
            "holds no report of a drill",
            subject=str(directory),
            hint="give the directory that `colonnade drill` named at its end",
        ) from error
