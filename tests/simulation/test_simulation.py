"""Thousands of stories hold, and each rule that is broken on purpose makes one of them fail."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.simulation.mutations import MUTATIONS, Mutation, seeds_needed
from tests.simulation.run import tell_many
from tests.simulation.scenes import SCENES, Scene
from tests.simulation.story import SIZES, tell

SEEDS = 3000

FOUND_BUGS = (1122, 1152, 1392, 2240, 12181, 2_041_469)
"""Seeds that found something, most of them with an earlier draw of happenings; kept as stories like any other."""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_whatever_fails_in_whatever_order_the_promises_hold() -> None:
    result = tell_many(range(SEEDS), processes=2)
    assert not result.violations, result.violations[0]
    assert result.count == SEEDS


@pytest.mark.parametrize("seed", FOUND_BUGS)
def test_stories_that_once_failed(seed: int) -> None:
    assert tell_many([seed], processes=1).violations == []


@pytest.mark.slow
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_rare_situations_end_well(scene: Scene) -> None:
    for seed in range(SEEDS // 50):
        tell(seed, SIZES[seed % len(SIZES)], scene=scene)


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_broken_rule_is_noticed(mutation: Mutation, record_property: Callable[[str, object], None]) -> None:
    needed = seeds_needed(mutation)
    assert needed is not None, f"rule {mutation.rule} was broken in {mutation.seeds_max} stories and nobody noticed"
    record_property("seeds", needed)
    print(f"{mutation.name}: {needed} stories")  # noqa: T201 - shown with -s
