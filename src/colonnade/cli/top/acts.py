"""Which key does what to which part, as a question first. Pure, but for `perform`, which asks the controller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from colonnade.system.client import ControlClient

Part = Mapping[str, Any]

Kind = Literal["scale", "restart", "drain", "undrain", "switchover"]


@dataclass(frozen=True, slots=True)
class Act:
    """Something that may be done. `command` is what does the same when it is typed."""

    kind: Kind
    name: str
    question: str
    command: str
    number: int | None = None
    """Of replicas that there are, where a number is asked for."""


@dataclass(frozen=True, slots=True)
class NotHere:
    """Why a key does nothing to this part, and what it is for."""

    text: str


def scale(part: Part | None, parts: Mapping[str, Part]) -> Act | NotHere:
    service = _service_of(part, parts)
    if service is None:
        return NotHere("s scales a service: choose one, or a replica of it")
    name = service["id"]
    return Act(
        "scale", name, f"How many replicas of {name}? There are to be {service['desired']}", "", service["desired"]
    )


def restart(part: Part | None, parts: Mapping[str, Part]) -> Act | NotHere:
    if part is None or part["kind"] not in ("replica", "service"):
        return NotHere("r restarts a replica, or all of a service, one by one: choose one")
    name = part["id"]
    whom = f"all replicas of {name}, one by one" if part["kind"] == "service" else name
    question = f"Restart {whom}? Where there is room another one serves first, so no request is lost."
    return Act("restart", name, question, f"colonnade restart {name}")


def drain(part: Part | None, parts: Mapping[str, Part]) -> Act | NotHere:
    if part is None or part["kind"] != "replica":
        return NotHere("d takes a replica out of rotation, or back into it: choose one")
    name = part["id"]
    if part["health"] == "held":
        return Act("undrain", name, f"Give {name} requests again?", f"colonnade drain --undo {name}")
    question = (
        f"Drain {name}? It gets no more requests, finishes what it has, and stays to be looked at. "
        f"{part['parent']} has one less meanwhile."
    )
    return Act("drain", name, question, f"colonnade drain {name}")


def switchover(part: Part | None, parts: Mapping[str, Part]) -> Act | NotHere:
    if part is None or part["kind"] not in ("node", "database"):
        return NotHere("w makes another database node the primary: choose it, or the database")
    writers = "Writers wait for a moment; nothing is lost."
    if part["kind"] == "database":
        return Act("switchover", "", f"Make the best standby the primary? {writers}", "colonnade db switchover")
    if part["role"] == "primary":
        return NotHere(f"{part['label']} is the primary: choose the node that is to be")
    question = f"Make {part['label']} the primary? {writers}"
    return Act("switchover", part["label"], question, f"colonnade db switchover --to {part['label']}")


def perform(client: ControlClient, act: Act, number: int | None) -> str:
    """Ask for it; returns what is going to happen. Raises what the controller answers."""
    match act.kind:
        case "scale":
            client.scale(act.name, number)
            return f"{act.name} → {'by its load' if number is None else number}"
        case "restart":
            return client.restart(act.name)
        case "drain":
            return client.drain(act.name)
        case "undrain":
            return client.undrain(act.name)
        case "switchover":
            return client.switch_over(act.name)


def parse_number(text: str) -> int | NotHere | None:
    """A number of replicas; None for `auto`."""
    text = text.strip()
    if text == "auto":
        return None
    return int(text) if text.isdecimal() and len(text) < 6 else NotHere("a number, or auto: by its load")


def _service_of(part: Part | None, parts: Mapping[str, Part]) -> Part | None:
    if part is None:
        return None
    service = parts.get(part["parent"]) if part["kind"] == "replica" else part
    return service if service is not None and service["kind"] == "service" else None
