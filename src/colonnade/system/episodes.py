"""From single events to what happened: those that belong together are one episode, with its causes and its end. Pure.

An episode opens with a cause (a replica exited, a primary died) and lasts until its subject is well again, or gone.
Kinds of events that nobody told this module about are causes by their own message, so that a new one is never lost.
`explanation.py` puts episodes into sentences.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from colonnade.core.events import Event
from colonnade.database.telling import FAILOVERS_BEGIN

REPLICA = re.compile(r"([a-z][a-z0-9-]*)/([1-9]\d*)")
"""`backend/3`, as events name it."""

TRIGGER_AGE_MAX_S = 120.0
"""A replica that starts or goes later than this after somebody asked for it was hardly meant: a heavy application
takes a minute to start, and drains take seconds."""


class Role(Enum):
    """What an event is in the story of its subject."""

    CAUSE = "cause"
    """Begins an episode, or adds to the one that is open."""
    STEP = "step"
    """Done because of the causes; it is told by what came of it."""
    END = "end"
    """All is well again, or the subject is gone: the episode is over."""
    ASIDE = "aside"
    """True and without interest to whoever asks why."""


ROLES: Mapping[str, Role] = {
    "replica_started": Role.STEP,
    "replica_draining": Role.STEP,
    "replica_stopping": Role.STEP,
    "replica_ready": Role.END,
    "replica_reached": Role.END,
    "replica_stopped": Role.END,
    "gateway_server_up": Role.END,
    "gateway_adopted": Role.ASIDE,
    "gateway_stopped": Role.ASIDE,
    "replica_adopted": Role.ASIDE,
    "release_started": Role.ASIDE,
    "database_starting": Role.ASIDE,
    "database_stopped": Role.ASIDE,
    "system_running": Role.ASIDE,
    "ballast_refilled": Role.ASIDE,
    "history_kept": Role.ASIDE,
    "standbys_quiesced": Role.STEP,
    "sessions_ended": Role.STEP,
    "promotion_intended": Role.STEP,
    "node_promoted": Role.STEP,
    "node_started": Role.STEP,
    "node_fenced": Role.STEP,
    "node_admitted": Role.STEP,
    "rewind_started": Role.STEP,
    "clone_started": Role.STEP,
    "node_rewind_done": Role.STEP,
    "node_clone_done": Role.STEP,
    "upstream_changed": Role.STEP,
    "endpoint_opened": Role.STEP,
    "routes_published": Role.STEP,
    "failover_finished": Role.END,
    "rollout_step": Role.STEP,
    "rollout_finished": Role.END,
    "rollout_undone": Role.END,
}
"""By an event's kind; one that is not here is a cause. `database_assessed` goes by its reason, see `role_of`."""

TRIGGERS = frozenset({"service_scaled", "code_changed", "rollout_started", "replacement_started", "controller_started"})
"""Kinds after which replicas come and go because somebody asked for it."""

ROLLOUTS = ("rollout_", "replacement_")
"""Beginnings of kinds that tell, step by step, how the replicas of a service are replaced."""

ASKED_FOR = frozenset({"wanted", "not_wanted"})
"""Reasons that only say that something was asked for: what that was, the trigger tells."""


@dataclass(frozen=True, slots=True)
class Episode:
    """Events of one subject that belong together, oldest first; never empty."""

    subject: str
    events: tuple[Event, ...]
    is_over: bool
    trigger: Event | None = None
    """What had asked for it, if that is recorded."""
    is_cut: bool = False
    """The system went down before it was over."""

    @property
    def began_at_s(self) -> float:
        return self.events[0].at_s

    @property
    def causes(self) -> tuple[Event, ...]:
        return tuple(event for event in self.events if role_of(event) is Role.CAUSE)

    def last(self, kind: str) -> Event | None:
        return next((event for event in reversed(self.events) if event.kind == kind), None)


def role_of(event: Event) -> Role:
    if event.kind == "gateway_changed":
        return Role.ASIDE if event.reason == "membership_differs" else Role.CAUSE
    if event.kind == "database_assessed":
        if event.reason == "all_well":
            return Role.END
        return Role.CAUSE if event.reason in FAILOVERS_BEGIN else Role.STEP
    return ROLES.get(event.kind, Role.CAUSE)


def is_idle_talk(event: Event) -> bool:
    """Of the database: true at any time, and of interest only within an episode."""
    return event.kind == "routes_published" or (event.kind == "database_assessed" and event.reason == "all_well")


def subject_of(event: Event) -> str:
    """What the event is about. The gateway speaks of a replica with the replica's name first."""
    if event.kind.startswith(("gateway_server_", "replica_")) and not REPLICA.fullmatch(event.subject):
        found = REPLICA.match(event.message)
        return found[0] if found else event.subject
    return "database" if event.subject.startswith("database/") else event.subject


def episodes_of(events: Sequence[Event]) -> list[Episode]:
    """Everything that happened, subject by subject, ordered by its beginning."""
    threads: dict[tuple[str, bool], list[Event]] = {}
    for event in events:
        threads.setdefault((subject_of(event), event.kind.startswith(ROLLOUTS)), []).append(event)
    downs = [event.seq for event in events if is_down(event)]
    found = [episode for (subject, _), theirs in threads.items() for episode in _split(subject, theirs, downs)]
    triggers = [event for event in events if event.kind in TRIGGERS]
    return sorted((_with_trigger(each, triggers) for each in found), key=lambda episode: episode.events[0].seq)


def is_down(event: Event) -> bool:
    """Nothing that happened before goes on after it."""
    return event.kind == "system_stopping" or (event.kind == "controller_started" and event.reason == "starting")


def _split(subject: str, events: Sequence[Event], downs: Sequence[int]) -> list[Episode]:
    """The episodes of one subject. What ends nothing that is open belongs to the one before it."""
    lasts = _lasts(subject) or events[0].kind.startswith(ROLLOUTS)
    found: list[Episode] = []
    current: list[Event] = []
    for event in events:
        if current and _is_between(downs, current[-1], event):
            found.append(Episode(subject, tuple(current), is_over=True, is_cut=True))
            current = []
        role = role_of(event)
        if role is Role.ASIDE or (not current and is_idle_talk(event)):
            continue
        if role is Role.END and not current and found and not _is_between(downs, found[-1].events[-1], event):
            current = [*found.pop().events]
        current.append(event)
        if role is Role.END or not lasts:
            found.append(Episode(subject, tuple(current), is_over=True))
            current = []
    if current:
        is_cut = any(down > current[-1].seq for down in downs)
        found.append(Episode(subject, tuple(current), is_over=is_cut, is_cut=is_cut))
    return found


def _is_between(downs: Sequence[int], before: Event, after: Event) -> bool:
    return any(before.seq < down < after.seq for down in downs)


def _lasts(subject: str) -> bool:
    """Replicas and the database get well again, rollouts end; of all else each event stands for itself."""
    return subject == "database" or REPLICA.fullmatch(subject) is not None


def _with_trigger(episode: Episode, triggers: Sequence[Event]) -> Episode:
    first = episode.events[0]
    if first.reason not in ASKED_FOR:
        return episode
    about = (episode.subject.rpartition("/")[0], episode.subject, "controller")
    earlier = [event for event in triggers if event.seq < first.seq and event.subject in about]
    if not earlier or first.at_s - earlier[-1].at_s > TRIGGER_AGE_MAX_S:
        return episode
    return replace(episode, trigger=earlier[-1])
