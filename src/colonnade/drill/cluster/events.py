"""A cluster's events as ours, for the report: who was killed, started, scaled, and when. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from colonnade.core.events import Event
from colonnade.drill.cluster.api import Object


def events_of(found: Iterable[Object]) -> tuple[Event, ...]:
    """In the order of time. Events of which the cluster does not say when are left out."""
    told = [(at_s, each) for each in found if (at_s := _at_s(each)) is not None]
    ordered = sorted(told, key=lambda pair: pair[0])
    return tuple(_event(number, at_s, each) for number, (at_s, each) in enumerate(ordered, 1))


def _event(seq: int, at_s: float, found: Object) -> Event:
    about = found.get("involvedObject") or {}
    kind = f"{str(about.get('kind', 'object')).lower()}_{_snake(str(found.get('reason') or 'told'))}"
    return Event(seq, at_s, kind, str(about.get("name", "")), _snake(found.get("reason") or ""), _sentence(found))


def _sentence(found: Object) -> str:
    count = found.get("count") or 1
    return f"{found.get('message', '')}{f' ({count} times)' if count > 1 else ''}"


def _snake(name: str) -> str:
    """`FailedScheduling` → `failed_scheduling`."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


def _at_s(found: Object) -> float | None:
    text = found.get("eventTime") or found.get("lastTimestamp") or found["metadata"].get("creationTimestamp")
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return None
