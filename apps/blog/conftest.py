"""What the blog's tests share: its packages on the path, and one PostgreSQL for the whole session."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from colonnade.client import Database
from flask import Flask
from flask.testing import FlaskClient

from backend.release import release
from testing.cut import Relay, relay_to
from testing.postgres import Postgres, primary
from testing.serve import backend_app


def migrate(node: Postgres) -> None:
    database = Database.from_environ({"DATABASE_URL": node.url})
    try:
        database.write(release)
    finally:
        database.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A primary with the blog's schema and first posts. Tests add posts of their own and look only for those."""
    with primary() as node:
        migrate(node)
        yield node


@pytest.fixture
def mortal() -> Iterator[Postgres]:
    """A primary of this test's own, to be killed."""
    with primary() as node:
        migrate(node)
        yield node


@pytest.fixture
def relay(postgres: Postgres) -> Iterator[Relay]:
    with relay_to(postgres.port) as each:
        yield each


@pytest.fixture
def backend(postgres: Postgres) -> Iterator[Flask]:
    with backend_app(postgres.url) as app:
        yield app


@pytest.fixture
def api(backend: Flask) -> FlaskClient:
    return backend.test_client()
