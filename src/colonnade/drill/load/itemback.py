"""Asks for each item that a run wrote, one by one, of an application that has no list of them.

Sees less than a list: only items whose path is known can be asked for, so a doubled write or a phantom would not be
noticed. Whoever judges by it has to know.
Read next: `readback`, which sees everything.
"""

import asyncio
from collections.abc import Iterable
from urllib.parse import quote

from colonnade.core.errors import DriverError
from colonnade.drill.checkers.writes import Held
from colonnade.drill.load.ask import ask, name_of
from colonnade.drill.load.ledger import Kind, Operation, Outcome
from colonnade.drill.load.mix import render
from colonnade.drill.load.pool import Pool
from colonnade.drill.load.target import Target
from colonnade.drill.load.workload import Action, Workload

AT_ONCE = 8
"""Requests at a time: what one replica serves at once by default."""

ABSENT = frozenset({404, 410})


async def held_by_item(target: Target, workload: Workload, operations: Iterable[Operation]) -> tuple[Held, ...]:
    """Those of the writes whose item is there and has their token.

    Raises DriverUnavailable when nothing answers, DriverError for an answer that says neither yes nor no.
    """
    known = tuple(operations)
    nameless = sum(
        write.outcome is Outcome.OK and path_of(workload.item_path, write) is None for write in writes_of(known)
    )
    if nameless:
        raise DriverError(
            f"{nameless} acknowledged writes cannot be asked for: their answers named no id",
            hint='an answer to a write is JSON with an "id", or [drill] item has {token} in it',
            subject=workload.item_path,
        )
    pool = Pool(target)
    writes = [(path, write) for write in writes_of(known) if (path := path_of(workload.item_path, write))]
    gate = asyncio.Semaphore(AT_ONCE)

    async def is_there(path: str, token: str) -> bool:
        async with gate:
            request = render(Action("read_back", Kind.READ, "GET", path, headers=workload.headers), target.host_header)
            reply = await ask(pool, target, request, path)
        if reply.status in ABSENT:
            return False
        if reply.status != 200:
            raise DriverError(
                f"{path} answered {reply.status}",
                hint="[drill] item should answer 200 for what is there, and 404 for what is not",
                subject=name_of(target),
            )
        return token in bytes(reply.body).decode(errors="replace")

    try:
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(is_there(path, write.token or "")) for path, write in writes]
    except* DriverError as errors:
        raise errors.exceptions[0] from None
    finally:
        await pool.close()
    return tuple(
        Held(write.item_id or write.token or "", write.token or "")
        for (_, write), question in zip(writes, asked, strict=True)
        if question.result()
    )


def writes_of(operations: Iterable[Operation]) -> list[Operation]:
    return [operation for operation in operations if operation.kind is Kind.WRITE]


def path_of(template: str, write: Operation) -> str | None:
    """Where the item of this write is asked for; None when that is not known."""
    if write.token is None or ("{id}" in template and write.item_id is None):
        return None
    return template.replace("{id}", quote(write.item_id or "", safe="")).replace("{token}", quote(write.token, safe=""))
