"""Fetches what the system holds after a run: through its own list, or by SQL.

Never judges; an answer that cannot be understood is an error, because half a list would look like lost writes.
Read next: `check`.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psycopg

from colonnade.core.errors import DriverError, DriverUnavailable
from colonnade.drill.checkers.writes import Held
from colonnade.drill.load.ask import ask, knock, name_of
from colonnade.drill.load.ledger import Kind
from colonnade.drill.load.mix import render, token_prefix
from colonnade.drill.load.pool import Pool
from colonnade.drill.load.target import Target
from colonnade.drill.load.workload import Action, Workload

PER_PAGE = 100
PAGES_MAX = 20_000
"""As many pages as the largest run could fill."""


async def known_ids_over_http(target: Target, workload: Workload) -> tuple[str, ...]:
    """The ids on the first page of the list; they are what reads may ask for. Empty for a system that is empty, and
    for a workload without a list, of which only a connection is asked.

    Raises DriverUnavailable when nothing answers, DriverError for an answer that is no list.
    """
    pool = Pool(target)
    try:
        if not workload.list_path:
            await knock(pool, target)
            return ()
        page = await _get_page(pool, target, workload, 1)
    finally:
        await pool.close()
    return tuple(str(item["id"]) for item in page.items if "id" in item)


async def held_over_http(target: Target, workload: Workload, run_id: str) -> tuple[Held, ...]:
    """Everything with the mark of this run, read page by page.

    Raises DriverUnavailable or DriverError, also when the list changed while it was read: pages that shift hide items.
    """
    pool = Pool(target)
    items: dict[str, dict[str, object]] = {}
    totals: set[int] = set()
    try:
        for number in range(1, PAGES_MAX + 1):
            page = await _get_page(pool, target, workload, number)
            found = {str(item.get("id", f"{number}/{index}")): item for index, item in enumerate(page.items)}
            has_new = not found.keys() <= items.keys()
            items |= found
            totals |= {page.total} if page.total is not None else set()
            if page.is_last if page.is_last is not None else not has_new:
                break
        else:
            raise _unusable(target, f"the list has more than {PAGES_MAX} pages")
    finally:
        await pool.close()
    if totals and totals != {len(items)}:
        raise _unusable(
            target, f"the list says it has {sorted(totals)} items, but {len(items)} were found on its pages"
        )
    return tuple(_marked(items, workload, run_id))


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


@dataclass(frozen=True, slots=True)
class _Page:
    items: Sequence[dict[str, object]]
    is_last: bool | None
    """None when the page does not say; then a page without anything new is the end."""
    total: int | None


async def _get_page(pool: Pool, target: Target, workload: Workload, number: int) -> _Page:
    path = workload.list_path.replace("{page}", str(number)).replace("{per_page}", str(PER_PAGE))
    request = render(Action("read_back", Kind.READ, "GET", path, headers=workload.headers), target.host_header)
    reply = await ask(pool, target, request, path)
    if reply.status != 200:
        raise _unusable(target, f"{path} answered {reply.status}")
    try:
        return parse_page(json.loads(bytes(reply.body)), number)
    except (ValueError, TypeError) as error:
        raise _unusable(target, f"{path} is not a list of items: {error}") from error


def parse_page(content: object, number: int) -> _Page:
    """Understand a page: a bare list, or an object in which exactly one value is a list, with whatever it says about
    the rest (`has_next`, `pages`, `total`). Raises ValueError or TypeError for anything else."""
    if isinstance(content, list):
        return _Page(_objects(content), is_last=None if content else True, total=None)
    if not isinstance(content, dict):
        raise TypeError(f"got {type(content).__name__}")
    lists = [value for value in content.values() if isinstance(value, list)]
    if len(lists) != 1:
        raise ValueError(f"{len(lists)} lists in the object, one expected")
    items = _objects(lists[0])
    is_last: bool | None = None if items else True
    match content:
        case {"has_next": bool(has_next)}:
            is_last = not has_next
        case {"pages": int(pages)}:
            is_last = number >= pages
        case _:
            pass
    total = content.get("total")
    return _Page(items, is_last, total if isinstance(total, int) else None)


def _objects(items: list[object]) -> list[dict[str, object]]:
    objects = [item for item in items if isinstance(item, dict)]
    if len(objects) != len(items):
        raise TypeError("the items are not objects")
    return objects


def _marked(items: dict[str, dict[str, object]], workload: Workload, run_id: str) -> list[Held]:
    find = _finder(run_id)
    return [
        Held(item_id, token)
        for item_id, item in items.items()
        for token in find(str(item.get(workload.text_field, "")))[:1]
    ]


def _finder(run_id: str) -> Callable[[str], list[str]]:
    return re.compile(re.escape(token_prefix(run_id)) + r"\d+").findall


def _unusable(target: Target, message: str) -> DriverError:
    return DriverError(
        message, hint="the check needs the whole list, or --check-sql with a connection string", subject=name_of(target)
    )
