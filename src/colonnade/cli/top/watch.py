"""Asks the controller once a second, and says in which way it does not answer when it does not."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from colonnade.core.clock import Clock
from colonnade.core.errors import DriverError
from colonnade.core.processes import marked_processes
from colonnade.dashboard.web.looks import Look
from colonnade.system.client import ControlClient, NotRunning
from colonnade.system.paths import StatePaths

LOOK_EVERY_S = 1.0

EVENTS_MAX = 500
"""Remembered; the newest are shown."""


class Contact(Enum):
    ANSWERS = "answers"
    AWAY = "away"
    """Nobody answers, and something of the system runs: a next controller is on its way."""
    DOWN = "down"
    """Nobody answers and nothing runs."""


@dataclass(frozen=True, slots=True)
class Sight:
    """`look.status` is None unless the contact is ANSWERS; `look.at_s` is wall time."""

    contact: Contact
    look: Look


class Watch:
    """One look at a time, from one thread at a time."""

    def __init__(self, paths: StatePaths, clock: Clock) -> None:
        self._paths = paths
        self._clock = clock
        self._events: deque[Mapping[str, Any]] = deque(maxlen=EVENTS_MAX)

    def look(self) -> Sight:
        """Blocks until the controller has answered, or ten seconds."""
        seen = self._events[-1]["seq"] if self._events else 0
        status: Mapping[str, Any] | None = None
        contact = Contact.ANSWERS
        with ControlClient(self._paths) as client:
            try:
                status = client.status()
                self._events.extend(client.events(after_seq=seen))
            except DriverError:  # it ends in the middle of an answer, or refuses one while it comes or goes
                contact = Contact.AWAY
            except NotRunning:
                contact = Contact.AWAY if marked_processes(self._paths.mark) else Contact.DOWN
        shown = status if contact is Contact.ANSWERS else None
        return Sight(contact, Look(self._clock.wall(), shown, tuple(self._events)))


SILENCE_TOLD_FROM_S = 2.5
"""A look takes milliseconds, on a busy machine some hundred: longer than this it is no accident."""


def contact_sentence(contact: Contact, silent_s: float, where: str) -> str:
    """What is to be told about the contact itself; empty when there is nothing. `silent_s` is since the last answer."""
    match contact:
        case Contact.DOWN:
            return (
                f"The system is down: nothing of {where} runs. `colonnade up` starts it, and this screen shows it then."
            )
        case Contact.AWAY:
            return (
                f"The controller is restarting (no answer for {silent_s:.0f} s). What serves goes on serving; "
                "the figures are from before."
            )
        case Contact.ANSWERS if silent_s >= SILENCE_TOLD_FROM_S:
            return f"The controller has not answered for {silent_s:.0f} s. What serves goes on serving."
        case Contact.ANSWERS:
            return ""
