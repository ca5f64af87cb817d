"""Bugs planted in the blog, on the whole real system: a drill finds each, and names the first operation that shows it.

That the same scenarios are valid without the bugs is counted by `bench/run.py planted`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from .harness import Runner
from .planted import PLANTS, Plant, drill_blog

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

SEED = 3


@pytest.fixture
def blog(runner: Runner) -> Runner:
    """A directory for a blog, and beside it one for what its drill makes, so that what that leaves is seen."""
    places = [runner.directory / name for name in ("blog", "scratch")]
    for place in places:
        place.mkdir(mode=0o755)
    return Runner(places[0], runner.port, {"TMPDIR": str(places[1])})


def left_in(runner: Runner) -> list[Path]:
    return list(Path(runner.env["TMPDIR"]).iterdir())


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.name)
def test_a_planted_bug_is_found_and_the_first_operation_named(blog: Runner, plant: Plant) -> None:
    drilled = drill_blog(blog, plant, is_planted=True, seed=SEED)
    finding, first = drilled.finding(plant.rule), drilled.first_offence(plant.rule)

    assert drilled.ran.exit_code == 1, drilled.ran.text
    assert drilled.report["verdict"] == finding["verdict"] == "invalid", drilled.ran.text
    assert first is not None, finding
    assert plant.is_offence(first, drilled.copies_of(first)), first
    assert finding["evidence"][0] in drilled.ran.out
    assert left_in(blog) == []
