"""Hours in which a service has more replicas than its least. Local time is passed in: nothing here reads a clock."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from colonnade.scaling.limits import Bound
from colonnade.spec.model import ScheduleEntry

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def scheduled_floor(entries: Iterable[ScheduleEntry], local: datetime) -> Bound | None:
    """The highest `min` among the entries that `local` falls into; None when it falls into none."""
    holding = [entry for entry in entries if is_within(entry, local)]
    if not holding:
        return None
    entry = max(holding, key=lambda each: each.min)
    hours = f"{entry.days} {entry.from_time}–{entry.to_time}"
    return Bound(entry.min, "schedule", f"the schedule of {hours} asks for {entry.min}")


def is_within(entry: ScheduleEntry, local: datetime) -> bool:
    """From `from` on, until just before `to`; an entry that ends before it begins ends on the next day, and its days
    are those on which it begins."""
    time = f"{local:%H:%M}"
    if entry.from_time < entry.to_time:
        return _has_day(entry.days, local) and entry.from_time <= time < entry.to_time
    if time >= entry.from_time:
        return _has_day(entry.days, local)
    return time < entry.to_time and _has_day(entry.days, local - timedelta(days=1))


def _has_day(days: str, local: datetime) -> bool:
    """`fri-mon` goes over the end of the week."""
    first, _, last = days.partition("-")
    begin, end = DAYS.index(first), DAYS.index(last or first)
    return (local.weekday() - begin) % 7 <= (end - begin) % 7
