"""Checks across keys and tables, each on the smallest declaration that shows it."""

from __future__ import annotations

from typing import Any

import pytest

from colonnade.spec.check import check_spec, warnings_of
from colonnade.spec.model import Spec

APP = {"app": "hello:app"}


def found(services: dict[str, Any], **tables: Any) -> dict[str, str]:
    spec = Spec.model_validate({"services": services, **tables})
    return {problem.path: f"{problem.message} | {problem.hint}" for problem in check_spec(spec)}


@pytest.mark.parametrize(
    ("services", "path", "says"),
    [
        ({}, "services", "add a table [services.web]"),
        ({"web": {}}, "services.web", "neither `app` nor `command`"),
        ({"web": {"app": "a:b", "command": "c"}}, "services.web", "both `app` and `command`"),
        ({"web": {"command": "c", "kind": "wsgi"}}, "services.web.kind", "is for `app`"),
        ({"database": APP}, "services.database", "part of Colonnade"),
        ({"gateway": APP}, "services.gateway", "such as `gateway-service`"),
        ({"database-read": APP}, "services.database-read", "part of Colonnade"),
        ({"web": {**APP, "uses": ["bakcend"]}, "backend": APP}, "services.web.uses[0]", "did you mean `backend`?"),
        ({"web": {**APP, "uses": ["zzz"]}, "api": APP}, "services.web.uses[0]", "there are: api, database"),
        ({"web": {**APP, "uses": ["database"]}}, "services.web.uses[0]", "add a line [database]"),
        ({"web": {**APP, "uses": ["api", "api"]}, "api": APP}, "services.web.uses[1]", "twice"),
        ({"web": {**APP, "uses": ["web"]}}, "services.web.uses", "in a circle: web → web"),
        (
            {"a": {**APP, "uses": ["b"]}, "b": {**APP, "uses": ["c"]}, "c": {**APP, "uses": ["b"]}},
            "services.b.uses",
            "in a circle: b → c → b",
        ),
        (
            {"a": {**APP, "route": "/x"}, "b": {**APP, "route": "/x"}},
            "services.b.route",
            'is "/x", which `a` has already',
        ),
        (
            {"web": {**APP, "weights": [{"weight": 3}], "replicas": 2}},
            "services.web.weights",
            "and `replicas` both say how many",
        ),
        ({"web": {**APP, "balance": "weighted"}}, "services.web.balance", "there are no `weights`"),
        ({"web": {**APP, "replicas": {"min": 3, "max": 2}}}, "services.web.replicas.min", "at most max = 2, got 3"),
        ({"web": {**APP, "hash_by": "path"}}, "services.web.hash_by", 'add balance = "consistent-hash"'),
        ({"web": {**APP, "static": {"/": "files"}}}, "services.web.static./", 'such as "/static"'),
        (
            {"web": {**APP, "route": "/shop", "static": {"/static": "files"}}},
            "services.web.static./static",
            'expected a path below the route "/shop" | such as "/shop/static"',
        ),
        (
            {"web": {**APP, "route": "/shop", "static": {"/shop": "files"}}},
            "services.web.static./shop",
            "files would hide the application",
        ),
        (
            {"web": {**APP, "route": "/", "static": {"/readyz": "files"}}},
            "services.web.static./readyz",
            "would answer the health check /readyz",
        ),
        ({"web": {**APP, "env": {"PORT": "1"}}}, "services.web.env.PORT", "set by Colonnade"),
        ({"web": {**APP, "env": {"COLONNADE_X": "1"}}}, "services.web.env.COLONNADE_X", "set by Colonnade"),
        ({"web": {**APP, "env": {"A-B": "1"}}}, "services.web.env.A-B", "letters, digits and underscores"),
        ({"web": {**APP, "env": {"A": "\0"}}}, "services.web.env.A", "without a null character"),
        (
            {"web": {**APP, "uses": ["user-api"], "env": {"USER_API_URL": "1"}}, "user-api": APP},
            "services.web.env.USER_API_URL",
            "is set by `uses`",
        ),
        ({"web": {**APP, "weights": [{"env": {"PORT": "1"}}]}}, "services.web.weights[0].env.PORT", "set by Colonnade"),
    ],
)
def test_what_does_not_fit_together_is_refused(services: dict[str, Any], path: str, says: str) -> None:
    problems = found(services)
    assert list(problems) == [path]
    assert says in problems[path]


@pytest.mark.parametrize(
    "service",
    [
        {"app": "a:b"},
        {"command": ["a", "b"]},
        {"app": "a:b", "weights": [{"weight": 3}, {}]},
        {"app": "a:b", "weights": [{"weight": 3}, {}], "balance": "weighted"},
        {"app": "a:b", "weights": [{"weight": 3}, {}], "balance": "least-connections"},
        {"app": "a:b", "balance": "consistent-hash", "hash_by": "header:X-User"},
        {"app": "a:b", "env": {"DATABASE_URL": "its own business when it does not use ours"}},
    ],
)
def test_what_fits_together_is_accepted(service: dict[str, Any]) -> None:
    assert found({"web": service}) == {}


def test_the_database_variables_belong_to_whoever_uses_it() -> None:
    web = {**APP, "uses": ["database"], "env": {"DATABASE_URL": "x", "DATABASE_READ_URL": "y"}}
    assert list(found({"web": web}, database={})) == [
        "services.web.env.DATABASE_URL",
        "services.web.env.DATABASE_READ_URL",
    ]


@pytest.mark.parametrize(
    ("tables", "says"),
    [
        ({"gateway": {"listen": "0.0.0.0:8080"}}, "gateway.listen: 0.0.0.0:8080 can be reached from other machines"),
        ({"gateway": {"listen": "[::]:8080"}}, "gateway.listen: [::]:8080 can be reached"),
        ({"services": {"web": APP}}, "services: none has a `route`"),
        ({"services": {"web": {**APP, "route": "/", "replicas": 1}}}, "services.web.replicas: with 1 replica nothing"),
        ({"database": {}}, "database: no service uses it"),
    ],
)
def test_what_may_surprise_is_a_warning(tables: dict[str, Any], says: str) -> None:
    warnings = warnings_of(Spec.model_validate({"services": {"web": {**APP, "route": "/"}}, **tables}))
    assert len(warnings) == 1
    assert warnings[0].startswith(says)


@pytest.mark.parametrize("listen", ["127.0.0.1:8080", "127.1.2.3:80", "[::1]:8080", "localhost:8080"])
def test_loopback_is_no_surprise(listen: str) -> None:
    assert (
        warnings_of(Spec.model_validate({"services": {"w": {**APP, "route": "/"}}, "gateway": {"listen": listen}}))
        == []
    )
