"""What changed between two runs: verdict, rules, and every number that moved by more than runs do by themselves.

Works on two `report.json`. Pure, and never says which is better on account of one number: two runs are two samples.
Read next: `repeat`, for distributions; `earlier`, for where reports come from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from colonnade.drill.report.json import numbers_in
from colonnade.drill.report.words import moment, plain

CHANGED_SHARE_MIN = 0.2
"""A number that moved by less is not told. Latencies of two equal runs differ by a tenth on a quiet machine."""


SEED = "seed"


@dataclass(frozen=True, slots=True)
class Change:
    """One number before and after; None where a run does not have it."""

    name: str
    before: float | None
    after: float | None

    @property
    def share(self) -> float | None:
        """By which part of itself it moved."""
        if self.before is None or self.after is None or self.before == 0:
            return None
        return self.after / self.before - 1


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs."""

    before: str
    """The first of them: its seed, and when it began."""
    verdicts: str
    sentence: str
    """The verdicts, and how much moved."""
    settings: tuple[str, ...]
    """What was not the same to begin with: then numbers may differ because of that."""
    rules: tuple[str, ...]
    """Rules whose verdict is another now."""
    changes: tuple[Change, ...]
    """The largest first; then numbers that only one run has."""
    unchanged: int


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> Comparison:
    """Compare two reports."""
    old, new = numbers_in(before), numbers_in(after)
    all_changes = [Change(name, old.get(name), new.get(name)) for name in dict.fromkeys([*old, *new])]
    changes = [each for each in all_changes if _is_told(each)]
    changes.sort(key=lambda each: -abs(each.share) if each.share is not None else 0.0)
    verdicts = f"{before['verdict']} before, {after['verdict']} after"
    if before["verdict"] == after["verdict"]:
        verdicts = f"{after['verdict']} both times"
    return Comparison(
        before=f"seed {before['seed']}, {moment(before['began_at_s'])}",
        verdicts=verdicts,
        sentence=f"{verdicts}; {len(changes)} of {len(all_changes)} numbers moved by {CHANGED_SHARE_MIN:.0%} or more.",
        settings=tuple(f"{name}: {told}" for name, told in _settings(before, after).items()),
        rules=tuple(_rules(before, after)),
        changes=tuple(changes),
        unchanged=len(all_changes) - len(changes),
    )


def is_like(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether nothing but the seed was another: then the two are samples of the same, and may be counted together."""
    return _settings(before, after).keys() <= {SEED}


def comparison_lines(comparison: Comparison) -> Iterator[str]:
    """In plain text."""
    yield comparison.sentence
    yield from (f"  not the same: {each}" for each in comparison.settings)
    yield from (f"  {each}" for each in comparison.rules)
    width = max((len(each.name) for each in comparison.changes), default=0)
    for each in comparison.changes:
        share = f"{each.share:+.0%}" if each.share is not None else ""
        yield f"{each.name:<{width}}  {_told(each.before):>10} → {_told(each.after):>10}  {share}".rstrip()


def since_lines(comparison: Comparison) -> Iterator[str]:
    """In short, for the end of a run: no single numbers, of which half are others with another seed, nor the seed."""
    yield f"since the run before it ({comparison.before}): {comparison.verdicts}"
    yield from (f"  not the same: {each}" for each in comparison.settings if not each.startswith(f"{SEED}: "))
    yield from (f"  {each}" for each in comparison.rules)


def _is_told(change: Change) -> bool:
    if change.before == change.after:
        return False
    return change.share is None or abs(change.share) >= CHANGED_SHARE_MIN


def _settings(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, str]:
    """What was not the same, by its name."""
    named: dict[str, Callable[[Mapping[str, Any]], object]] = {
        "scenario": lambda report: report["scenario"]["name"],
        "its load, faults or rules": lambda report: str(report["scenario"].get("sha256"))[:12],
        "application": lambda report: report["application"],
        "declaration": lambda report: report["declaration_sha256"][:12],
        "machine": lambda report: f"{report['machine']['cores']} cores, {report['machine']['processor']}",
        "root": lambda report: report["machine"]["is_root"],
        SEED: lambda report: report["seed"],
    }
    values = {name: (of(before), of(after)) for name, of in named.items()}
    for name in dict.fromkeys([*before["versions"], *after["versions"]]):
        values[f"version of {name}"] = before["versions"].get(name), after["versions"].get(name)
    return {name: f"{old} and {new}" for name, (old, new) in values.items() if old != new}


def _rules(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    old = {each["rule"]: each for each in before["findings"]}
    new = {each["rule"]: each for each in after["findings"]}
    for rule in dict.fromkeys([*old, *new]):
        verdicts = [those[rule]["verdict"] if rule in those else "not asked" for those in (old, new)]
        if verdicts[0] != verdicts[1]:
            message = new[rule]["message"] if rule in new else old[rule]["message"]
            yield f"{rule}: {verdicts[0]} → {verdicts[1]}: {message}"


def _told(value: float | None) -> str:
    return "—" if value is None else plain(value)
