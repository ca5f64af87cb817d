"""`colonnade plan`: how much it carries, what breaks first, what the next step needs.

Exit codes: 0 answered, 2 the question is wrong or has no answer (an objective below the service time, say), 3 this
machine refuses something.
"""

from __future__ import annotations

import dataclasses
import os
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from colonnade.cli.article import show_article
from colonnade.cli.calibration_screen import calibration_screen
from colonnade.cli.messages import out, print_json
from colonnade.cli.plan_measure import measure, remembered
from colonnade.cli.plan_question import Wishes, declaration, question_of, read_profile
from colonnade.cli.plan_screen import plan_screen, profile_screen
from colonnade.cli.plan_write import write_plan
from colonnade.core.errors import HostError, SpecError
from colonnade.drill.calibration.measure import Wishes as MeasureWishes
from colonnade.planning.answer import Answer, answer
from colonnade.planning.calibration import Calibration
from colonnade.planning.capacity import knee, with_replicas
from colonnade.planning.curves import latency_curve, size_curve
from colonnade.planning.limits import capacity
from colonnade.planning.model import Load, SystemModel
from colonnade.planning.predict import predict
from colonnade.planning.profile import Profile
from colonnade.planning.question import Question
from colonnade.planning.report import Pictured, to_html
from colonnade.planning.simulated import simulated
from colonnade.system.target import Target, find_target

app = typer.Typer(invoke_without_command=True, subcommand_metavar="")

DOTS = (0.3, 0.5, 0.7, 0.85, 0.92)
"""Shares of the plan's capacity at which the page shows what simulation says."""

DOT_REQUESTS = 10_000

RateOption = Annotated[
    str | None, typer.Option(metavar="R", help="Requests a second: 500, or 30000/min; the mean of a --shape")
]
SloOption = Annotated[
    list[str] | None, typer.Option(metavar="p99=TIME", help="The objective, or availability=99.9%; repeatable")
]
TimeOption = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=TIME", help="Service time of a part, instead of what was measured; repeatable"),
]
ScvOption = Annotated[
    list[str] | None, typer.Option(metavar="NAME=X", help="… and how it varies: variance over squared mean")
]
ShapeOption = Annotated[
    str, typer.Option(metavar="NAME", help="How the load goes: social, shop, trading, teaching, or a file")
]
TraceOption = Annotated[
    Path | None, typer.Option(metavar="LOG", help="… or as an access log says: common, combined, HAProxy, JSON")
]
SparesOption = Annotated[int | None, typer.Option(help="Replicas of each service that may be gone", min=0, max=50)]
CoresOption = Annotated[float | None, typer.Option(help="Of the machine that is planned for", min=0.1)]
MemoryOption = Annotated[str | None, typer.Option(metavar="SIZE", help="… and its memory for replicas: 8GB")]
PriceOption = Annotated[
    list[str] | None, typer.Option(metavar="NAME=X", help="core-hour or memory-gb-hour; repeatable")
]
ArticleOption = Annotated[bool, typer.Option("--article", help="The article's examples: its formulas, and what holds")]
MeasureOption = Annotated[
    bool, typer.Option("--measure", help="Calibrate on the running system: measures, predicts, measures again")
]
WritesOption = Annotated[
    bool, typer.Option("--with-writes", help="… and send the writes of the drill to it, which stay there")
]
StretchOption = Annotated[
    float | None,
    typer.Option(metavar="SECONDS", help="… for so long at each load (15, the article's 8)", min=2, max=600),
]
RoundsOption = Annotated[
    int | None,
    typer.Option(metavar="N", help="… and in so many rounds (6): more are more exact, and longer", min=1, max=100),
]
SimulateOption = Annotated[
    bool, typer.Option("--simulate/--no-simulate", help="Check the plan by simulation, too: a second or two")
]
WriteOption = Annotated[bool, typer.Option("--write", help="Put the replicas into colonnade.toml")]
HtmlOption = Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page with plots")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables")]
FileOption = Annotated[
    Path | None, typer.Option("--file", "-f", help="The declaration, or its directory. Default: ./colonnade.toml")
]
StateOption = Annotated[Path | None, typer.Option("--state-dir", help="Where the system keeps its state")]


def _check_measuring(is_measuring: bool, is_article: bool, stretch: float | None, rounds: int | None) -> None:
    """Raises SpecError where something is said of a measurement that is not made."""
    if not is_measuring and (stretch, rounds) != (None, None):
        option = "--stretch" if rounds is None else "--rounds"
        raise SpecError("is for measurements", subject=option, hint="say --measure as well, or leave it out")
    if is_article and rounds is not None:
        raise SpecError("the article's examples are measured once", subject="--rounds", hint="leave it out")


