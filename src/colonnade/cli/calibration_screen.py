"""How a calibration is shown in a terminal: what requests cost, and how far off predictions were. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from colonnade.cli.plan_screen import columns_of
from colonnade.planning.calibration import Calibration, Contention, RouteCost, Verified
from colonnade.planning.scalability import Interval
from colonnade.planning.words import milliseconds, number


def calibration_screen(found: Calibration) -> list[RenderableType]:
    """What was measured, and how far off the predictions were."""
    parts: list[RenderableType] = [
        "",
        f"[bold]What a request costs[/], alone on an idle machine, on {escape(found.machine)} ({found.at})",
        routes_table(found.routes),
        "",
        f"[bold]Predicted and measured[/]: the mix with {found.write_share:.0%} writes, which was not measured before",
        verified_table(found),
        "",
        f"capacity     predicted {number(found.capacity_predicted)}/s, "
        + (
            "not reached"
            if found.capacity_measured is None
            else f"measured {number(found.capacity_measured)}/s ({found.capacity_error or 0.0:+.1%})"
        ),
    ]
    if found.contention is not None:
        parts.append(contention_line(found.contention))
    if found.memory_bytes:
        sizes = ", ".join(f"{name} {size / 1e6:.0f} MB" for name, size in found.memory_bytes.items())
        parts.append(f"memory       {sizes} a replica")
    parts.append(f"background   {found.background_cores:.2f} of {found.cores} cores busy while nobody asks")
    if len(found.routes) > 1:
        parts.append(
            f"mixing       a request costs {found.mixing:.0%} more among none but other kinds than among its own"
        )
    parts.append(
        f"busy or idle a request costs {found.idle_cost:.0%} more of a core on an idle machine than on a busy one; the "
        f"cores are {found.cores_apart:.0%} of the way from one queue to a queue each"
    )
    doubts = [f"doubtful as a whole: {found.doubt}"] if found.doubt else []
    parts += [f"[yellow]![/] {escape(note)}" for note in (*doubts, *found.notes)]
    return parts


def routes_table(routes: Sequence[RouteCost]) -> Table:
    names = list(dict.fromkeys(name for route in routes for name in route.cpu_s))
    table = columns_of("route", ">alone", ">varies (scv)", *(f">{name}, cpu" for name in names), ">answers")
    for route in routes:
        cpu = [f"{route.cpu_s.get(name, 0.0) * 1000:.2f} ms" for name in names]
        table.add_row(escape(route.name), milliseconds(route.mean_s), f"{route.scv:.2f}", *cpu, str(route.count))
    return table


def verified_table(found: Calibration) -> Table:
    """Each load: measured, and of each prediction what it said and how far off it was."""
    kinds = [
        kind for kind in ("routes", "theory", "simulated") if any(_values(each, kind) for each in found.verified)
    ] or ["theory"]
    columns = [
        f">{name}{'' if kind == 'measured' else ', ' + kind}"
        for name in ("mean", "p95")
        for kind in ("measured", *kinds)
    ]
    table = columns_of(">load", ">of capacity", ">answered", *columns, "")
    for each in found.verified:
        cells = []
        for name in ("mean", "p95"):
            cells.append(milliseconds(each.measured[name]) if name in each.measured else "—")
            cells += [_predicted(each, kind, name) for kind in kinds]
        doubt = f"[yellow]{escape(each.doubt)}[/]" if each.doubt else ""
        load = f"{number(each.rate_per_s)}/s"
        table.add_row(load, f"{each.share_of_capacity:.0%}", f"{number(each.measured_rate)}/s", *cells, doubt)
    return table


def _values(each: Verified, kind: str) -> Mapping[str, float] | None:
    return {"routes": each.routes, "theory": each.theory, "simulated": each.simulated}[kind]


def _predicted(each: Verified, kind: str, name: str) -> str:
    values = _values(each, kind)
    if values is None:
        return "queues grow"
    error = each.error(kind, name)
    return milliseconds(values[name]) + ("" if error is None else f" ({error:+.0%})")


def contention_line(contention: Contention) -> str:
    def told(interval: Interval | None) -> str:
        return "?" if interval is None else f"{interval.value:.3g} [dim]({interval.low:.3g} to {interval.high:.3g})[/]"

    peak = "none" if contention.peak_users is None else f"{number(contention.peak_users)} at once"
    return (
        f"contention   σ = {told(contention.contention)}, κ = {told(contention.coherency)}, peak {peak} "
        "[dim](universal scalability law, 95 %)[/]"
    )
