"""What [drill] says can be done, and nothing in it is without effect."""

from __future__ import annotations

from typing import Any

import pytest

from colonnade.spec.check import check_spec, warnings_of
from colonnade.spec.model import Spec

WRITE = {"path": "/n", "body": "{token}"}


def spec(**drill: Any) -> Spec:
    service = {"app": "m:a", "route": "/", "uses": ["database"]}
    return Spec.model_validate({"services": {"web": service}, "database": {}, "drill": drill})


@pytest.mark.parametrize(
    "drill",
    [
        {},
        {"reads": [{"path": "/"}, {"path": "/n/{id}", "weight": 0.5, "status": 302}]},
        {"writes": [WRITE], "list": "/n?page={page}", "text_field": "text"},
        {"writes": [{"path": "/n/{token}", "method": "PUT"}], "item": "/n/{token}"},
        {"writes": [WRITE], "sql": "SELECT id, text FROM n WHERE text LIKE %s", "own": [{"path": "/n"}]},
        {"rate": 0.5, "headers": {"Authorization": "Basic eDp4"}, "reads": [{"path": "/"}]},
    ],
)
def test_what_can_be_done_is_accepted(drill: dict[str, Any]) -> None:
    assert check_spec(spec(**drill)) == []
    assert not [warning for warning in warnings_of(spec(**drill)) if warning.startswith("drill")]


@pytest.mark.parametrize(
    ("drill", "key", "words"),
    [
        ({"reads": [{"path": "/{token}"}]}, "drill.reads[0].path", "mark of a write"),
        ({"writes": [{"path": "/n"}], "list": "/n"}, "drill.writes[0]", "no {token}"),
        ({"writes": [{**WRITE, "headers": {"A": "b\r\nC: d"}}], "list": "/n"}, "drill.writes[0].headers.A", "one line"),
        ({"headers": {"A:": "b"}}, "drill.headers.A:", "one line"),
        ({"list": "/n"}, "drill.list", "without `writes`"),
        ({"item": "/n/{id}"}, "drill.item", "without `writes`"),
        ({"sql": "SELECT 1 LIKE %s"}, "drill.sql", "without `writes`"),
        ({"own": [{"path": "/n"}]}, "drill.own", "without `writes`"),
        ({"writes": [WRITE], "list": "n"}, "drill.list", "begins with a slash"),
        ({"writes": [WRITE], "item": "/n"}, "drill.item", "{id} or {token}"),
        ({"writes": [WRITE], "item": "/n/{id}", "text_field": "x"}, "drill.text_field", "without `list`"),
        ({"writes": [WRITE], "sql": "SELECT id, text FROM n"}, "drill.sql", "one parameter"),
    ],
)
def test_what_cannot_is_refused_with_its_key(drill: dict[str, Any], key: str, words: str) -> None:
    found = check_spec(spec(**drill))
    assert [problem.path for problem in found] == [key]
    assert words in found[0].message


def test_a_query_needs_a_database() -> None:
    declared = spec(writes=[WRITE], sql="SELECT id, text FROM n WHERE text LIKE %s")
    service = declared.services["web"].model_copy(update={"uses": []})
    without = declared.model_copy(update={"database": None, "services": {"web": service}})
    assert [problem.path for problem in check_spec(without)] == ["drill.sql"]


def test_writes_that_nobody_can_find_again_are_worth_a_warning() -> None:
    assert [warning.partition(":")[0] for warning in warnings_of(spec(writes=[WRITE]))] == ["drill.writes"]