@app.callback()
def plan(
    rate: RateOption = None,
    slo: SloOption = None,
    time: TimeOption = None,
    scv: ScvOption = None,
    shape: ShapeOption = "",
    trace: TraceOption = None,
    spares: SparesOption = None,
    cores: CoresOption = None,
    memory: MemoryOption = None,
    price: PriceOption = None,
    is_article: ArticleOption = False,
    is_measuring: MeasureOption = False,
    with_writes: WritesOption = False,
    stretch: StretchOption = None,
    rounds: RoundsOption = None,
    is_simulated: SimulateOption = True,
    is_writing: WriteOption = False,
    html: HtmlOption = None,
    json: JsonOption = False,
    file: FileOption = None,
    state_dir: StateOption = None,
) -> None:
    """How much the system carries, what breaks first and at which load, and what the next step needs."""
    _check_measuring(is_measuring, is_article, stretch, rounds)
    if is_article:
        show_article(is_measuring=is_measuring, as_json=json, stretch_s=stretch)
        return
    target = find_target(file, "", state_dir)
    if is_measuring:
        so_long = MeasureWishes(with_writes=with_writes)
        if stretch is not None:
            so_long = dataclasses.replace(so_long, stretch_s=stretch)
        if rounds is not None:
            so_long = dataclasses.replace(so_long, rounds=rounds)
        found_out = measure(target, so_long, is_quiet=json)
        if rate is None and trace is None:
            _show_calibration(found_out, as_json=json)
            return
    wishes = Wishes(
        rate, slo or [], time or [], scv or [], spares, cores, memory, price or [], trace, shape, is_simulated
    )
    profile = read_profile(trace) if trace is not None else None
    if profile is not None and not json:
        _print(profile_screen(profile))
    spec = declaration(target, wishes)
    calibration = remembered(target.paths)
    question = question_of(spec, wishes, profile, calibration)
    found = answer(question)
    if html is not None:
        _write_page(html, found, question, target, calibration)
    if json:
        print_json(_as_json(found, profile))
    else:
        _print(plan_screen(found))
        if html is not None:
            out.print(f"\n  page [bold]{html}[/]")
    if is_writing:
        write_plan(found, spec, target.file)


def _print(parts: list[Any]) -> None:
    for part in parts:
        out.print(part)


def _show_calibration(calibration: Calibration, *, as_json: bool) -> None:
    if as_json:
        print_json(calibration.to_data())
    else:
        _print(calibration_screen(calibration))


def _as_json(found: Answer, profile: Profile | None) -> dict[str, Any]:
    """The answer with the names of its fields, and the recorded load beside it."""
    return {**dataclasses.asdict(found), "trace": dataclasses.asdict(profile) if profile is not None else None}


def _write_page(path: Path, found: Answer, question: Question, target: Target, calibration: Calibration | None) -> None:
    model = question.declared.model
    replicas = {each.name: each.replicas for each in found.services}
    planned = dataclasses.replace(with_replicas(model, replicas), cores=found.cores_needed)
    pictured = Pictured(
        now=latency_curve(dataclasses.replace(model, cores=question.machine.cores), question.load.scv_arrivals),
        planned=latency_curve(planned, question.load.scv_arrivals),
        sizes=size_curve(question, 2 * question.load.rate_per_s),
        knee_per_s=knee(planned),
        objective_s=question.objective.within_s if question.objective else None,
        simulated=_dots(planned, question) if question.is_simulated else (),
        calibration=calibration,
    )
    command = shlex.join(["colonnade", *sys.argv[1:]])
    try:
        path.write_text(to_html(found, pictured, title=target.directory.name, source=command), encoding="utf-8")
    except OSError as error:
        raise HostError(
            f"cannot be written: {os.strerror(error.errno or 0)}", subject=str(path), hint="give another path to --html"
        ) from error


def _dots(model: SystemModel, question: Question) -> list[tuple[float, float]]:
    """(rate, p99) of the plan by simulation, at shares of its capacity."""
    top = capacity(model)
    found = []
    for share in DOTS:
        load = Load(share * top, question.load.scv_arrivals)
        checked = simulated(model, load, mean_s=predict(model, load).mean_s, requests=DOT_REQUESTS)
        if checked is not None:
            found.append((load.rate_per_s, checked.times.p99_s))
    return found
