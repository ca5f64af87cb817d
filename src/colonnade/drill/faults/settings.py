"""Settings of a planned fault: numbers and words by name, each with a default, none unknown.

Read next: `registry`.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite

from colonnade.core.errors import SpecError
from colonnade.drill.scenario import PlannedFault


def numbers(planned: PlannedFault, **defaults: float) -> dict[str, float]:
    """All settings as numbers, 0 or more. Raises SpecError for one that this kind of fault does not know."""
    found = {**defaults, **known(planned, defaults)}
    for name, value in found.items():
        if not isinstance(value, int | float) or not isfinite(value) or value < 0:
            raise refusal(planned, f"{name} must be a number of 0 or more, got {value!r}")
    return {name: float(value) for name, value in found.items()}


def known(planned: PlannedFault, defaults: Mapping[str, float | str]) -> Mapping[str, float | str]:
    """The settings as they are. Raises SpecError for one without a default."""
    unknown = sorted(planned.settings.keys() - defaults.keys())
    if unknown:
        knows = ", ".join(sorted(defaults)) or "none"
        raise refusal(planned, f"{unknown[0]!r} is no setting of it; it knows {knows}")
    return planned.settings


def refusal(planned: PlannedFault, problem: str) -> SpecError:
    return SpecError(problem, subject=f"fault {planned.kind}", hint="correct the scenario; `colonnade drill show NAME`")
