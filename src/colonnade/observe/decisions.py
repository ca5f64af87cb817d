"""How often what happened, by its reason: the events, counted. Keeps the counts; reads no clock and asks nobody."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from colonnade.observe.sample import Sample

SERIES_MAX = 500
"""Of part, kind and reason, which are words of our own and few; whatever comes beyond is counted as `other`."""

OTHER = ("other", "other", "other")


class DecisionCounts:
    """Counts from the first event that it is given on."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str, str]] = Counter()

    def add(self, events: Iterable[Mapping[str, Any]]) -> None:
        for event in events:
            # "backend/3" is a replica of backend: its number would be one more dimension.
            key = (str(event["subject"]).partition("/")[0], str(event["kind"]), str(event["reason"]))
            self._counts[key if key in self._counts or len(self._counts) < SERIES_MAX else OTHER] += 1

    def samples(self) -> Iterator[Sample]:
        for (part, kind, reason), count in self._counts.items():
            labels = (("part", part), ("kind", kind), ("reason", reason))
            yield Sample("colonnade_decisions_total", labels, float(count))
