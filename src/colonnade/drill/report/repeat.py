"""What many runs of one scenario say together: median, p95 and worst of every number, and each run that was not valid.

One lucky run proves little. Works on the reports of runs (`report.json`), so that runs of another day can be counted
in. Pure.
Read next: `compare`, for two runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from colonnade.drill.checkers.finding import Verdict, counted, worst
from colonnade.drill.load.summary import percentile
from colonnade.drill.report.json import numbers_in
from colonnade.drill.report.words import plain

LOW_IS_BAD = frozenset({"operations", "sent_rate_per_s"})
"""Of these numbers the lowest is the worst; of all others the highest."""


@dataclass(frozen=True, slots=True)
class Spread:
    """One number over the runs that have it. Observed values, by nearest rank."""

    name: str
    n: int
    median: float
    p95: float
    worst: float


@dataclass(frozen=True, slots=True)
class Repetition:
    """Many runs."""

    verdict: Verdict
    """The worst of all."""
    sentence: str
    spreads: tuple[Spread, ...]
    failures: tuple[str, ...]
    """Runs that were not valid, each with its seed and its own sentence."""


def repetition_of(reports: Sequence[Mapping[str, Any]]) -> Repetition:
    """Put the reports of several runs together."""
    verdicts = Counter(Verdict(report["verdict"]) for report in reports)
    told = ", ".join(f"{verdicts[each]} {each}" for each in Verdict if verdicts[each]) or "none"
    operations = sum(int(report["figures"].get("operations", 0)) for report in reports)
    values: dict[str, list[float]] = {}
    for report in reports:
        for name, value in numbers_in(report).items():
            values.setdefault(name, []).append(value)
    return Repetition(
        verdict=worst(verdicts),
        sentence=f"{counted(len(reports), 'run')} with {operations:,} operations in all: {told}.",
        spreads=tuple(_spread(name, sorted(theirs)) for name, theirs in values.items()),
        failures=tuple(
            f"seed {report['seed']} (run {report['run_id']}): {report['sentence']}"
            for report in reports
            if report["verdict"] != Verdict.VALID
        ),
    )


def summary_lines(reports: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Several runs: each scenario by itself, in the order of its first run, and then all in one sentence. Numbers of
    different scenarios are never put together, since one number would then mean two things."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for report in reports:
        scenario = report["scenario"]
        groups.setdefault((scenario["name"], scenario["sha256"]), []).append(report)
    for (name, _), theirs in groups.items():
        repetition = repetition_of(theirs)
        if len(theirs) > 1:
            yield from ("", name, *repetition_lines(repetition))
        else:
            yield from ("", f"{name}: {repetition.sentence}", *(f"  {failure}" for failure in repetition.failures))
    if len(groups) > 1:
        yield from ("", f"{len(groups)} scenarios, {repetition_of(reports).sentence}")


def repetition_lines(repetition: Repetition) -> Iterator[str]:
    """In plain text."""
    yield repetition.sentence
    yield from (f"  {failure}" for failure in repetition.failures)
    width = max((len(each.name) for each in repetition.spreads), default=0)
    yield f"{'':<{width}}  {'n':>3} {'median':>10} {'p95':>10} {'worst':>10}"
    for each in repetition.spreads:
        figures = " ".join(f"{plain(value):>10}" for value in (each.median, each.p95, each.worst))
        yield f"{each.name:<{width}}  {each.n:>3} {figures}"


def _spread(name: str, ascending: Sequence[float]) -> Spread:
    is_low_bad = name in LOW_IS_BAD
    p95 = percentile(ascending, 0.05 if is_low_bad else 0.95)
    return Spread(name, len(ascending), percentile(ascending, 0.5), p95, ascending[0 if is_low_bad else -1])
