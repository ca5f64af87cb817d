"""Whole systems for tests, each in a directory of its own; each is taken down, and nothing of it may be left."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from .harness import Runner


@pytest.fixture
def runner(work_dir: Path, free_port: Callable[[], int]) -> Iterator[Runner]:
    """A system that nobody started yet."""
    made = Runner(work_dir, free_port())
    try:
        yield made
    finally:
        made.finish()


@pytest.fixture(scope="module")
def make_runner(make_work_dir: Callable[[], Path], free_port: Callable[[], int]) -> Iterator[Callable[[], Runner]]:
    """Makes systems that a whole module of tests shares."""
    with ExitStack() as stack:

        def make() -> Runner:
            made = Runner(make_work_dir(), free_port())
            stack.callback(shutil.rmtree, made.directory, ignore_errors=True)
            stack.callback(made.finish)
            return made

        yield make
