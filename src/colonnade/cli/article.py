"""`colonnade plan --article`: article, theory, simulation and, with --measure, reality side by side."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence

from rich.console import RenderableType
from rich.markup import escape

from colonnade.cli.messages import out, print_json
from colonnade.cli.plan_screen import columns_of
from colonnade.drill.calibration.examples import STRETCH_S, Reality, Tell, run_examples
from colonnade.planning.article import Example, examples
from colonnade.planning.article_simulated import SimulatedExample, simulated_examples


def show_article(*, is_measuring: bool, as_json: bool, stretch_s: float | None = None) -> None:
    """Print it. Measuring runs the examples for real, about a minute and a half; less with short stretches of load."""
    found, by_simulation = examples(), simulated_examples()
    measured: list[Reality] = []
    if is_measuring:
        tell: Tell = lambda text: None if as_json else out.print(f"  [dim]{escape(text)} …[/]")  # noqa: E731
        measured = asyncio.run(run_examples(tell, stretch_s or STRETCH_S))
    if as_json:
        print_json(
            {
                "article": [dataclasses.asdict(each) for each in found],
                "simulated": [dataclasses.asdict(each) for each in by_simulation],
                "measured": [dataclasses.asdict(each) for each in measured],
            }
        )
        return
    for part in article_screen(found, by_simulation, measured):
        out.print(part)


def article_screen(
    examples: Sequence[Example], simulated: Sequence[SimulatedExample], measured: Sequence[Reality]
) -> list[RenderableType]:
    """What it prints, what its formula gives, what holds, what simulation and reality show."""
    table = columns_of("the article", "its example", "what holds")
    for each in examples:
        given = f"{each.computed:,.4g} {each.unit}" if each.unit == "s" else f"{each.computed:,.6g}{each.unit}"
        slip = f"\n[yellow]{escape(each.slip)}[/]" if each.slip else ""
        shown = [f"theory: {escape(each.theory)}"]
        shown += [f"simulated: {escape(other.message)}" for other in simulated if other.name == each.name]
        shown += [f"[bold]{escape(other.message)}[/]" for other in measured if other.name.startswith(each.name)]
        table.add_row(
            f"[bold]{escape(each.formula)}[/]\n{escape(each.name)}\n[dim]{escape(each.flaw)}[/]",
            f"{escape(each.inputs)}\nit prints {escape(each.printed)}\nits formula gives {given}{slip}",
            "\n".join(shown),
        )
        table.add_section()
    return [table]
