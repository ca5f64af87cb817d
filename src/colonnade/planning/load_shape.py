"""Load shapes: how the load of a kind of site goes up and down, its mix, and what its visitors expect. As data.

The files are in `shapes/`, each with its sources; a file of one's own has the same form. `plan` sizes for a shape's
peak, a drill runs through it in minutes. Reads the files that are shipped with it, and judges nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError

from colonnade.core.errors import SpecError
from colonnade.planning.capacity import Objective
from colonnade.spec.explain import explain
from colonnade.spec.model import Model, SloSpec
from colonnade.spec.problem import InvalidSpec, Problem, suggestion
from colonnade.spec.read import parse_toml
from colonnade.spec.units import Seconds, parse_duration_s

SUFFIX = ".toml"

SLICES = 1_440
"""Of a period, for its mean and its peak: a minute of a day."""


@dataclass(frozen=True, slots=True)
class Burst:
    """From `at_s` on the rate rises to `times` itself within `rise_s`, stays for `lasts_s`, and falls in `falls_s`."""

    at_s: float
    rise_s: float
    lasts_s: float
    falls_s: float
    times: float

    def factor(self, at_s: float) -> float:
        """By which the rate is multiplied at this moment of the period."""
        since_s = at_s - self.at_s
        if since_s < 0 or since_s >= self.rise_s + self.lasts_s + self.falls_s:
            return 1.0
        if since_s < self.rise_s:
            return 1 + (self.times - 1) * since_s / self.rise_s
        left_s = self.rise_s + self.lasts_s + self.falls_s - since_s
        return self.times if left_s >= self.falls_s else 1 + (self.times - 1) * left_s / self.falls_s


@dataclass(frozen=True, slots=True)
class Source:
    """Where a number comes from; an empty `work` says that it was chosen by feel."""

    says: str
    work: str


@dataclass(frozen=True, slots=True)
class LoadShape:
    """A kind of load. Rates are relative: only their ratios count."""

    name: str
    title: str
    period_s: float
    points: tuple[tuple[float, float], ...]
    """(moment, rate), ascending from 0 to the period."""
    bursts: tuple[Burst, ...]
    write_share: float
    session_share: float
    scv_arrivals: float
    objective: Objective | None
    availability: float | None
    sources: tuple[Source, ...]

    def rate(self, at_s: float) -> float:
        """The relative rate at a moment of the period."""
        at_s %= self.period_s
        base = self.points[-1][1]
        for (one_s, one), (other_s, other) in zip(self.points, self.points[1:], strict=False):
            if one_s <= at_s <= other_s:
                base = other if other_s == one_s else one + (other - one) * (at_s - one_s) / (other_s - one_s)
                break
        return base * math.prod(burst.factor(at_s) for burst in self.bursts)

    def relative(self, slices: int = SLICES) -> tuple[float, ...]:
        """The mean rate of each of so many equal parts of the period, 1.0 on average: what a drill's load follows."""
        fine = max(1, math.ceil(SLICES / slices))
        width_s = self.period_s / (slices * fine)
        rates = [self.rate((index + 0.5) * width_s) for index in range(slices * fine)]
        whole = math.fsum(rates) / len(rates)
        return tuple(math.fsum(rates[at : at + fine]) / fine / whole for at in range(0, len(rates), fine))

    @property
    def peak(self) -> float:
        """The highest of SLICES parts, as times the mean."""
        return max(self.relative())


def _parse_moment(value: object) -> object:
    """ "9h30m" and the like: hours, minutes and seconds after each other, or one duration."""
    if isinstance(value, str) and (match := re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", value)) and value:
        hours, minutes, seconds = (int(each or 0) for each in match.groups())
        return float(hours * 3600 + minutes * 60 + seconds)
    return parse_duration_s(value)


Moment = Annotated[float, BeforeValidator(_parse_moment)]
Rate = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Burst(Model):
    at_s: Moment = Field(alias="at")
    rise_s: Seconds = Field(alias="rise")
    lasts_s: Seconds = Field(alias="lasts")
    falls_s: Seconds = Field(alias="falls")
    times: float = Field(gt=0, le=1000)


class _Source(Model):
    says: str
    work: str = ""


class _File(Model):
    title: str = Field(min_length=1)
    period_s: Seconds = Field(alias="period", gt=0)
    write_share: float = Field(ge=0, le=1)
    session_share: float = Field(default=0.0, ge=0, le=1)
    scv_arrivals: float = Field(default=1.0, ge=0, le=1000)
    objective: SloSpec = SloSpec()
    points: list[tuple[Moment, Rate]] = Field(min_length=2, max_length=10_000)
    burst: list[_Burst] = Field(default_factory=list, max_length=1_000)
    source: list[_Source] = Field(default_factory=list)


def shape_names() -> tuple[str, ...]:
    """The shapes that come with Colonnade."""
    return tuple(
        sorted(entry.name.removesuffix(SUFFIX) for entry in _library().iterdir() if entry.name.endswith(SUFFIX))
    )


def find_shape(name: str) -> LoadShape:
    """A shipped shape by its name. Raises SpecError when there is none."""
    if name not in shape_names():
        raise SpecError(
            "there is no such load shape", subject=name, hint=suggestion(name, shape_names(), what="there are")
        )
    text = (_library() / (name + SUFFIX)).read_text(encoding="utf-8")
    return shape_from(parse_toml(text, subject=f"load shape {name}"), name=name, subject=f"load shape {name}")


def shape_from(data: Mapping[str, Any], *, name: str, subject: str) -> LoadShape:
    """The shape that these tables say. Raises InvalidSpec with everything that is wrong with it."""
    try:
        file = _File.model_validate(data, by_alias=True, by_name=False)
    except ValidationError as error:
        raise InvalidSpec(explain(error, _File), subject=subject) from None
    problems = _wrong_points(file)
    if problems:
        raise InvalidSpec(problems, subject=subject)
    slo = file.objective
    return LoadShape(
        name=name,
        title=file.title,
        period_s=file.period_s,
        points=tuple(file.points),
        bursts=tuple(Burst(each.at_s, each.rise_s, each.lasts_s, each.falls_s, each.times) for each in file.burst),
        write_share=file.write_share,
        session_share=file.session_share,
        scv_arrivals=file.scv_arrivals,
        objective=None if slo.p99_s is None else Objective(0.99, slo.p99_s),
        availability=slo.availability,
        sources=tuple(Source(each.says, each.work) for each in file.source),
    )


def _wrong_points(file: _File) -> list[Problem]:
    moments = [at_s for at_s, _ in file.points]
    if moments != sorted(moments) or moments[0] != 0 or moments[-1] != file.period_s:
        return [Problem(("points",), f"expected moments that ascend from 0 to the period of {file.period_s:g} s")]
    if max(rate for _, rate in file.points) <= 0:
        return [Problem(("points",), "expected a rate above 0 somewhere")]
    return []


def _library() -> Any:
    return resources.files("colonnade.planning.shapes")
