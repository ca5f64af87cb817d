"""`colonnade plan`: how much it carries, what breaks first, what the next step needs.

Exit codes: 0 answered, 2 the question is wrong or has no answer (an objective below the service time, say).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from colonnade.cli.messages import out, print_json, print_warning
from colonnade.cli.plan_options import parse_memory, parse_prices, parse_rate, parse_slos, parse_times
from colonnade.cli.plan_screen import article_screen, plan_screen
from colonnade.core.errors import SpecError
from colonnade.core.memory import machine_memory
from colonnade.core.processor import cores_count
from colonnade.planning.answer import Machine, Question, answer
from colonnade.planning.article import examples
from colonnade.planning.capacity import Objective
from colonnade.planning.declared import PartWork, declared_model, works_of
from colonnade.planning.model import Load
from colonnade.planning.sizing import Policy
from colonnade.spec.load import load_spec
from colonnade.spec.model import ServiceSpec, Spec
from colonnade.system.launch import Target, find_target


@dataclass(frozen=True, slots=True)
class _Wishes:
    """The options, as given."""

    rate: str | None
    slo: list[str]
    time: list[str]
    scv: list[str]
    spares: int | None
    cores: float | None
    memory: str | None
    price: list[str]


def plan(
    rate: Annotated[str | None, typer.Option(metavar="R", help="Requests a second: 500, or 30000/min")] = None,
    slo: Annotated[
        list[str] | None, typer.Option(metavar="p99=TIME", help="The objective, or availability=99.9%; repeatable")
    ] = None,
    time: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=TIME", help="Service time of a part where nothing was measured; repeatable"),
    ] = None,
    scv: Annotated[
        list[str] | None, typer.Option(metavar="NAME=X", help="… and how it varies: variance over squared mean")
    ] = None,
    spares: Annotated[int | None, typer.Option(help="Replicas of each service that may be gone", min=0, max=50)] = None,
    cores: Annotated[float | None, typer.Option(help="Of the machine that is planned for", min=0.1)] = None,
    memory: Annotated[str | None, typer.Option(metavar="SIZE", help="… and its memory for replicas: 8GB")] = None,
    price: Annotated[
        list[str] | None, typer.Option(metavar="NAME=X", help="core-hour or memory-gb-hour; repeatable")
    ] = None,
    is_article: Annotated[
        bool, typer.Option("--article", help="The article's examples: its formulas, and what holds")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables")] = False,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="The declaration, or its directory. Default: ./colonnade.toml")
    ] = None,
    state_dir: Annotated[Path | None, typer.Option("--state-dir", help="Where the system keeps its state")] = None,
) -> None:
    """How much the system carries, what breaks first and at which load, and what the next step needs."""
    if is_article:
        _show_article(as_json=json)
        return
    wishes = _Wishes(rate, slo or [], time or [], scv or [], spares, cores, memory, price or [])
    question = _question(find_target(file, "", state_dir), wishes)
    found = answer(question)
    if json:
        print_json(dataclasses.asdict(found))
        return
    for part in plan_screen(found):
        out.print(part)


def _show_article(*, as_json: bool) -> None:
    if as_json:
        print_json([dataclasses.asdict(each) for each in examples()])
        return
    for part in article_screen(examples()):
        out.print(part)


def _question(target: Target, wishes: _Wishes) -> Question:
    given = parse_times(wishes.time, wishes.scv)
    spec = _spec(target, given)
    rate = parse_rate(wishes.rate) if wishes.rate is not None else spec.plan.rate_per_s
    if rate is None:
        raise SpecError("no rate to plan for", hint="`colonnade plan --rate 500 --slo p99=250ms`", subject="--rate")
    objective, availability = parse_slos(wishes.slo)
    if objective is None:
        objective = _declared_objective(spec)
    works: Mapping[str, PartWork] = {**works_of(spec), **given}
    unknown = [name for name in given if name not in spec.services and name not in ("database", "gateway")]
    if unknown:
        raise SpecError(
            f"there is no part {unknown[0]!r}", hint=f"there are {', '.join(spec.services)}", subject="--time"
        )
    return Question(
        declared=declared_model(spec, works),
        load=Load(rate),
        objective=objective,
        policy=Policy(spares=spec.plan.spares if wishes.spares is None else wishes.spares),
        machine=Machine(
            wishes.cores or cores_count(),
            parse_memory(wishes.memory) if wishes.memory is not None else machine_memory().available_bytes,
        ),
        prices=parse_prices(wishes.price, spec.plan),
        connections_max=spec.database.connections_max if spec.database is not None else 0,
        availability=availability if availability is not None else _declared_availability(spec),
    )


def _spec(target: Target, given: Mapping[str, PartWork]) -> Spec:
    """The declaration; without a file, one service for each --time, each of which calls the next."""
    if target.file is not None and target.file.exists():
        loaded = load_spec(target.file)
        for warning in loaded.warnings:
            print_warning(warning)
        return loaded.spec
    names = [name for name in given if name not in ("database", "gateway")]
    if not names:
        raise SpecError(
            "there is no such file, and no --time that says what to plan",
            subject=str(target.file),
            hint="`colonnade plan --rate 100 --slo p99=500ms --time web=20ms`",
        )
    services = {
        name: ServiceSpec.model_construct(app="", route="/" if index == 0 else "", uses=names[index + 1 : index + 2])
        for index, name in enumerate(names)
    }
    return Spec.model_construct(services=services)


def _declared_objective(spec: Spec) -> Objective | None:
    """Of the public service that promises most; a chain is as slow as all of it."""
    promised = [each.slo.p99_s for each in spec.services.values() if each.route and each.slo and each.slo.p99_s]
    within_s = min(promised, default=math.inf)
    return Objective(0.99, within_s) if math.isfinite(within_s) else None


def _declared_availability(spec: Spec) -> float | None:
    promised = [each.slo.availability for each in spec.services.values() if each.slo and each.slo.availability]
    return max(promised, default=None)
