"""`colonnade drill`: break a copy of the system under load, and say whether it kept its promises. Read next:
`drill_run.py` for one run, and what the exit codes say.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from colonnade.cli.drill_run import (
    OutOption,
    RateOption,
    RepeatOption,
    Run,
    SeedOption,
    at_rate,
    carry_out,
    declaration_at,
    directory_now,
    exit_code,
    first_seed,
    new_run_id,
    print_run,
    report_of,
    reports_at,
)
from colonnade.cli.drill_screen import scenario_lines, scenario_table
from colonnade.cli.messages import out, print_warning
from colonnade.cli.options import FileOption
from colonnade.core.clock import SystemClock
from colonnade.core.errors import SpecError
from colonnade.drill.director import Director, InstanceOrder
from colonnade.drill.faults.fault import NotPossible
from colonnade.drill.faults.registry import FAULTS
from colonnade.drill.instance import small_disk, sweep
from colonnade.drill.record_file import read_record
from colonnade.drill.report.compare import compare, comparison_lines
from colonnade.drill.report.repeat import summary_lines
from colonnade.drill.scenario import Scenario
from colonnade.drill.scenario_file import DEFAULT, SUFFIX, find_scenario, shipped_names
from colonnade.drill.verdict import judge
from colonnade.spec.load import load_spec

app = typer.Typer(invoke_without_command=True)


@dataclass(frozen=True, slots=True)
class _Wishes:
    """What is wanted of every run."""

    file: Path
    out: Path
    seed: int
    allow_external_database: bool


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
    repeat: RepeatOption = 1,
    seed: SeedOption = None,
    rate: RateOption = None,
    out_dir: OutOption = None,
    allow_external_database: Annotated[
        bool, typer.Option("--allow-external-database", help="Drill although database.url is somebody else's")
    ] = False,
) -> None:
    """Run scenarios: the default one, those named, or all."""
    if is_all and names:
        raise SpecError("--all and names are one too many", hint="`colonnade drill run --all`, or names alone")
    chosen = shipped_names() if is_all else names or [DEFAULT]
    first = first_seed(seed)
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
    print_run(Run(record, judge(record), Path(what)))


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
    path = declaration_at(file)
    return _Wishes(path, reports_at(out_dir, path), seed, allow_external_database)


def scenario_at(name: str, typed_per_s: float | None, declared_per_s: float | None) -> Scenario:
    """A scenario with its rate: as typed, else as [drill] has it (for scenarios whose author could not know the
    application), else its own."""
    is_ours = name in shipped_names()
    return at_rate(find_scenario(name, FAULTS), typed_per_s or (declared_per_s if is_ours else None))


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
        out.print("\n".join(map(escape, summary_lines([report_of(run.directory) for run in runs]))))
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
                run_id=new_run_id(),
                command=command,
                out=wishes.out / directory_now(scenario.name, seed),
                allow_external_database=wishes.allow_external_database,
                state=disk if _fills_disk(scenario) else None,
            )
            which = f" ({number} of {len(planned)})" if len(planned) > 1 else ""
            out.print(f"[bold]drill {escape(scenario.name)}[/] seed {seed}{which}: {escape(scenario.title)}")
            clock = SystemClock()
            found = carry_out(Director(order, clock), order, clock, otherwise="nothing is left")
            if found is None:
                break
            runs.append(found)
            if found.record.is_interrupted:
                break
    return runs


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


def _print_comparison(before: Path, after: Path) -> None:
    out.print("\n".join(map(escape, comparison_lines(compare(report_of(before), report_of(after))))))
