"""What can be done to a live HAProxy, as values, and the commands that do it. Pure.

Each action names a pool and a slot; it is carried out at every place of the pool. All are safe to repeat.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias, assert_never

from colonnade.core.errors import Bug
from colonnade.gateway.state import DEAD_ADDRESS, Membership, Place, ServerState


@dataclass(frozen=True, slots=True)
class SetAddress:
    pool: str
    slot: int
    address: str


@dataclass(frozen=True, slots=True)
class SetState:
    pool: str
    slot: int
    state: ServerState


@dataclass(frozen=True, slots=True)
class SetWeight:
    pool: str
    slot: int
    weight: int


@dataclass(frozen=True, slots=True)
class ShutdownSessions:
    """Cut every connection that goes to this slot now."""

    pool: str
    slot: int


@dataclass(frozen=True, slots=True)
class IgnoreHealth:
    """Fail open: send to this slot whatever its checks say."""

    pool: str
    slot: int


@dataclass(frozen=True, slots=True)
class HeedHealth:
    """Go by the checks of this slot again."""

    pool: str
    slot: int


@dataclass(frozen=True, slots=True)
class Doubt:
    """Send nothing to this slot before its next check has passed."""

    pool: str
    slot: int


@dataclass(frozen=True, slots=True)
class Settle:
    """Wait a moment, so that connections just being tried have failed and try elsewhere."""

    duration_s: float


@dataclass(frozen=True, slots=True)
class Reload:
    """Start a process with new text; the old one finishes what it has."""


@dataclass(frozen=True, slots=True)
class Restart:
    """Start a process: none is running."""


SlotAction: TypeAlias = SetAddress | SetState | SetWeight | ShutdownSessions | IgnoreHealth | HeedHealth | Doubt
ProcessAction: TypeAlias = Settle | Reload | Restart
Action: TypeAlias = SlotAction | ProcessAction


def commands_for(actions: Sequence[SlotAction], membership: Membership) -> list[str]:
    """Runtime API commands, in order."""
    commands: list[str] = []
    for action in actions:
        pool = membership.pool(action.pool)
        if pool is None:
            raise Bug("an action names a pool that is not there", subject=action.pool)
        for place in pool.where():
            commands += _at_place(action, place)
    return commands


def _at_place(action: SlotAction, place: Place) -> list[str]:
    server = place.server(action.slot)
    match action:
        case SetAddress():
            host, _, port = action.address.rpartition(":")
            return [f"set server {server} addr {host.strip('[]')} port {port}"]
        case SetWeight():
            return [f"set server {server} weight {action.weight}"]
        case ShutdownSessions():
            return [f"shutdown sessions server {server}"]
        case SetState():
            return [] if place.follows else [f"set server {server} state {action.state.value}"]
        case IgnoreHealth():
            return [] if place.follows else [f"disable health {server}", f"set server {server} health up"]
        case HeedHealth():
            return [] if place.follows else [f"enable health {server}"]
        case Doubt():
            return [] if place.follows else [f"set server {server} health down"]
    assert_never(action)


def describe(actions: Sequence[Action]) -> str:
    """One sentence part for people: what happens to which slot; what goes without saying is left out."""
    said: list[str] = []
    for action in actions:
        match action:
            case SetAddress(address=address) if address == DEAD_ADDRESS:
                pass
            case SetAddress():
                said.append(f"{action.pool}/{action.slot} is at {action.address}")
            case SetState():
                said.append(f"{action.pool}/{action.slot} {action.state.value}")
            case SetWeight():
                said.append(f"{action.pool}/{action.slot} has weight {action.weight}")
            case ShutdownSessions():
                said.append(f"{action.pool}/{action.slot} cut off")
            case IgnoreHealth():
                said.append(f"{action.pool}/{action.slot} regardless of health")
            case HeedHealth():
                said.append(f"{action.pool}/{action.slot} by its health")
            case Doubt():
                said.append(f"{action.pool}/{action.slot} once its check has passed")
            case Settle():
                pass
            case Reload():
                said.append("new text")
            case Restart():
                said.append("new process")
            case _:
                assert_never(action)
    return ", ".join(said)
