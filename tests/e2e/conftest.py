"""Whole systems for tests, each in a directory of its own; each is taken down, and nothing of it may be left."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from .harness import IS_ROOT, Runner, SmallDisk


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


@pytest.fixture
def small_disk() -> Iterator[SmallDisk]:
    """Makes a file system with this much room at a place; unmounted after the test."""
    places: list[Path] = []

    def mount(place: Path, bytes_max: int) -> Path:
        if not IS_ROOT:
            pytest.skip("needs root to mount a small disk")
        place.mkdir(exist_ok=True)
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={bytes_max},mode=0755", "tmpfs", str(place)],
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            pytest.skip("mounting is not allowed here")
        places.append(place)
        return place

    yield mount
    for place in places:
        while os.path.ismount(place):
            subprocess.run(["umount", "-l", str(place)], capture_output=True, check=True)
