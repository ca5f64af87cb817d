"""Samples as Prometheus text, by Prometheus' own library: with the help and kind that `observe/metrics.py` declares."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import Metric as Family
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from colonnade.observe.metrics import BY_SAMPLE_NAME, METRICS
from colonnade.observe.sample import Sample

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
"""What every Prometheus reads, also one of some years ago."""


class _Once(Collector):
    """What the library asks for all that there is."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._samples = samples

    def collect(self) -> Iterator[Family]:
        families = {
            metric.name: Family(_family_name(metric.name), metric.help, metric.kind.value) for metric in METRICS
        }
        for sample in self._samples:
            # A sample that nobody declared is a mistake of ours, and KeyError says which.
            family = families[BY_SAMPLE_NAME[sample.name].name]
            family.add_sample(sample.name, dict(sample.labels), sample.value)
        return (family for family in families.values() if family.samples)


def _family_name(name: str) -> str:
    """The library adds `_total` to a counter's name itself."""
    return name.removesuffix("_total")


def exposition(samples: Iterable[Sample]) -> bytes:
    """Raises KeyError for a sample whose name is not declared."""
    return generate_latest(_Once(samples))
