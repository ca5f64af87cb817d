"""Fetches what the system holds after a run: through its own list, or by SQL.

Never judges; an answer that cannot be understood is an error, because half a list would look like lost writes.
Read next: `check`.
"""

import asyncio
import json
import re
from collections.abc import Callable, Sequence

import psycopg

from colonnade.core.errors import DriverError, DriverUnavailable
from colonnade.drill.check import Held
from colonnade.drill.connection import Attempt, ExchangeFailed
from colonnade.drill.ledger import Kind
from colonnade.drill.mix import render, token_prefix
from colonnade.drill.pool import Pool
from colonnade.drill.target import Target
from colonnade.drill.workload import Action, Workload

PER_PAGE = 100
PAGES_MAX = 20_000
"""As many pages as the largest run could fill."""
REPLY_S_MAX = 10.0


async def known_ids_over_http(target: Target, workload: Workload) -> tuple[str, ...]:
    """The ids on the first page of the list; they are what reads may ask for. Empty for a system that is empty.

    Raises DriverUnavailable when nothing answers, DriverError for an answer that is no list.
    """
    pool = Pool(target)
    try:
        items, _ = await _get_page(pool, target, workload, 1)
    finally:
        await pool.close()
    return tuple(str(item["id"]) for item in items if "id" in item)


async def held_over_http(target: Target, workload: Workload, run_id: str) -> tuple[Held, ...]:
    """Everything with the mark of this run, read page by page.

    Raises DriverUnavailable or DriverError, also when the list changed while it was read: pages that shift hide items.
    """
    pool = Pool(target)
    held: list[Held] = []
    seen: set[str] = set()
    totals: set[object] = set()
    try:
        for page in range(1, PAGES_MAX + 1):
            items, envelope = await _get_page(pool, target, workload, page)
            totals.add(envelope.get("total"))
            new = {str(item.get("id", f"{page}/{index}")): item for index, item in enumerate(items)}
            if not new.keys() - seen:  # the end; some servers repeat the last page instead of an empty one
                break
            seen |= new.keys()
            held += _marked(new, workload, run_id)
            if page == envelope.get("pages"):
                break
        else:
            raise _unusable(target, f"the list has more than {PAGES_MAX} pages")
    finally:
        await pool.close()
    if len(totals) > 1:
        raise _unusable(target, f"the list changed while it was read (total {sorted(map(str, totals))})")
    total = envelope.get("total")
    if isinstance(total, int) and total != len(seen):
        raise _unusable(target, f"the list says it has {total} items, but {len(seen)} were found on its pages")
    return tuple(held)


async def held_over_sql(conninfo: str, sql: str, run_id: str) -> tuple[Held, ...]:
    """Everything with the mark of this run, by a query for (id, text) with one LIKE pattern as parameter.

    Raises DriverUnavailable when the database cannot be asked.
    """
    pattern = f"%{token_prefix(run_id)}%"
    try:
        async with await psycopg.AsyncConnection.connect(conninfo, connect_timeout=10) as connection:
            rows = await (await connection.execute(sql.encode(), (pattern,))).fetchall()
    except psycopg.Error as error:
        raise DriverUnavailable(
            f"the database cannot be asked what it holds: {error}", hint="check the connection string", subject="SQL"
        ) from error
    find = _finder(run_id)
    return tuple(Held(str(item_id), token) for item_id, text in rows for token in find(str(text))[:1])


async def _get_page(
    pool: Pool, target: Target, workload: Workload, page: int
) -> tuple[Sequence[dict[str, object]], dict[str, object]]:
    path = workload.list_path.replace("{page}", str(page)).replace("{per_page}", str(PER_PAGE))
    request = render(Action("read_back", Kind.READ, "GET", path), target.host_header)
    try:
        async with asyncio.timeout(REPLY_S_MAX):
            connection = await pool.take()
            reply = await connection.exchange(request, Attempt())
    except (ExchangeFailed, TimeoutError) as error:
        raise DriverUnavailable(
            f"no answer to {path}: {error or 'timeout'}",
            hint="is the system up? colonnade status",
            subject=_name(target),
        ) from error
    pool.give_back(connection)
    if reply.status != 200:
        raise _unusable(target, f"{path} answered {reply.status}")
    try:
        return _parse_page(json.loads(bytes(reply.body)))
    except (ValueError, TypeError) as error:
        raise _unusable(target, f"{path} is not a list of items: {error}") from error


def _parse_page(content: object) -> tuple[Sequence[dict[str, object]], dict[str, object]]:
    """Items and envelope of a page: a bare list, or an object in which exactly one value is a list."""
    if isinstance(content, list):
        items, envelope = content, {}
    elif isinstance(content, dict):
        lists = [value for value in content.values() if isinstance(value, list)]
        if len(lists) != 1:
            raise ValueError(f"{len(lists)} lists in the object, one expected")
        items, envelope = lists[0], content
    else:
        raise TypeError(f"got {type(content).__name__}")
    if not all(isinstance(item, dict) for item in items):
        raise TypeError("the items are not objects")
    return items, envelope


def _marked(items: dict[str, dict[str, object]], workload: Workload, run_id: str) -> list[Held]:
    find = _finder(run_id)
    return [
        Held(item_id, token)
        for item_id, item in items.items()
        for token in find(str(item.get(workload.text_field, "")))[:1]
    ]


def _finder(run_id: str) -> Callable[[str], list[str]]:
    return re.compile(re.escape(token_prefix(run_id)) + r"\d+").findall


def _name(target: Target) -> str:
    return f"http://{target.host_header}"


def _unusable(target: Target, message: str) -> DriverError:
    return DriverError(
        message, hint="the check needs the whole list, or --check-sql with a connection string", subject=_name(target)
    )
