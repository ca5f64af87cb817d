"""How the system stands: objectives and alerts, reckoned anew with each look. Nothing of it costs the controller
anything.

What has to outlive this process is in the history: the counters, from which the budgets are reckoned again, and the
alerts as they were told last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from colonnade.core.clock import Clock
from colonnade.core.errors import HostError
from colonnade.core.histogram import EMPTY, Histogram
from colonnade.dashboard.look import Look
from colonnade.dashboard.recorder import Recorder
from colonnade.observe.alert_rules import BY_NAME, seen
from colonnade.observe.alerts import Alert, Alerts, AlertState, Change, alerts_from_json, step
from colonnade.observe.burn_rate import Ledger
from colonnade.observe.history.increments import increments
from colonnade.observe.history.reader import HistoryReader, SeriesInfo, read_history
from colonnade.observe.objectives import (
    BAD,
    REQUESTS,
    Kept,
    Objective,
    assess,
    count_samples,
    objectives_of,
    standing_samples,
)
from colonnade.observe.sample import Sample

ASSESS_EVERY_S = 10.0
"""Between two assessments of the budgets, whose shortest window is five minutes."""

TOLD_CHANGES_MAX = 100


class _Account:
    """The ledger of one objective, and where its counters stood."""

    def __init__(self, ledger: Ledger, stood: tuple[float, float] | None) -> None:
        self.ledger = ledger
        self._stood = stood

    def count(self, at_s: float, requests: float, bad: float) -> None:
        if self._stood is not None:
            before, bad_before = self._stood
            if requests < before:  # the gateway began to count anew
                before = bad_before = 0.0
            self.ledger.add(at_s, requests - before, max(0.0, bad - bad_before))
        self._stood = requests, bad


class Standing:
    """`source` is asked with each look; `on_change` is called for each alert that came into another state."""

    def __init__(self, recorder: Recorder, clock: Clock, on_change: Callable[[Change], None]) -> None:
        self._recorder = recorder
        self._clock = clock
        self._on_change = on_change
        self._accounts: dict[Objective, _Account] = {}
        self._kept: tuple[Kept, ...] = ()
        self._assessed_at_s = float("-inf")
        self._alerts: Alerts = _told_alerts(recorder)

    @property
    def slo(self) -> list[dict[str, Any]]:
        """How each objective stands, as JSON."""
        return [kept.as_json() for kept in self._kept]

    @property
    def alerts(self) -> list[dict[str, Any]]:
        """Every alert that is pending, firing or was resolved lately, the most serious and newest first."""
        order = [AlertState.FIRING, AlertState.PENDING, AlertState.RESOLVED]
        return [
            alert.as_json()
            for alert in sorted(self._alerts.values(), key=lambda alert: (order.index(alert.state), -alert.since_s))
        ]

    def source(self, look: Look) -> Iterator[Sample]:
        own = [*self._count(look), *self._recorder.samples()]
        self._assess(look.at_s)
        own += standing_samples(self._kept)
        changes: Sequence[Change] = ()
        # What is not up yet, or is being taken down, is not wrong.
        if look.status["phase"] == "running":
            self._alerts, changes = step(self._alerts, seen(look.at_s, [*look.sight.samples, *own], self._kept))
        for change in changes:
            self._on_change(change)
        if changes:
            # Else a process that is killed now would be followed by one that tells the same once more.
            self._recorder.tell("alerts", self.alerts, is_urgent=True)
        own += [_firing(alert) for alert in self._alerts.values() if alert.state is AlertState.FIRING]
        return iter(own)

    def _count(self, look: Look) -> list[Sample]:
        found: list[Sample] = []
        services = {service["name"]: service for service in look.status.get("services", ())}
        objectives = list(objectives_of(services.values()))
        for objective in objectives:
            samples = _counts(objective, services[objective.service], look.measurements)
            account = self._accounts.get(objective)
            if account is None:
                account = self._accounts[objective] = _account_from(self._recorder, objective, look.at_s)
            account.count(look.at_s, samples[0].value, samples[1].value)
            found += samples
        if len(objectives) != len(self._accounts):
            self._accounts = {each: account for each, account in self._accounts.items() if each in objectives}
        return found

    def _assess(self, now_s: float) -> None:
        now = self._clock.monotonic()
        if now - self._assessed_at_s < ASSESS_EVERY_S:
            return
        self._assessed_at_s = now
        self._kept = tuple(assess(each, account.ledger, now_s) for each, account in self._accounts.items())
        self._recorder.tell("slo", self.slo)
        self._recorder.tell("alerts", self.alerts)


def _counts(objective: Objective, service: Mapping[str, Any], measurements: Mapping[str, Any]) -> Sequence[Sample]:
    counts = measurements.get("services", {}).get(objective.service, {}).get("latency")
    latency = Histogram(tuple(counts)) if counts is not None else EMPTY
    return count_samples(objective, service["requests"], service["errors"], latency)


def _firing(alert: Alert) -> Sample:
    severity = BY_NAME[alert.rule].severity.value
    labels = (("alert", alert.rule), ("subject", alert.subject), ("severity", severity))
    return Sample("colonnade_alert_firing", labels, 1.0)


def _told_alerts(recorder: Recorder) -> Alerts:
    """Those of the process before this one: what fires already is not told again."""
    with suppress(HostError), read_history(recorder.path) as history:
        told = history.said("alerts") if history is not None else None
        return alerts_from_json(told[1]) if told is not None else {}
    return {}  # a history that cannot be read is told by who writes it


def _account_from(recorder: Recorder, objective: Objective, now_s: float) -> _Account:
    """With what the history has of it: a month, if it is there."""
    with suppress(HostError), read_history(recorder.path) as history:
        labels = dict(objective.labels)
        if history is not None:
            series = [*history.series(REQUESTS, labels), *history.series(BAD, labels)]
            if len(series) == 2:
                return _account_of(history, (series[0], series[1]), now_s)
    return _Account(Ledger(now_s), None)


def _account_of(history: HistoryReader, series: tuple[SeriesInfo, SeriesInfo], now_s: float) -> _Account:
    requests, bad = (dict(increments(history, each, now_s)) for each in series)
    times_s = sorted(requests.keys() | bad.keys())
    ledger = Ledger(times_s[0] if times_s else now_s)
    for at_s in times_s:
        ledger.add(at_s, requests.get(at_s, 0.0), bad.get(at_s, 0.0))
    stood = [history.stood(each.name, dict(each.labels)).get(each.number) for each in series]
    if stood[0] is None or stood[1] is None:
        return _Account(ledger, None)
    return _Account(ledger, (stood[0][1], stood[1][1]))
