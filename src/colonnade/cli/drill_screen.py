"""How a drill is shown while it goes on, and what it came to. Pure: data in, lines and tables out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table

from colonnade.drill.checkers.finding import Verdict
from colonnade.drill.progress import FaultProgress, Phase, Progress
from colonnade.drill.record import FaultEnd
from colonnade.drill.scenario import PlannedFault, Scenario
from colonnade.drill.verdict import Judgement

COUNTS_EVERY_S = 10.0
"""Between two lines on the load, where there is no screen to write it on again and again."""

VERDICT_STYLES = {Verdict.VALID: "bold green", Verdict.INVALID: "bold red", Verdict.UNKNOWN: "bold yellow"}

SIGNS = {
    FaultEnd.DONE: "[green]✓[/]",
    FaultEnd.SKIPPED: "[dim]–[/]",
    FaultEnd.FAILED: "[bold red]✗[/]",
    FaultEnd.NOT_REACHED: "[dim]·[/]",
}


def progress_screen(name: str, progress: Progress) -> list[RenderableType]:
    """The whole drill on one screen: where it is, what was answered, each fault with what became of it."""
    parts: list[RenderableType] = [f"[bold]drill {escape(name)}[/]  {_phase(progress)}"]
    if progress.load_s >= 0:
        done_s = min(progress.load_s, progress.duration_s)
        line = Table.grid()  # a bar alone does not end its line
        line.add_row(ProgressBar(total=progress.duration_s, completed=done_s, width=60))
        parts += [line, _counts(progress), ""]
    table = Table(box=None, pad_edge=False, show_header=False)
    for fault in progress.faults:
        table.add_row(*_fault_row(fault))
    parts += [table, "", "[dim]Ctrl-C heals, and still writes the report[/]"]
    return parts


def _phase(progress: Progress) -> str:
    text = f"[dim]it is[/] {progress.phase.value}"
    if progress.load_s >= 0:
        text += f" [dim]{min(progress.load_s, progress.duration_s):.0f} of {progress.duration_s:.0f} s[/]"
    return text + (" [bold yellow]interrupted: healing and writing the report[/]" if progress.is_interrupted else "")


def _counts(progress: Progress) -> str:
    counts = progress.counts
    style = "green" if not counts.failed and not counts.unknown else "yellow"
    text = f"[{style}]{counts.ended:,} requests, {counts.failed} failed, {counts.unknown} of unknown fate[/]"
    sample = progress.sample
    if sample is None or sample.is_whole:
        return text + "  [dim]everything is whole[/]"
    missing = "; ".join(sample.problems) or "the controller does not answer"
    return f"{text}  [yellow]{escape(missing)}[/]"


def _fault_row(fault: FaultProgress) -> tuple[str, str, str]:
    record = fault.record
    if fault.is_under_way and record.planned.lasts_s:
        return "[bold yellow]![/]", f"[bold]{fault_name(record.planned)}[/]", escape(record.message)
    is_over = record.end is not FaultEnd.NOT_REACHED
    message = escape(record.message) if is_over else f"[dim]at {record.planned.at_s:g} s[/]"
    return SIGNS[record.end], fault_name(record.planned), message


def fault_name(planned: PlannedFault) -> str:
    """`kill the primary`, `delay standby → primary`: kind, whom, and how many."""
    aim = planned.aim
    of = f" of {aim.service}" if aim.service else ""
    if aim.towards is not None:  # then the extent is about ways
        count = {"one": "", "some": "some of ", "all": "all of "}[aim.extent.value]
        return escape(f"{planned.kind} {count}{aim.role}{of} → {aim.towards}")
    whom = {"one": aim.role.value, "some": f"some {aim.role}s", "all": f"all {aim.role}s"}[aim.extent.value]
    return escape(f"{planned.kind} {whom}{of}")


def progress_lines(before: Progress | None, now: Progress) -> Iterator[str]:
    """What has changed, for output that is a file or a pipe."""
    at = f"{now.load_s:6.1f} s  " if now.load_s >= 0 else " " * 10
    if before is None or now.phase is not before.phase:
        yield f"{at}{now.phase.value}"
    for number, fault in enumerate(now.faults):
        earlier = before.faults[number] if before is not None and before.faults else None
        if fault.record.end is not FaultEnd.NOT_REACHED and (earlier is None or earlier.record.end != fault.record.end):
            yield f"{at}{SIGNS[fault.record.end]} {fault_name(fault.record.planned)}: {escape(fault.record.message)}"
    if now.is_interrupted and not (before is not None and before.is_interrupted):
        yield f"{at}interrupted: healing and writing the report"
    steps = [int(progress.load_s // COUNTS_EVERY_S) for progress in (before, now) if progress is not None]
    if now.phase in (Phase.STEADY, Phase.BREAKING) and steps[-1] > 0 and steps[0] != steps[-1]:
        yield at + _counts(now)


def judgement_lines(judgement: Judgement) -> Iterator[str]:
    """The verdict first; then each rule, what was skipped, and what keeps it from being trusted."""
    yield f"[{VERDICT_STYLES[judgement.verdict]}]{judgement.verdict.value}[/]  {escape(judgement.sentence)}"
    for finding in judgement.findings:
        yield f"  {_sign(finding.verdict)} {escape(finding.message)}"
        if finding.verdict is Verdict.INVALID:
            yield from (f"      [dim]{escape(line)}[/]" for line in finding.evidence)
    yield from (f"  [yellow]?[/] {escape(doubt)}" for doubt in judgement.doubts)
    yield from (f"  [dim]– skipped: {escape(line)}[/]" for line in judgement.skipped)


def _sign(verdict: Verdict) -> str:
    return {Verdict.VALID: "[green]✓[/]", Verdict.INVALID: "[bold red]✗[/]", Verdict.UNKNOWN: "[yellow]?[/]"}[verdict]


def scenario_table(scenarios: Sequence[Scenario]) -> Table:
    """What there is to run."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("scenario", "faults", "load", "what it is to show"):
        table.add_column(column, no_wrap=column != "what it is to show")
    for scenario in scenarios:
        load = f"{scenario.duration_s:.0f} s of {scenario.load.rate_per_s:g}/s"
        table.add_row(f"[bold]{scenario.name}[/]", str(len(scenario.faults)), load, escape(scenario.title))
    return table


def scenario_lines(scenario: Scenario) -> Iterator[str]:
    """What is going to happen, in order, and by which rules it will be judged."""
    load = scenario.load
    yield f"[bold]{escape(scenario.name)}[/]  {escape(scenario.title)}"
    yield (
        f"  load {scenario.duration_s:.0f} s of {load.rate_per_s:g} requests/s ({load.arrivals}), "
        f"{load.write_share:.0%} writes, {load.session_share:.0%} by visitors who look for what they wrote"
    )
    for fault in scenario.faults:
        lasts = f" for {fault.lasts_s:g} s" if fault.lasts_s else ""
        settings = "".join(f", {name} {value}" for name, value in fault.settings.items())
        yield f"  {fault.at_s:6g} s  {fault_name(fault)}{lasts}{escape(settings)}"
    yield from (f"  [dim]{rule} {bound:g}[/]" for rule, bound in scenario.rules.items())
