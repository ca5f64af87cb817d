"""Migrating: twice, at once, before the database is up; and the first posts only in a new blog."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.release import FIRST_POSTS
from testing.postgres import Postgres, new_node, primary

BLOG = Path(__file__).resolve().parent.parent


@pytest.fixture
def empty() -> Iterator[Postgres]:
    with primary() as node:
        yield node


def start_release(node: Postgres) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "backend.release"],
        cwd=BLOG,
        env={**os.environ, "DATABASE_URL": node.url},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: "subprocess.Popen[str]") -> tuple[int, str]:
    output, _ = process.communicate(timeout=60)
    return process.returncode, output


def count(node: Postgres) -> int:
    number = node.query("SELECT count(*) FROM posts")[0][0]
    assert isinstance(number, int)
    return number


@pytest.mark.slow
def test_four_releases_at_once_migrate_once_and_write_the_first_posts_once(empty: Postgres) -> None:
    results = [finish(process) for process in [start_release(empty) for _ in range(4)]]
    assert [code for code, _ in results] == [0] * 4, results
    assert count(empty) == len(list(FIRST_POSTS.glob("*.md"))) == 5


@pytest.mark.slow
def test_a_blog_whose_posts_were_deleted_stays_empty(empty: Postgres) -> None:
    assert finish(start_release(empty))[0] == 0
    empty.query("DELETE FROM posts")
    assert finish(start_release(empty))[0] == 0
    assert count(empty) == 0


@pytest.mark.slow
def test_release_waits_for_a_database_that_is_still_starting() -> None:
    with new_node() as node:
        node.initialise()
        starter = threading.Timer(1.5, node.start)
        starter.start()
        code, output = finish(start_release(node))
        starter.join()
        assert code == 0, output
        assert count(node) == 5


@pytest.mark.slow
def test_release_gives_up_in_time_and_keeps_the_password_to_itself() -> None:
    with new_node() as node:
        code, output = finish(start_release(node))
    assert code == 1
    assert "accepted no writes within 20 s" in output
    assert "scratch" not in output


@pytest.mark.parametrize("path", sorted(FIRST_POSTS.glob("*.md")), ids=lambda path: path.stem)
def test_first_posts_are_worth_reading_and_not_long(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert 150 <= len(text.split()) <= 400
