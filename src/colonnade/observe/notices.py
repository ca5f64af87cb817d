"""What is said to whom by webhook, and when a message that did not arrive is tried again. Pure; `dashboard/notify.py`
sends.

A webhook is an address that gets a POST with JSON for each message: `generic` has the alert or the event as it is,
`slack` what Slack's incoming webhooks understand, and those of Mattermost and others who took the format over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal
from urllib.parse import urlsplit

from colonnade.observe.alerts import Alert, AlertState, Change

Format = Literal["generic", "slack"]
About = Literal["alerts", "decisions"]

WAITING_MAX = 100
"""Messages that wait for one webhook; the oldest go first."""

ATTEMPTS_MAX = 8
"""With the delays below, about ten minutes. An alert that is older is of no use to who was not told."""

DELAY_FIRST_S = 1.0
DELAY_MAX_S = 300.0

SENTENCE_MAX = 2_000
"""Characters. Slack shows no more than 40,000, and nobody reads so many."""

DECISIONS = frozenset(
    {
        "service_scaled",
        "rollout_started",
        "rollout_finished",
        "rollout_undone",
        "deployment_started",
        "deployment_done",
        "deployment_undone",
        "deployment_refused",
        "deployment_failed",
        "deployment_not_undone",
        "failover_finished",
        "replacement_started",
        "controller_started",
        "system_running",
        "system_stopping",
        "backup_finished",
        "backup_failed",
        "verification_failed",
    }
)
"""Kinds of events that webhooks for decisions are told: what one would tell a colleague, not each step of it. A
switchover ends as a failover does."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """Whom to tell. The address is a secret: whoever has it may write."""

    url: str = field(repr=False)
    format: Format
    about: frozenset[About]

    @property
    def name(self) -> str:
        """What may be shown of it: the host."""
        return urlsplit(self.url).hostname or "webhook"


@dataclass(frozen=True, slots=True)
class Message:
    """One thing to say. `at_s` in seconds since the epoch."""

    about: About
    at_s: float
    title: str
    sentence: str
    detail: Mapping[str, Any]


def of_change(change: Change) -> Message | None:
    """None for what only concerns who looks: pending, forgotten."""
    if change.new is None or not change.is_news:
        return None
    return of_alert(change.new)


def of_alert(alert: Alert) -> Message:
    told = alert.as_json()
    word = "resolved" if alert.state is AlertState.RESOLVED else alert.state.value
    title = f"{word}: {told['summary']} ({told['severity']})"
    return Message("alerts", alert.since_s, title, alert.sentence, told)


def of_event(event: Mapping[str, Any]) -> Message | None:
    """None for events that are no decision one would tell."""
    if event["kind"] not in DECISIONS:
        return None
    title = f"{event['kind'].replace('_', ' ')}: {event['subject']}"
    detail = {key: event[key] for key in ("seq", "at_s", "kind", "subject", "reason", "message")}
    return Message("decisions", event["at_s"], title, event["message"], detail)


def body_of(message: Message, form: Format, system: str) -> dict[str, Any]:
    """The JSON of a message."""
    sentence = message.sentence[:SENTENCE_MAX]
    if form == "slack":
        # A text that comes from an application may hold what Slack takes for a link or a call to everybody.
        return {"text": f"*{_plain(system)}* {_plain(message.title)}\n{_plain(sentence)}"}
    kind = "alert" if message.about == "alerts" else "event"
    return {
        "version": 1,
        "system": system,
        "about": message.about,
        "at_s": message.at_s,
        "title": message.title,
        "message": sentence,
        kind: dict(message.detail),
    }


def _plain(text: str) -> str:
    """Slack's control characters as it asks for: &, < and >."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a message after an attempt."""

    is_delivered: bool
    retry_after_s: float | None
    """None: not again."""
    trouble: str = ""


def judge(status: int | None, attempt: int, asked_to_wait_s: float | None, random: Random) -> Verdict:
    """After attempt number `attempt` (from 1) was answered with this status; None: not at all.

    Waits double and are spread evenly over their second half, so that many senders do not come back together. A
    redirect is not followed: it would carry what is said to somebody else. What the receiver refuses (4xx) it refuses
    again, but for 408, 425 and 429.
    """
    if status is not None and 200 <= status < 300:
        return Verdict(is_delivered=True, retry_after_s=None)
    trouble = "no answer" if status is None else f"answered {status}"
    if status is not None and 300 <= status < 400:
        return Verdict(is_delivered=False, retry_after_s=None, trouble=f"{trouble}: redirects are not followed")
    if status is not None and 400 <= status < 500 and status not in (408, 425, 429):
        return Verdict(is_delivered=False, retry_after_s=None, trouble=trouble)
    if attempt >= ATTEMPTS_MAX:
        return Verdict(is_delivered=False, retry_after_s=None, trouble=f"{trouble}, {attempt} times")
    delay_s = min(DELAY_MAX_S, DELAY_FIRST_S * 2 ** (attempt - 1)) * random.uniform(0.5, 1.0)
    if asked_to_wait_s is not None:
        delay_s = min(DELAY_MAX_S, max(delay_s, asked_to_wait_s))
    return Verdict(is_delivered=False, retry_after_s=delay_s, trouble=trouble)
