"""Tries a workload out before anything is broken: a drill of minutes must not end with a path that was misspelt.

Each request is sent once. Reads that were guessed and do not answer are left out; what was declared has to answer.
Read next: `workloads`, where the workload comes from.
"""

from __future__ import annotations

from dataclasses import replace

from colonnade.core.errors import SpecError
from colonnade.drill.load.ask import ask
from colonnade.drill.load.ledger import Kind
from colonnade.drill.load.mix import render, token_of
from colonnade.drill.load.pool import Pool
from colonnade.drill.load.target import Target
from colonnade.drill.load.workload import Action, Workload


async def try_out(workload: Workload, target: Target, run_id: str, *, is_guessed: bool) -> Workload:
    """The workload as it can be sent. `run_id` is not the load's own: what is written here is not judged.

    Raises SpecError for a request that is not answered as expected, DriverUnavailable when nothing answers.
    """
    pool = Pool(target)
    kept: list[Action] = []
    try:
        for number, action in enumerate(workload.actions):
            status = None if action.needs_id else await _status(pool, target, action, token_of(run_id, number))
            if action.needs_id or action.is_expected(status):
                kept.append(action)
            elif action.kind is Kind.WRITE or not is_guessed:
                raise _unexpected(action, status)
    finally:
        await pool.close()
    if not kept:
        raise SpecError(
            f"none of these answers with a page: {', '.join(action.path for action in workload.actions)}",
            subject="drill.reads",
            hint='name pages of the application: [drill] reads = [{ path = "/about" }]',
        )
    return replace(workload, actions=tuple(kept))


async def _status(pool: Pool, target: Target, action: Action, token: str) -> int | None:
    request = render(action, target.host_header, token=token if action.kind is Kind.WRITE else None)
    return (await ask(pool, target, request, action.path)).status


def _unexpected(action: Action, status: int | None) -> SpecError:
    low, high = action.status_min, action.status_max
    expected = f"{low}" if low == high else f"{low} to {high}"
    return SpecError(
        f"{action.method} {action.path} answers {status} before anything is broken, expected {expected}",
        subject=f"drill.{action.kind}s",
        hint="try it with curl; [drill] in colonnade.toml says what drills send, and which status is right",
    )
