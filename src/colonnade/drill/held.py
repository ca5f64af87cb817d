"""Finds out what the application holds of a run's writes, by the best way that its declaration offers.

A query of the primary sees everything at once, the application's own list sees it page by page, and asking for each
item sees only what was looked for. Judges nothing. Read next: `load/readback`, `load/itemback`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from colonnade.core.clock import Clock
from colonnade.core.errors import DriverError
from colonnade.drill.checkers.settled import settled
from colonnade.drill.checkers.writes import Held
from colonnade.drill.collect import DatabaseAccess
from colonnade.drill.load.itemback import held_by_item, writes_of
from colonnade.drill.load.ledger import Operation
from colonnade.drill.load.readback import held_over_http, held_over_sql
from colonnade.drill.load.target import Target
from colonnade.drill.load.workload import Workload


@dataclass(frozen=True, slots=True)
class ReadBack:
    """What was found, or why nothing could be."""

    held: tuple[Held, ...] | None
    problem: str = ""


async def read_back(
    workload: Workload,
    target: Target,
    access: DatabaseAccess | None,
    operations: Sequence[Operation],
    run_id: str,
    clock: Clock,
) -> ReadBack:
    """Ask until the answer has settled. Never raises for an application that cannot be asked: it says so."""
    if not writes_of(operations):
        return ReadBack(None, "nothing was written, so nothing could be lost")
    ask = _best_way(workload, target, access, operations, run_id)
    if ask is None:
        return ReadBack(None, "[drill] has no `list`, `item` or `sql` by which writes could be found again")
    is_primary = bool(workload.sql) and access is not None and access.is_ours
    try:
        return ReadBack(await settled(operations, ask, clock, may_be_behind=not is_primary))
    except DriverError as error:
        return ReadBack(None, str(error))


def _best_way(
    workload: Workload,
    target: Target,
    access: DatabaseAccess | None,
    operations: Sequence[Operation],
    run_id: str,
) -> Callable[[], Awaitable[tuple[Held, ...]]] | None:
    if workload.sql and access is not None:
        return partial(held_over_sql, access.conninfo, workload.sql, run_id)
    if workload.list_path:
        return partial(held_over_http, target, workload, run_id)
    if workload.item_path:
        return partial(held_by_item, target, workload, operations)
    return None
