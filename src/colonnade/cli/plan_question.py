"""From the options of `colonnade plan`, the declaration, and the machine to a question that can be answered.

Reads files and the machine; reckons nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from colonnade.cli.messages import print_warning
from colonnade.cli.plan_options import parse_memory, parse_prices, parse_rate, parse_slos, parse_times
from colonnade.core.errors import SpecError
from colonnade.core.memory import machine_memory
from colonnade.core.processor import cores_allowed
from colonnade.planning.by_routes import times_of
from colonnade.planning.calibration import Calibration, Mix, costs_at, measured_mix, measured_model, mixing_in
from colonnade.planning.capacity import Objective
from colonnade.planning.declared import Declared, PartWork, declared_model, works_of
from colonnade.planning.errors import Unstable
from colonnade.planning.load_shape import LoadShape, find_shape, shape_from
from colonnade.planning.model import Load
from colonnade.planning.profile import Profile, profile_of
from colonnade.planning.question import Machine, Question
from colonnade.planning.sizing import Policy
from colonnade.spec.check_plan import GATEWAY
from colonnade.spec.derive import DATABASE
from colonnade.spec.load import load_spec
from colonnade.spec.model import ServiceSpec, Spec
from colonnade.spec.read import read_toml
from colonnade.system.target import Target

PEAK_WINDOW_S = 60
"""A recorded load is planned for its busiest minute: shorter peaks are for queues and spares."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """The options, as given."""

    rate: str | None = None
    slo: list[str] = field(default_factory=list)
    time: list[str] = field(default_factory=list)
    scv: list[str] = field(default_factory=list)
    spares: int | None = None
    cores: float | None = None
    memory: str | None = None
    price: list[str] = field(default_factory=list)
    trace: Path | None = None
    shape: str = ""
    is_simulated: bool = True


@dataclass(frozen=True, slots=True)
class Course:
    """How the load goes up and down: from a shape, a recording, or not at all."""

    rate_peak: float
    rate_mean: float
    relative: tuple[float, ...] = ()
    period_s: float = 0.0
    scv_arrivals: float = 1.0
    assumptions: tuple[str, ...] = ()


def read_profile(path: Path) -> Profile:
    """What a log says. Raises SpecError for one that cannot be read, or says no times."""
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            return profile_of(lines, subject=str(path))
    except OSError as error:
        raise SpecError(
            f"cannot be read: {(error.strerror or str(error)).lower()}",
            subject=str(path),
            hint="give the path of an access log",
        ) from error


def declaration(target: Target, wishes: Wishes) -> Spec:
    """The declaration; without a file, one service for each --time, each of which calls the next."""
    if target.file is not None and target.file.exists():
        loaded = load_spec(target.file)
        for warning in loaded.warnings:
            print_warning(warning)
        return loaded.spec
    given = parse_times(wishes.time, wishes.scv)
    names = [name for name in given if name not in (DATABASE, GATEWAY)]
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


def question_of(
    spec: Spec, wishes: Wishes, profile: Profile | None, calibration: Calibration | None = None
) -> Question:
    """What is asked. Raises SpecError for what is wrong or missing."""
    given = parse_times(wishes.time, wishes.scv)
    unknown = [name for name in given if name not in spec.services and name not in (DATABASE, GATEWAY)]
    if unknown:
        raise SpecError(
            f"there is no part {unknown[0]!r}", hint=f"there are {', '.join(spec.services)}", subject="--time"
        )
    shape = _shape(wishes.shape) if wishes.shape else None
    course = _course(spec, wishes, shape, profile)
    objective, availability = parse_slos(wishes.slo)
    declared = _declared(spec, given, shape, calibration, course.rate_peak)
    return Question(
        declared=replace(declared, assumptions=(*declared.assumptions, *course.assumptions)),
        load=Load(course.rate_peak, course.scv_arrivals),
        objective=objective or _declared_objective(spec) or (shape.objective if shape else None),
        policy=Policy(spares=spec.plan.spares if wishes.spares is None else wishes.spares),
        machine=Machine(
            wishes.cores or cores_allowed(),
            parse_memory(wishes.memory) if wishes.memory is not None else machine_memory().available_bytes,
        ),
        prices=parse_prices(wishes.price, spec.plan),
        connections_max=spec.database.connections_max if spec.database is not None else 0,
        availability=availability or _declared_availability(spec) or (shape.availability if shape else None),
        is_simulated=wishes.is_simulated,
        relative=course.relative,
        period_s=course.period_s,
        rate_mean=course.rate_mean,
    )


def _declared(
    spec: Spec, given: Mapping[str, PartWork], shape: LoadShape | None, calibration: Calibration | None, rate: float
) -> Declared:
    """By what was measured, unless times are given, and else by what is declared."""
    if given or calibration is None:
        return declared_model(spec, {**works_of(spec), **given})
    write_share = shape.write_share if shape is not None else calibration.write_share
    mix = Mix.of(calibration.routes, write_share)
    # As they cost at full load: what a plan is for is what the machine carries.
    dearer = mixing_in(calibration.routes, mix, calibration.mixing)
    costs = costs_at(calibration.routes, calibration.idle_cost, 1.0, dearer)
    found = measured_model(
        spec, costs, mix, cores=math.inf, replicas={}, visitors=False, cores_apart=calibration.cores_apart
    )
    writes = math.fsum(mix.shares[each.name] for each in calibration.routes if each.kind == "write")
    told = [f"service times as measured on {calibration.at} ({calibration.machine}), {writes:.0%} writes"]
    if calibration.doubt:
        told.append(f"that measurement is doubtful: {calibration.doubt}")
    if (error := calibration.capacity_error) is not None:
        told.append(f"the capacity that was predicted then was {error:+.0%} off what was measured")
    told += _as_it_ran(calibration, mix, rate)
    return replace(found, memory_bytes=calibration.memory_bytes, assumptions=tuple(told))


def _as_it_ran(calibration: Calibration, mix: Mix, rate: float) -> list[str]:
    """What the routes say of the rate: nearer than the model of its parts, and of nothing but the system as it ran."""
    parts = measured_mix(calibration.routes, mix, calibration.mixing)
    if not parts:
        return []
    try:
        times_s = times_of(parts, rate)
    except Unstable as error:
        return [f"as it ran then, load generator beside it: {error.message}"]
    figures = ", ".join(f"{name} {times_s[name] * 1000:.3g} ms" for name in ("mean", "p95", "p99"))
    return [f"as it ran then, load generator beside it, {rate:.4g}/s take: {figures}"]


def _course(spec: Spec, wishes: Wishes, shape: LoadShape | None, profile: Profile | None) -> Course:
    if shape is not None and profile is not None:
        raise SpecError("--shape and --trace are one too many", hint="take one of them out", subject="--shape")
    rate = parse_rate(wishes.rate) if wishes.rate is not None else spec.plan.rate_per_s
    if profile is not None:
        return _course_of_log(profile, rate if wishes.rate is not None else None)
    if rate is None:
        raise SpecError("no rate to plan for", hint="`colonnade plan --rate 500 --slo p99=250ms`", subject="--rate")
    if shape is None:
        return Course(rate, rate)
    told = (
        f"the load goes up and down as of {shape.name}: {rate:g}/s on average, {shape.peak:.3g} times that at its peak"
    )
    return Course(rate * shape.peak, rate, shape.relative(), shape.period_s, shape.scv_arrivals, (told,))


def _course_of_log(profile: Profile, rate: float | None) -> Course:
    """`rate` None: as much as was recorded; otherwise so much on average."""
    window_s = max((each for each in profile.rate_max if each <= PEAK_WINDOW_S), default=1)
    times = 1.0 if rate is None else rate / profile.rate_mean
    peak = profile.rate_max[window_s] * times
    told = (
        f"planned for the busiest {window_s} s of the recording ({peak:.4g}/s; {profile.rate_mean * times:.4g}/s on "
        "average)"
    )
    return Course(peak, profile.rate_mean * times, profile.shape, profile.duration_s, profile.scv_arrivals, (told,))


def _shape(name: str) -> LoadShape:
    """A shipped one by its name, or a file of one's own."""
    if "/" not in name and not name.endswith(".toml"):
        return find_shape(name)
    path = Path(name)
    return shape_from(read_toml(path), name=path.stem, subject=name)


def _declared_objective(spec: Spec) -> Objective | None:
    """Of the public service that promises most; a chain is as slow as all of it."""
    promised = [each.slo.p99_s for each in spec.services.values() if each.route and each.slo and each.slo.p99_s]
    within_s = min(promised, default=math.inf)
    return Objective(0.99, within_s) if math.isfinite(within_s) else None


def _declared_availability(spec: Spec) -> float | None:
    promised = [each.slo.availability for each in spec.services.values() if each.slo and each.slo.availability]
    return max(promised, default=None)
