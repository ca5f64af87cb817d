"""Reads a scenario from a TOML file, or finds one of those that come with Colonnade; or says all that is wrong with it.

The file has `title`, `steady`, `recovery`, a table `[load]`, a table `[[fault]]` for each fault, and `[rules]`.
Durations are written as in colonnade.toml ("4s"); the names of rules and of a fault's settings carry their unit.
Starts nothing. Read next: `scenario` for what comes of it, `scenarios/default.toml` for an example.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from colonnade.core.errors import SpecError
from colonnade.drill.load.arrivals import Arrivals
from colonnade.drill.load.plan import OPERATIONS_MAX
from colonnade.drill.scenario import Aim, Extent, LoadPlan, PlannedFault, Role, RuleName, Scenario
from colonnade.planning.load_shape import find_shape, shape_names
from colonnade.spec.explain import explain
from colonnade.spec.model import Model
from colonnade.spec.problem import InvalidSpec, Problem, suggestion
from colonnade.spec.read import parse_toml, read_toml
from colonnade.spec.units import Seconds

DEFAULT = "default"
SUFFIX = ".toml"

OF_A_MACHINE = "colonnade.drill"
OF_A_CLUSTER = "colonnade.drill.cluster"
"""Packages with a directory of scenarios each."""

DURATION_S_MAX = 3600.0
"""Of the load of one drill. The record of it is held in memory, and nobody watches for longer."""

FAULTS_MAX = 200
"""Of one scenario: one every 18 s in an hour, and a timeline on which each can still be seen."""


KNOWN_RULES = tuple(rule.value for rule in RuleName)

Number = Annotated[float, Field(strict=True)]
"""As written: "8" is not one."""

_USUAL = Scenario("", "", LoadPlan(), (), {})
"""What a file need not say."""


class _Load(Model):
    rate_per_s: Number = Field(default=_USUAL.load.rate_per_s, alias="rate", gt=0, le=20_000)
    write_share: Number = Field(default=_USUAL.load.write_share, ge=0, le=1)
    session_share: Number = Field(default=_USUAL.load.session_share, ge=0, le=1)
    arrivals: Arrivals = _USUAL.load.arrivals
    trace: str = _USUAL.load.trace
    """Relative to the scenario's file."""
    timeout_s: Seconds = Field(default=_USUAL.load.timeout_s, alias="timeout", gt=0, le=120)
    shape: str = _USUAL.load.shape
    """A load shape by its name; `write_share` and `session_share` are its own unless given."""


class _Fault(Model):
    kind: str
    role: Role
    extent: Extent = Extent.ONE
    service: str = ""
    towards: Role | None = None
    at_s: Seconds = Field(alias="at")
    lasts_s: Seconds = Field(default=0.0, alias="lasts")
    settings: dict[str, Number | str] = Field(default_factory=dict)


class _File(Model):
    title: str = Field(min_length=1)
    steady_s: Seconds = Field(default=_USUAL.steady_s, alias="steady", ge=1)
    recovery_s: Seconds = Field(default=_USUAL.recovery_s, alias="recovery", ge=1)
    load: _Load = _Load()
    fault: list[_Fault] = Field(default_factory=list, max_length=FAULTS_MAX)
    rules: dict[str, Number]


def shipped_names(library: str = OF_A_MACHINE) -> tuple[str, ...]:
    """The scenarios that come with Colonnade, the default one first. `library`: those of a machine, or of a cluster."""
    names = [entry.name.removesuffix(SUFFIX) for entry in _library(library).iterdir() if entry.name.endswith(SUFFIX)]
    return tuple(sorted(names, key=lambda name: (name != DEFAULT, name)))


def find_scenario(name_or_path: str, kinds: Collection[str], library: str = OF_A_MACHINE) -> Scenario:
    """A shipped scenario by its name, or one from a file; `kinds` are the faults that there are.

    Raises SpecError when there is no such scenario, InvalidSpec with everything that is wrong with it.
    """
    path = Path(name_or_path)
    if path.suffix == SUFFIX or "/" in name_or_path:
        data = read_toml(path)
        return scenario_from(data, name=path.stem, kinds=kinds, subject=str(path), directory=path.absolute().parent)
    names = shipped_names(library)
    if name_or_path not in names:
        raise SpecError(
            "there is no such scenario",
            subject=name_or_path,
            hint=f"{suggestion(name_or_path, names, what='there are')}; a file of your own ends in {SUFFIX}",
        )
    text = (_library(library) / (name_or_path + SUFFIX)).read_text(encoding="utf-8")
    subject = f"scenario {name_or_path}"
    return scenario_from(parse_toml(text, subject=subject), name=name_or_path, kinds=kinds, subject=subject)


