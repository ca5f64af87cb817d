"""[database]: what a quorum needs, what is not for setting, and whether the pools fit."""

from __future__ import annotations

from typing import Any

import pytest

from colonnade.spec.check_database import check_database, check_url, database_warnings, substitute
from colonnade.spec.derive import synchronous_standbys
from colonnade.spec.model import DatabaseSpec, Spec

URL = "postgresql://app:secret@db.example.com/app"


@pytest.mark.parametrize(
    ("database", "path", "says"),
    [
        ({"standbys": 1, "quorum_size": 2}, "database.quorum_size", "at most standbys = 1, got 2: no COMMIT would"),
        ({"standbys": 0, "durability": "quorum"}, "database.durability", "standbys = 0: there is nobody"),
        ({"standbys": 0, "quorum_size": 1}, "database.quorum_size", "standbys = 0: there is nobody"),
        ({"durability": "async", "quorum_size": 1}, "database.quorum_size", 'no effect with durability = "async"'),
        ({"url": URL, "standbys": 2}, "database.standbys", "a database that is not ours"),
        ({"url": URL, "shared_buffers": 1}, "database.shared_buffers", "take `shared_buffers` out"),
        ({"url": ""}, "database.url", "is empty"),
        ({"read_url": URL}, "database.url", "is empty"),
        ({"parameters": {"fsync": False}}, "database.parameters.fsync", "durability and failover rest on"),
        ({"parameters": {"Archive_Command": ""}}, "database.parameters.Archive_Command", "rest on"),
        ({"parameters": {"max_connections": 5}}, "database.parameters.max_connections", "use `connections_max`"),
        ({"parameters": {"a b": 5}}, "database.parameters.a b", "the name of a PostgreSQL parameter"),
    ],
)
def test_what_cannot_be_kept_is_refused(database: dict[str, Any], path: str, says: str) -> None:
    problems = check_database(DatabaseSpec.model_validate(database))
    assert [problem.path for problem in problems] == [path]
    assert says in f"{problems[0].message} | {problems[0].hint}"


@pytest.mark.parametrize(
    ("database", "waits_for"),
    [
        ({}, 1),
        ({"standbys": 0}, 0),
        ({"standbys": 0, "durability": "async"}, 0),
        ({"standbys": 3, "quorum_size": 2}, 2),
        ({"durability": "async"}, 0),
        ({"url": URL, "read_url": URL}, 1),
        ({"parameters": {"work_mem": "8MB", "pg_stat_statements.track": "all"}}, 1),
    ],
)
def test_what_can_be_kept_is_accepted_and_says_whom_a_commit_waits_for(
    database: dict[str, Any], waits_for: int
) -> None:
    spec = DatabaseSpec.model_validate(database)
    assert check_database(spec) == []
    assert synchronous_standbys(spec) == waits_for


@pytest.mark.parametrize("url", [URL, "postgres://h/d", "postgresql://[::1]:5432/d", "postgresql:///d?host=/tmp"])
def test_addresses_of_postgresql_are_accepted(url: str) -> None:
    assert check_url("url", url) == []


@pytest.mark.parametrize("url", ["mysql://u:secret@h/d", "secret", "", "postgresql://h:99999/", "postgresql://[::1/d"])
def test_other_addresses_are_refused_and_not_repeated(url: str) -> None:
    (problem,) = check_url("url", url)
    assert problem.path == "database.url"
    assert "secret" not in str(problem)


@pytest.mark.parametrize(
    ("text", "filled", "missing"),
    [
        ("$A", "1", []),
        ("x${A}y$A-$B", "x1y1-22", []),
        ("$$A and $$", "$A and $", []),
        ("a$", "a$", []),
        ("$NO/${NOPE}", "/", ["NO", "NOPE"]),
        ("$EMPTY", "", []),
    ],
)
def test_variables_are_filled_in_once(text: str, filled: str, missing: list[str]) -> None:
    assert substitute(text, {"A": "1", "B": "22", "EMPTY": ""}) == (filled, missing)


def test_a_value_with_a_dollar_is_not_filled_in_again() -> None:
    assert substitute("$A", {"A": "$B", "B": "no"}) == ("$B", [])


@pytest.mark.parametrize(
    ("database", "says"),
    [
        ({"standbys": 0}, "one copy of the data"),
        ({"standbys": 1}, "all 1 standbys must confirm"),
        ({"durability": "async"}, "can lose the last acknowledged writes"),
        ({"connections_max": 20}, "may open 30 (web 30)"),
    ],
)
def test_what_is_allowed_but_not_safe_is_a_warning(database: dict[str, Any], says: str) -> None:
    service = {"app": "a:b", "uses": ["database"], "replicas": {"min": 1, "max": 3}}
    spec = Spec.model_validate({"services": {"web": service}, "database": database})
    (warning,) = database_warnings(spec, {})
    assert says in warning


def test_the_declared_pool_size_counts_against_the_connections() -> None:
    service = {"app": "a:b", "uses": ["database"], "replicas": 4}
    spec = Spec.model_validate({"services": {"web": service}, "database": {"connections_max": 40}})
    assert database_warnings(spec, {"web": {"DATABASE_POOL_SIZE": "10"}}) == []
    assert "may open 44" in database_warnings(spec, {"web": {"DATABASE_POOL_SIZE": "11"}})[0]


def test_somebody_elses_database_is_not_judged() -> None:
    assert database_warnings(Spec.model_validate({"database": {"url": URL}}), {}) == []
