"""Checks of [drill]: what would be sent can be found again, and nothing in the table is without effect. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from colonnade.spec.model import DrillSpec, Spec
from colonnade.spec.problem import KeyPath, Problem

TOKEN = "{token}"  # noqa: S105 — a mark in templates, no secret


def check_drill(spec: Spec) -> Iterator[Problem]:
    drill = spec.drill
    for index, read in enumerate(drill.reads):
        if TOKEN in read.path:
            yield Problem(("drill", "reads", index, "path"), "is a read, and {token} is the mark of a write")
    yield from _headers(("drill", "headers"), drill.headers)
    yield from _writes(drill)
    yield from _ways_back(drill, spec)


def drill_warnings(spec: Spec) -> list[str]:
    drill = spec.drill
    if drill.writes and not (drill.list_path or drill.item_path or drill.sql):
        return ["drill.writes: without `list`, `item` or `sql` nobody can find out whether a write was lost"]
    return []


def _writes(drill: DrillSpec) -> Iterator[Problem]:
    for index, write in enumerate(drill.writes):
        key: KeyPath = ("drill", "writes", index)
        if TOKEN not in write.path + write.body:
            yield Problem(
                key, "has no {token} in its path or body", hint=f'put {TOKEN} where it is kept: body = "text={TOKEN}"'
            )
        yield from _headers((*key, "headers"), write.headers)


def _headers(key: KeyPath, headers: Mapping[str, str]) -> Iterator[Problem]:
    for name, value in headers.items():
        if any(character in "\r\n\0" for character in name + value) or ":" in name:
            yield Problem((*key, name), "expected a header of one line, its name without a colon")


def _ways_back(drill: DrillSpec, spec: Spec) -> Iterator[Problem]:
    for name, value in (
        ("list", drill.list_path),
        ("item", drill.item_path),
        ("sql", drill.sql),
        ("own", drill.own),
    ):
        if value and not drill.writes:
            yield Problem(("drill", name), "has no effect without `writes`", hint="add writes, or take it out")
    for name, value in (("list", drill.list_path), ("item", drill.item_path)):
        if value and (not value.startswith("/") or any(character.isspace() for character in value)):
            yield Problem(("drill", name), 'expected a path that begins with a slash, such as "/notes"')
    if drill.text_field != DrillSpec().text_field and not drill.list_path:
        yield Problem(("drill", "text_field"), "has no effect without `list`", hint="add list, or take it out")
    if drill.item_path and not ("{id}" in drill.item_path or TOKEN in drill.item_path):
        yield Problem(("drill", "item"), "expected {id} or {token} in it", hint='such as item = "/notes/{id}"')
    if drill.sql and drill.sql.count("%s") != 1:
        yield Problem(
            ("drill", "sql"), "expected one parameter %s, which is a LIKE pattern", hint='end it with "LIKE %s"'
        )
    if drill.sql and spec.database is None:
        yield Problem(("drill", "sql"), "asks a database, but there is no [database]", hint="use list or item instead")
