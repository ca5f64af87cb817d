"""What is sent to an application: as declared, or guessed from its routes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from colonnade.drill.load.ledger import Kind
from colonnade.drill.load.workload import BLOG, Action
from colonnade.drill.workloads import guessed_paths, is_guessed, workload_of
from colonnade.spec.load import load_spec
from colonnade.spec.model import Spec

ROOT = Path(__file__).parents[3]


def spec(**services: dict[str, object]) -> Spec:
    return Spec.model_validate({"services": {name: {"app": "m:a", **about} for name, about in services.items()}})


def unnamed(action: Action) -> Action:
    """Without what only the built-in one has: short names, and a narrower view of a good answer."""
    return replace(action, name="", status_min=200, status_max=299)


def test_the_blog_declares_what_its_benches_send() -> None:
    declared = workload_of(load_spec(ROOT / "apps" / "blog", environ={}).spec)
    assert [unnamed(action) for action in declared.actions] == [unnamed(action) for action in BLOG.actions]
    assert [unnamed(action) for action in declared.read_own] == [unnamed(action) for action in BLOG.read_own]
    assert (declared.list_path, declared.text_field, declared.sql) == (BLOG.list_path, BLOG.text_field, BLOG.sql)


@pytest.mark.parametrize(
    ("services", "paths"),
    [
        ({"web": {"route": "/"}}, ("/", "/readyz")),
        ({"web": {"route": "/", "health": {"path": "/up"}}}, ("/", "/up")),
        ({"api": {"route": "/api"}}, ("/api",)),
        ({"api": {"route": "/api", "health": {"path": "/api/up"}}}, ("/api", "/api/up")),
        ({"web": {"route": "/"}, "api": {"route": "/api"}}, ("/", "/api", "/readyz")),
        ({"web": {"route": "/", "health": {"path": "/api/up"}}, "api": {"route": "/api"}}, ("/", "/api")),
        ({"web": {"route": "/"}, "worker": {}}, ("/", "/readyz")),
        ({"worker": {}}, ()),
    ],
)
def test_without_a_word_the_routes_are_read_and_health_pages_that_can_be_reached(
    services: dict[str, dict[str, object]], paths: tuple[str, ...]
) -> None:
    declared = spec(**services)
    assert guessed_paths(declared) == paths
    assert is_guessed(declared)
    actions = workload_of(declared).actions
    assert [(action.path, action.kind, action.status_min, action.status_max) for action in actions] == [
        (path, Kind.READ, 200, 399) for path in paths
    ]


def test_declared_requests_are_sent_as_they_are() -> None:
    declared = spec(web={"route": "/"}).model_copy(
        update={
            "drill": Spec.model_validate(
                {
                    "drill": {
                        "reads": [{"path": "/a", "weight": 2, "status": 204}],
                        "writes": [{"path": "/b", "method": "PUT", "body": "x={token}", "headers": {"A": "{key}"}}],
                        "list": "/all",
                        "item": "/b/{id}",
                        "own": [{"path": "/all", "newest": 5}],
                    }
                }
            ).drill
        }
    )
    workload = workload_of(declared)
    read, write = workload.actions
    assert (read.method, read.path, read.weight, read.status_min, read.status_max) == ("GET", "/a", 2, 204, 204)
    assert (write.method, write.body, write.headers) == ("PUT", "x={token}", (("A", "{key}"),))
    assert (write.status_min, write.status_max) == (200, 399)
    assert (workload.list_path, workload.item_path, workload.text_field) == ("/all", "/b/{id}", "title")
    assert [(own.path, own.shows_newest) for own in workload.read_own] == [("/all", 5)]
    assert not is_guessed(declared)


def test_headers_of_every_request_are_sent_with_each_and_a_write_may_have_its_own() -> None:
    write = {"path": "/n", "body": "{token}", "headers": {"B": "its own", "C": "{key}"}}
    drill = {"headers": {"A": "1", "B": "2"}, "reads": [{"path": "/"}], "writes": [write], "own": [{"path": "/n"}]}
    workload = workload_of(Spec.model_validate({"services": {"web": {"app": "m:a"}}, "drill": drill}))

    read, wrote = workload.actions
    everywhere = (("A", "1"), ("B", "2"))
    assert (read.headers, workload.read_own[0].headers, workload.headers) == (everywhere, everywhere, everywhere)
    assert wrote.headers == (("A", "1"), ("B", "its own"), ("C", "{key}"))