def scenario_from(
    data: Mapping[str, Any], *, name: str, kinds: Collection[str], subject: str, directory: Path | None = None
) -> Scenario:
    """The scenario that these tables say. Raises InvalidSpec; `directory` is what a trace's path is relative to."""
    try:
        file = _File.model_validate(data, by_alias=True, by_name=False)
    except ValidationError as error:
        raise InvalidSpec(explain(error, _File), subject=subject) from None
    scenario = _scenario(file, name, directory)
    problems = [*_wrong_shape(file.load), *_wrong_rules(file), *_wrong_faults(file, kinds), *_too_much(scenario)]
    if problems:
        raise InvalidSpec(problems, subject=subject)
    return scenario


def _library(package: str) -> Any:
    return resources.files(package) / "scenarios"


def _scenario(file: _File, name: str, directory: Path | None) -> Scenario:
    load = file.load
    trace = str((directory or Path()) / load.trace) if load.trace else ""
    faults = [
        PlannedFault(
            kind=fault.kind,
            aim=Aim(fault.role, fault.extent, fault.service, fault.towards),
            at_s=fault.at_s,
            lasts_s=fault.lasts_s,
            settings=fault.settings,
        )
        for fault in file.fault
    ]
    return Scenario(
        name=name,
        title=file.title,
        load=_with_shape(
            LoadPlan(load.rate_per_s, load.write_share, load.session_share, load.arrivals, trace, load.timeout_s), load
        ),
        faults=tuple(sorted(faults, key=lambda fault: fault.at_s)),
        rules={RuleName(rule): bound for rule, bound in file.rules.items() if rule in KNOWN_RULES},
        steady_s=file.steady_s,
        recovery_s=file.recovery_s,
    )


def _with_shape(plan: LoadPlan, load: _Load) -> LoadPlan:
    """The mix of the load shape, where the file does not give its own."""
    if load.shape not in shape_names():
        return plan
    shape = find_shape(load.shape)
    return replace(
        plan,
        shape=load.shape,
        write_share=load.write_share if "write_share" in load.model_fields_set else shape.write_share,
        session_share=load.session_share if "session_share" in load.model_fields_set else shape.session_share,
    )


def _wrong_shape(load: _Load) -> Iterator[Problem]:
    if load.shape and load.shape not in shape_names():
        hint = suggestion(load.shape, shape_names(), what="there are")
        yield Problem(("load", "shape"), f'there is no load shape "{load.shape}"', hint=hint)
    if load.shape and load.trace:
        yield Problem(("load", "shape"), "and `trace` are one too many", hint="take one of them out")


def _wrong_rules(file: _File) -> Iterator[Problem]:
    if not file.rules:
        yield Problem(("rules",), "is empty, so nothing could be found wrong", hint="add lost_writes_max = 0")
    for rule, bound in file.rules.items():
        if rule not in KNOWN_RULES:
            yield Problem(("rules", rule), "is not a rule", hint=suggestion(rule, KNOWN_RULES, what="known are"))
        elif not bound >= 0:
            yield Problem(("rules", rule), f"expected 0 or more, got {bound:g}")


def _wrong_faults(file: _File, kinds: Collection[str]) -> Iterator[Problem]:
    for index, fault in enumerate(file.fault):
        key = ("fault", index)
        if fault.kind not in kinds:
            hint = suggestion(fault.kind, sorted(kinds), what="known are")
            yield Problem((*key, "kind"), f'there is no kind of fault "{fault.kind}"', hint=hint)
        if fault.at_s < file.steady_s:
            yield Problem(
                (*key, "at"),
                f"expected {file.steady_s:g} s or later, which is when the steady state was seen, got {fault.at_s:g} s",
            )


def _too_much(scenario: Scenario) -> Iterator[Problem]:
    duration_s = scenario.duration_s
    if duration_s > DURATION_S_MAX:
        yield Problem((), f"takes {duration_s:g} s, and a drill at most {DURATION_S_MAX:g} s")
    operations = duration_s * scenario.load.rate_per_s
    if operations > OPERATIONS_MAX:
        yield Problem(
            ("load", "rate"), f"makes {operations:,.0f} requests in {duration_s:g} s, over {OPERATIONS_MAX:,}"
        )
