"""Catalogues as tests write them."""

from __future__ import annotations

from colonnade.database.backup.catalogue import Backup

HOUR_S = 3600.0


def backup(number: int, parent: int | None = None, *, timeline: int = 1, lsn: int | None = None) -> Backup:
    """The backup that was finished in hour `number`; full without a parent."""
    at = number * 1000 if lsn is None else lsn
    return Backup(
        id=f"b{number}",
        kind="full" if parent is None else "incremental",
        parent="" if parent is None else f"b{parent}",
        started_s=number * HOUR_S - 10,
        finished_s=number * HOUR_S,
        start_timeline=timeline,
        start_lsn=at,
        stop_timeline=timeline,
        stop_lsn=at + 10,
        size_bytes=1,
        version="18.6",
        system_id="7",
    )
