"""Objectives: what a service promised, what was kept of it, and what is left of the error budget. Pure.

An objective is a share of requests that must be good: answered and not with a status from 500 (`availability`), or
begun within the declared time (`latency`; of `p99` that share is 99 %). The error budget of a window is the share that
may be bad, of the requests that there were in it (Beyer et al., Site Reliability Workbook, 2018, chapter 2).
`burn_rate.py` says how fast it goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from colonnade.core.histogram import Histogram
from colonnade.observe.burn_rate import ALARMS, DAY_S, Alarm, Ledger, Spent, burn_rate
from colonnade.observe.sample import Labels, Sample

BUDGET_WINDOW_S = 30 * DAY_S
"""Error budgets are of the last 30 days, or of as much of them as the history has."""

AVAILABILITY, LATENCY = "availability", "latency"

LATENCY_TARGET = 0.99
"""What `p99` means."""

REQUESTS, BAD, TARGET = (
    "colonnade_slo_requests_total",
    "colonnade_slo_bad_requests_total",
    "colonnade_slo_target_ratio",
)
BUDGET_LEFT = "colonnade_slo_error_budget_remaining_ratio"
BUDGET_AGE = "colonnade_slo_error_budget_window_seconds"
BURN_RATE = "colonnade_slo_burn_rate"


@dataclass(frozen=True, slots=True)
class Objective:
    """`target` is the share of requests that must be good; `limit_s` the time that counts as good for latency."""

    service: str
    kind: str
    target: float
    limit_s: float | None = None

    @property
    def name(self) -> str:
        """`availability`, or `latency_250ms`: with another limit it is another objective, whose counts begin anew."""
        return self.kind if self.limit_s is None else f"{self.kind}_{self.limit_s * 1000:g}ms"

    @property
    def labels(self) -> Labels:
        return ("service", self.service), ("objective", self.name)

    @property
    def sentence(self) -> str:
        share = f"{self.target * 100:.6g} %"
        if self.limit_s is not None:
            return f"{share} of the answers begin within {self.limit_s * 1000:g} ms"
        return f"{share} of the requests are answered, and not with a server error"


@dataclass(frozen=True, slots=True)
class Kept:
    """How an objective stands at one moment. `window_s` is what was asked for, `covered_s` what there is of it."""

    objective: Objective
    window_s: float
    covered_s: float
    requests: float
    bad: float
    burn_rates: Mapping[str, Mapping[str, Spent]]
    """By alarm, what its long and its short window spent."""

    @property
    def budget(self) -> float:
        """Requests that may be bad in the window."""
        return (1 - self.objective.target) * self.requests

    @property
    def budget_left(self) -> float | None:
        """Share of the budget that is left; negative when more is spent than there was; None without any request."""
        return 1 - self.bad / self.budget if self.budget > 0 else None

    def rate(self, spent: Spent) -> float | None:
        return burn_rate(spent, self.objective.target)

    def as_json(self) -> dict[str, Any]:
        """For `slo --json`, `status --json` and the dashboard: keys are a promise."""
        good = 1 - self.bad / self.requests if self.requests else None
        return {
            "service": self.objective.service,
            "objective": self.objective.name,
            "sentence": self.objective.sentence,
            "target": self.objective.target,
            "limit_s": self.objective.limit_s,
            "window_s": self.window_s,
            "covered_s": self.covered_s,
            "requests": self.requests,
            "bad": self.bad,
            "good_ratio": good,
            "budget_requests": self.budget,
            "budget_left_ratio": self.budget_left,
            "burn_rates": {
                alarm.name: {"long": self.rate(spent["long"]), "short": self.rate(spent["short"])}
                for alarm in ALARMS
                if (spent := self.burn_rates[alarm.name])
            },
        }


def objectives_of(services: Iterable[Mapping[str, Any]]) -> Iterator[Objective]:
    """From the services of `status`, each with its `slo` as declared."""
    for service in services:
        slo = service.get("slo") or {}
        if slo.get("availability") is not None:
            yield Objective(service["name"], AVAILABILITY, slo["availability"])
        if slo.get("p99_s") is not None:
            yield Objective(service["name"], LATENCY, LATENCY_TARGET, slo["p99_s"])


def count_samples(objective: Objective, requests: float, errors: float, latency: Histogram) -> list[Sample]:
    """What the gateway counted since it began, as the counters of this objective: all, and the bad ones."""
    if objective.limit_s is None:
        total, bad = requests, errors
    else:
        total, bad = float(latency.total()), latency.count_above(objective.limit_s)
    labels = objective.labels
    return [Sample(REQUESTS, labels, total), Sample(BAD, labels, bad), Sample(TARGET, labels, objective.target)]


def assess(objective: Objective, ledger: Ledger, now_s: float) -> Kept:
    """How it stands now, from what is in the ledger."""
    whole = ledger.spent(now_s, BUDGET_WINDOW_S)
    rates = {alarm.name: _windows(alarm, ledger, now_s) for alarm in ALARMS}
    return Kept(objective, BUDGET_WINDOW_S, whole.covered_s, whole.requests, whole.bad, rates)


def _windows(alarm: Alarm, ledger: Ledger, now_s: float) -> dict[str, Spent]:
    return {"long": ledger.spent(now_s, alarm.long_s), "short": ledger.spent(now_s, alarm.short_s)}


def standing_samples(kept: Sequence[Kept]) -> Iterator[Sample]:
    """What is left of each budget and how fast it goes, for Prometheus, the page and the history."""
    for each in kept:
        labels = each.objective.labels
        yield Sample(BUDGET_AGE, labels, each.covered_s)
        if each.budget_left is not None:
            yield Sample(BUDGET_LEFT, labels, each.budget_left)
        for alarm in ALARMS:
            rate = each.rate(each.burn_rates[alarm.name]["long"])
            if rate is not None:
                yield Sample(BURN_RATE, (*labels, ("window", alarm.long_text)), rate)
