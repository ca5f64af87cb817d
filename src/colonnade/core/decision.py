"""What a `decide` function returns: effects as values, with the reason for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

Action = TypeVar("Action")


@dataclass(frozen=True, slots=True)
class Decision(Generic[Action]):
    """What a controller should do now, and why.

    Actions are applied in order; each is safe to repeat. `reason` is stable and machine-readable (snake_case),
    `message` is one sentence for people with the numbers that were compared. `recheck_after_s` is None when only
    a new observation can change the answer.
    """

    actions: tuple[Action, ...]
    reason: str
    message: str
    recheck_after_s: float | None = None
