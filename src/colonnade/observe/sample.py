"""One number that was seen, and all that were seen at one moment. Pure data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

Labels = tuple[tuple[str, str], ...]
"""Names and values, in the order of the metric's declaration (`metrics.py`)."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A value under the name that Prometheus has for it: of a histogram `<metric>_bucket` with the label `le` last,
    `<metric>_sum` and `<metric>_count`."""

    name: str
    labels: Labels
    value: float

    def label(self, name: str) -> str:
        """The value of one label; empty where there is none of that name, as for Prometheus."""
        return next((value for key, value in self.labels if key == name), "")


@dataclass(frozen=True, slots=True)
class Sight:
    """All samples of one moment; `at_s` in seconds since the epoch. Of each name and labels there is one."""

    at_s: float
    samples: tuple[Sample, ...]

    def of(self, name: str) -> Iterator[Sample]:
        return (sample for sample in self.samples if sample.name == name)
