"""The life of an alert as a table, and one step of it. Pure.

A rule that holds for a subject is pending until it has held long enough, then it fires; it is resolved when it has not
held for a while, so that something that flickers is told once. What nobody could look at (the controller does not
answer) is not a step: an alert neither fires nor is resolved by not being seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import Enum
from math import isfinite
from typing import Any

from colonnade.core.transitions import edge
from colonnade.observe.alert_rules import BY_NAME, RULES, AlertRule, Finding, Seen

RESOLVED_AFTER_S = 30.0
"""A firing alert that does not hold for so long is resolved. Chosen by feel: longer than a restart."""

REMEMBERED_S = 3600.0
"""Resolved alerts are shown for an hour."""

ALERTS_MAX = 500
"""Of all rules together; more subjects than this are left out."""


TEXT_MAX = 2_000
"""Characters of a subject or a sentence that is read back: ours are shorter."""


class AlertState(Enum):
    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"


S = AlertState

TRANSITIONS: Mapping[tuple[AlertState | None, AlertState | None], str] = {
    (None, S.PENDING): "it holds, and not for long enough yet",
    (None, S.FIRING): "it holds, and the rule asks for no longer",
    (S.PENDING, None): "it was over before anybody had to know",
    (S.PENDING, S.FIRING): "it has held long enough: tell somebody",
    (S.FIRING, S.RESOLVED): "it has not held for a while: tell that it is over",
    (S.RESOLVED, S.PENDING): "it holds again",
    (S.RESOLVED, S.FIRING): "it holds again, and the rule asks for no longer",
    (S.RESOLVED, None): "over for an hour: forgotten",
}
"""None is inactive: nothing is known of it."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One rule about one subject. Times in seconds since the epoch."""

    rule: str
    subject: str
    state: AlertState
    since_s: float
    """When it came into this state."""
    sentence: str
    """With the numbers of when it last held."""
    value: float
    held_at_s: float
    """When it held last."""

    @property
    def key(self) -> tuple[str, str]:
        return self.rule, self.subject

    def as_json(self) -> dict[str, Any]:
        """Keys are a promise: the page, `status --json` and webhooks have them."""
        rule = BY_NAME[self.rule]
        return {
            **asdict(self),
            "state": self.state.value,
            "severity": rule.severity.value,
            "summary": rule.summary,
            "runbook": rule.anchor,
        }


def alerts_from_json(value: object) -> Alerts:
    """Those that were written as a list of alerts, ALERTS_MAX at most; what is none is passed over."""
    given = value if isinstance(value, list) else []
    found = [alert_from_json(each) for each in given[:ALERTS_MAX]]
    return {alert.key: alert for alert in found if alert is not None}


def alert_from_json(value: object) -> Alert | None:
    """None for one of a rule that there is no more, and for what is no alert: the file is the application's to write
    where it runs as the same user, and who shows the system must not end at what is in it."""
    if not isinstance(value, Mapping):
        return None
    try:
        rule, subject, sentence = (_text(value[key]) for key in ("rule", "subject", "sentence"))
        numbers = [float(value[key]) for key in ("since_s", "value", "held_at_s")]
        state = AlertState(value["state"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    # Neither JSON nor a browser knows infinity.
    if rule not in BY_NAME or not all(map(isfinite, numbers)):
        return None
    since_s, number, held_at_s = numbers
    return Alert(rule, subject, state, since_s, sentence, number, held_at_s)


def _text(value: object) -> str:
    """Bounded, and without halves of characters, which no answer could carry."""
    return str(value)[:TEXT_MAX].encode(errors="replace").decode()


@dataclass(frozen=True, slots=True)
class Change:
    """An alert that came into another state. `new` is None when it is forgotten, `old` when there was none."""

    old: Alert | None
    new: Alert | None

    @property
    def is_news(self) -> bool:
        """Worth telling to somebody who does not look: it fires, or is over."""
        return self.new is not None and self.new.state in (S.FIRING, S.RESOLVED)


Alerts = Mapping[tuple[str, str], Alert]


def step(alerts: Alerts, seen: Seen, rules: Sequence[AlertRule] = RULES) -> tuple[Alerts, tuple[Change, ...]]:
    """All alerts after this was seen, and those that came into another state, in the order of the rules."""
    after: dict[tuple[str, str], Alert] = {}
    changes: list[Change] = []
    for rule in rules:
        found = {finding.subject: finding for finding in rule.find(seen)}
        known = {alert.subject: alert for alert in alerts.values() if alert.rule == rule.name}
        for subject in [*known, *(each for each in found if each not in known)]:
            old = known.get(subject)
            new = _next(rule, old, found.get(subject), seen.at_s)
            if new is not None and (old is not None or len(after) < ALERTS_MAX):
                after[new.key] = new
            elif old is None:
                continue
            if (old.state if old else None) is not (new.state if new else None):
                edge(TRANSITIONS, old.state if old else None, new.state if new else None, subject=rule.name)
                changes.append(Change(old, new))
    return after, tuple(changes)


def _next(rule: AlertRule, old: Alert | None, finding: Finding | None, now_s: float) -> Alert | None:
    if finding is None:
        return _not_holding(old, now_s)
    sentence = rule.say(finding)
    if old is None or old.state is S.RESOLVED:
        state = S.PENDING if rule.for_s > 0 else S.FIRING
        return Alert(rule.name, finding.subject, state, now_s, sentence, finding.value, now_s)
    if old.state is S.PENDING and now_s - old.since_s >= rule.for_s:
        return Alert(rule.name, finding.subject, S.FIRING, now_s, sentence, finding.value, now_s)
    return replace(old, sentence=sentence, value=finding.value, held_at_s=now_s)


def _not_holding(old: Alert | None, now_s: float) -> Alert | None:
    match old.state if old else None:
        case S.FIRING:
            assert old is not None
            is_over = now_s - old.held_at_s >= RESOLVED_AFTER_S
            return replace(old, state=S.RESOLVED, since_s=now_s) if is_over else old
        case S.RESOLVED:
            assert old is not None
            return old if now_s - old.since_s < REMEMBERED_S else None
        case _:
            return None
