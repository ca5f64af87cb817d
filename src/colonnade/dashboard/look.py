"""One look at the system: what the controller said, and the samples that were made of it. Pure data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from colonnade.observe.sample import Sight


@dataclass(frozen=True, slots=True)
class Look:
    """`at_s` in seconds since the epoch; `events` are those that are new since the look before, oldest first."""

    at_s: float
    status: Mapping[str, Any]
    measurements: Mapping[str, Any]
    events: Sequence[Mapping[str, Any]]
    sight: Sight
