"""The short way of the release step: it may be taken only when there is truly nothing to do."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import release
from testing.postgres import Postgres, primary

BLOG = Path(__file__).resolve().parent.parent


def _run(node: Postgres) -> str:
    env = {**os.environ, "DATABASE_URL": node.url}
    done = subprocess.run([sys.executable, "release.py"], cwd=BLOG, env=env, capture_output=True, text=True, check=True)
    return done.stdout


def test_a_database_that_does_not_answer_is_no_proof() -> None:
    assert not release.is_up_to_date("postgresql://nobody@127.0.0.1:1/none")


def test_the_newest_revision_is_that_of_the_newest_file() -> None:
    assert (release.VERSIONS / f"{release.newest_revision()}_posts.py").exists()


@pytest.mark.slow
def test_an_old_schema_is_migrated_and_a_new_one_left_alone() -> None:
    with primary() as node:
        assert not release.is_up_to_date(node.url)
        _run(node)
        assert release.is_up_to_date(node.url)
        posts = node.query("SELECT count(*) FROM posts")
        assert "up to date" in _run(node)
        assert node.query("SELECT count(*) FROM posts") == posts
        node.query("UPDATE alembic_version SET version_num = '0000'")
        assert not release.is_up_to_date(node.url)
