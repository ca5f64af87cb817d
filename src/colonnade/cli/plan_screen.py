"""How a plan is shown in a terminal. Pure: an answer in, lines and tables out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from colonnade.planning.answer import Answer, Failure, ServicePlan
from colonnade.planning.limits import Limit
from colonnade.planning.over_time import Day
from colonnade.planning.profile import Profile
from colonnade.planning.simulated import Simulated
from colonnade.planning.steps import Step, Times
from colonnade.planning.words import duration, limit_name, milliseconds, number, times_text

LIMITS_SHOWN = 6

BLOCKS_MAX = 72
"""Bars in a line: they fit into any terminal."""


def plan_screen(answer: Answer) -> list[RenderableType]:
    """The whole answer, the verdict first."""
    parts: list[RenderableType] = [*_headline(answer), "", services_table(answer.services)]
    parts += ["", *_needs(answer)]
    parts += ["", "[bold]What runs out first[/], as declared and as planned", limits_table(answer)]
    if answer.failures:
        parts += ["", "[bold]When something is gone[/], with the plan", failures_table(answer.failures, answer)]
    parts += [
        "",
        "[bold]To carry more[/], from what is declared on this machine",
        steps_table(answer.steps, answer),
    ]
    if answer.day is not None:
        parts += ["", *day_lines(answer.day)]
    if answer.one_machine is not None:
        parts += ["", f"[bold]This machine[/]: {escape(answer.one_machine.message)}"]
    if answer.cluster is not None:
        parts.append(f"[bold]A cluster[/] for {answer.rate_per_s:.4g}/s: {escape(answer.cluster.message)}")
    if answer.budget is not None:
        budget = answer.budget
        parts.append(
            f"[bold]Error budget[/]: {budget.objective:.4%} leaves {duration(budget.budget_s)} in 30 days; a failover "
            f"of the database takes {duration(budget.failover_s)} of writes, so {budget.failovers:.0f} fit"
        )
    parts += [f"[yellow]![/] {escape(warning)}" for warning in answer.warnings]
    parts += [f"[dim]assumed: {escape(each)}[/]" for each in answer.assumptions]
    return parts


def _headline(answer: Answer) -> Iterator[str]:
    rate, objective = number(answer.rate_per_s), escape(answer.objective)
    wanted = f"[bold]{rate}/s[/] with [bold]{objective}[/]"
    if answer.now_problem:
        yield f"[bold red]✗[/] what is declared does not carry {wanted}: {escape(answer.now_problem)}"
    else:
        yield f"[bold green]✓[/] what is declared carries {wanted} on this machine: {times_text(answer.now)}"
    counts = ", ".join(f"{each.name} {each.replicas}" for each in answer.services)
    yield f"  the plan: [bold]{counts}[/] on {cores_text(answer.cores_needed)}: {times_text(answer.planned)}"
    if answer.simulated is not None:
        yield f"  simulated: {simulated_text(answer.planned, answer.simulated)}"


def services_table(services: Sequence[ServicePlan]) -> Table:
    table = columns_of(
        "service", ">now", ">needed", ">with spares", ">places busy", ">utilization", ">cores", ">memory"
    )
    for each in services:
        change = f"[bold]{each.replicas}[/]" if each.replicas != each.replicas_now else str(each.replicas)
        table.add_row(
            f"[bold]{escape(each.name)}[/]",
            str(each.replicas_now),
            str(each.replicas_needed),
            change,
            f"{each.places_busy:.3g} of {each.replicas * each.threads}",
            f"{each.utilization:.0%}, {each.utilization_without_spares:.0%} without spares",
            f"{each.cores_busy:.2f}",
            "—" if each.memory_bytes is None else f"{each.memory_bytes / 1e6:.0f} MB",
        )
    return table


def _needs(answer: Answer) -> Iterator[str]:
    style = "green" if answer.cores_needed <= answer.cores_have else "bold red"
    yield (
        f"cores        [{style}]{answer.cores_needed}[/] ({answer.cores_busy:.2f} busy), this machine has "
        f"{answer.cores_have:g}"
    )
    if answer.memory_needed_bytes is not None:
        style = "green" if answer.memory_needed_bytes <= answer.memory_have_bytes else "bold red"
        yield (
            f"memory       [{style}]{answer.memory_needed_bytes / 1e6:.0f} MB[/] for replicas, "
            f"{answer.memory_have_bytes / 1e6:.0f} MB are there"
        )
    yield f"connections  {answer.in_flight_mean:.3g} requests at once on average"
    if answer.database_connections_max:
        yield (
            f"             database: {answer.database_busy_mean:.3g} busy on average, pools up to "
            f"{answer.database_pools} of {answer.database_connections_max}"
        )
    if answer.binding is not None:
        yield f"binding      [bold]{escape(limit_name(answer.binding))}[/]: {escape(answer.binding.message)}"
    if answer.cost_month is not None:
        yield f"cost         {answer.cost_month:,.2f} a month"


def limits_table(answer: Answer) -> Table:
    table = columns_of("as declared", ">at", "as planned", ">at")
    one, other = answer.now_limits[:LIMITS_SHOWN], answer.planned_limits[:LIMITS_SHOWN]
    for index in range(max(len(one), len(other))):
        table.add_row(*_limit_cells(one, index), *_limit_cells(other, index))
    return table


def _limit_cells(limits: Sequence[Limit], index: int) -> tuple[str, str]:
    if index >= len(limits):
        return "", ""
    limit = limits[index]
    return escape(limit_name(limit)), f"{number(limit.rate_per_s)}/s"


def failures_table(failures: Sequence[Failure], answer: Answer) -> Table:
    table = columns_of("", ">carries", f">p99 at {number(answer.rate_per_s)}/s")
    for each in failures:
        table.add_row(escape(each.what), f"{number(each.rate_per_s)}/s", _p99(each.times))
    return table


def steps_table(steps: Sequence[Step], answer: Answer) -> Table:
    has_cost = any(each.cost_month is not None for each in steps)
    columns = ["", "", ">carries", f">p99 at {number(answer.rate_per_s)}/s", "then breaks first"]
    table = columns_of(*columns, *([">a month"] if has_cost else []))
    for each in steps:
        p99 = "queues grow" if each.p99_s is None else milliseconds(each.p99_s)
        cost = "—" if each.cost_month is None else f"{each.cost_month:,.2f}"
        row = [
            escape(each.what),
            f"[dim]{each.kind}[/]",
            f"{number(each.rate_per_s)}/s",
            p99,
            escape(each.breaks_first),
        ]
        table.add_row(*row, *([cost] if has_cost else []))
    return table


def day_lines(day: Day) -> Iterator[str]:
    """The period in two lines of blocks: the rate, and the replicas that follow it."""
    rates = [each.rate_per_s for each in day.slices]
    counts = [float(sum(each.replicas.values())) for each in day.slices]
    yield (
        f"[bold]Over {duration(day.period_s)}[/] {number(min(rates))} to {number(day.rate_peak)}/s, "
        f"{number(day.rate_mean)}/s on average"
    )
    yield f"  rate      [cyan]{blocks(rates)}[/]"
    yield f"  replicas  [cyan]{blocks(counts)}[/]  {min(counts):.0f} to {max(counts):.0f}"
    yield (
        f"  replica-hours: {number(day.following_replica_hours)} when they follow the load, "
        f"{number(day.peak_replica_hours)} for the peak all the time ({day.saved_share:.0%} less)"
    )


def blocks(values: Sequence[float]) -> str:
    """A line of bars, at most BLOCKS_MAX of them, the highest full."""
    group = -(-len(values) // BLOCKS_MAX)
    highest = [max(values[at : at + group]) for at in range(0, len(values), group)]
    top = max(highest) or 1.0
    return "".join("▁▂▃▄▅▆▇█"[min(7, int(each / top * 7.999))] for each in highest)


def profile_screen(profile: Profile) -> list[RenderableType]:
    """What a log says of its load."""
    peaks = ", ".join(f"{number(rate)}/s over {duration(window)}" for window, rate in profile.rate_max.items())
    parts: list[RenderableType] = [
        f"[bold]{profile.requests:,} requests[/] in {duration(profile.duration_s)}: {number(profile.rate_mean)}/s on "
        f"average; busiest {peaks}",
        f"  [cyan]{blocks(profile.shape)}[/]",
        f"  burstiness {profile.scv_arrivals:.2g} (1 is chance alone)"
        + ("" if profile.write_share is None else f", {profile.write_share:.1%} writes")
        + ("" if profile.failed_share is None else f", {profile.failed_share:.2%} failed"),
    ]
    if profile.response_s is not None:
        p50, p95, p99 = map(milliseconds, profile.response_s)
        parts.append(
            f"  visitors waited {p50} (p50), {p95} (p95), {p99} (p99): response times, waiting included; a plan needs "
            "the service times"
        )
    if profile.routes:
        parts.append("  " + ", ".join(f"{escape(path)} {share:.0%}" for path, share in profile.routes[:5]))
    return [*parts, ""]


def simulated_text(theory: Times, found: Simulated) -> str:
    """What simulation says, how certain it is, and how far off the formulas are."""
    mean_off = theory.mean_s / found.times.mean_s - 1
    p99_off = theory.p99_s / found.times.p99_s - 1
    text = (
        f"mean {milliseconds(found.times.mean_s)} ± {milliseconds(found.mean_half_width_s)}, "
        f"p99 {milliseconds(found.times.p99_s)} ± {milliseconds(found.p99_half_width_s)} "
        f"[dim](the formulas are {mean_off:+.0%} and {p99_off:+.0%} off)[/]"
    )
    if found.lost_share > 0:
        text += f", {found.lost_share:.2%} without an answer"
    return text + ("" if found.is_settled else " [yellow]the run was too short to be sure[/]")


def cores_text(cores: int) -> str:
    return "one core" if cores == 1 else f"{cores} cores"


def _p99(times: Times | None) -> str:
    return "queues grow" if times is None else milliseconds(times.p99_s)


def columns_of(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in columns:
        table.add_column(name.removeprefix(">"), justify="right" if name.startswith(">") else "left")
    return table
