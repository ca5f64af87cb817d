"""What is sent to an application: the `[drill]` table of its declaration, or what can be guessed without one.

Pure. Whether the paths answer as expected is tried out by `trial`, before anything is broken.
Read next: `load/workload` for what a workload is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from colonnade.drill.load.ledger import Kind
from colonnade.drill.load.workload import Action, Headers, Workload
from colonnade.spec.model import DrillOwn, DrillRead, DrillWrite, ServiceSpec, Spec

STATUS_MIN, STATUS_MAX = 200, 399
"""Expected of what says nothing else: a page, or a redirect to one."""


def workload_of(spec: Spec) -> Workload:
    """The workload of a declaration. Without `[drill]` reads: the pages that `guessed_paths` finds."""
    drill = spec.drill
    headers = _lines(drill.headers)
    reads = drill.reads or [DrillRead(path=path) for path in guessed_paths(spec)]
    return Workload(
        name=spec.system.name,
        actions=(*(_read(read, headers) for read in reads), *(_write(write, drill.headers) for write in drill.writes)),
        read_own=tuple(_own(own, headers) for own in drill.own),
        headers=headers,
        list_path=drill.list_path,
        text_field=drill.text_field,
        item_path=drill.item_path,
        sql=drill.sql,
    )


def guessed_paths(spec: Spec) -> tuple[str, ...]:
    """Where the public services begin, and their health pages as far as the gateway leads to those."""
    routes = [service.route for service in spec.services.values() if service.route]
    health = [service.health.path for service in spec.services.values() if _is_reached(service, spec)]
    return tuple(dict.fromkeys([*routes, *health]))


def is_guessed(spec: Spec) -> bool:
    """The reads are guesses: one that does not answer is left out instead of being an error."""
    return not spec.drill.reads


def _is_reached(service: ServiceSpec, spec: Spec) -> bool:
    """Whether a visitor who asks for its health page is led to this very service: the longest route wins."""
    path = service.health.path
    leading = [
        other.route for other in spec.services.values() if other.route and _is_below(path, other.route.rstrip("/"))
    ]
    return bool(service.route) and max(leading, key=len, default="") == service.route


def _is_below(path: str, prefix: str) -> bool:
    return f"{path}/".startswith(f"{prefix}/")


def _read(read: DrillRead, headers: Headers) -> Action:
    low, high = _bounds(read.status)
    return Action(
        name=f"GET {read.path}",
        kind=Kind.READ,
        method="GET",
        path=read.path,
        weight=read.weight,
        headers=headers,
        status_min=low,
        status_max=high,
    )


def _own(own: DrillOwn, headers: Headers) -> Action:
    return replace(_read(DrillRead(path=own.path), headers), name=f"own {own.path}", shows_newest=own.newest)


def _write(write: DrillWrite, headers: Mapping[str, str]) -> Action:
    low, high = _bounds(write.status)
    return Action(
        name=f"{write.method} {write.path}",
        kind=Kind.WRITE,
        method=write.method,
        path=write.path,
        weight=write.weight,
        headers=_lines({**headers, **write.headers}),
        body=write.body,
        status_min=low,
        status_max=high,
    )


def _lines(headers: Mapping[str, str]) -> Headers:
    return tuple(headers.items())


def _bounds(status: int | None) -> tuple[int, int]:
    return (STATUS_MIN, STATUS_MAX) if status is None else (status, status)
