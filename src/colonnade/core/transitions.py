"""State machines are tables from (old, new) to what the edge means; this is the one way to ask such a table."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TypeVar

from colonnade.core.errors import Bug

State = TypeVar("State", bound=Enum | None)
Meaning = TypeVar("Meaning")


class IllegalTransition(Bug):
    """An edge that is not in the table."""


def edge(table: Mapping[tuple[State, State], Meaning], old: State, new: State, *, subject: str) -> Meaning:
    """What it means that `subject` goes from `old` to `new`; None is "not there". Raises IllegalTransition."""
    try:
        return table[old, new]
    except KeyError:
        raise IllegalTransition(f"no way from {_name(old)} to {_name(new)}", subject=subject) from None


def _name(state: Enum | None) -> str:
    return "absent" if state is None else str(state.value)
