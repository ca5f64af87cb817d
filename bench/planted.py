"""Bugs planted in the blog, and the same blog without them: how often a drill finds each, and how often it cries wolf.

The plants are those of `tests/e2e/planted.py`; here each is drilled with many seeds, and so is its control.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from blog import free_port

sys.path.append(str(Path(__file__).parent.parent))  # the tests are not installed

from tests.e2e.harness import Runner
from tests.e2e.planted import PLANTS, Drilled, Plant, drill_blog

REPETITIONS = 3


def measure(repetitions: int) -> dict[str, Any]:
    """`repetitions` of each plant and of each control, each with a seed of its own."""
    count = repetitions or REPETITIONS
    return {plant.name: _measure(plant, range(1, count + 1)) for plant in PLANTS}


def _measure(plant: Plant, seeds: range) -> dict[str, Any]:
    planted = [_drill(plant, seed, is_planted=True) for seed in seeds]
    controls = [_drill(plant, seed, is_planted=False) for seed in seeds]
    found = [each for each in planted if each.report["verdict"] == "invalid" and each.first_offence(plant.rule)]
    valid = [each for each in controls if each.report["verdict"] == "valid"]
    return {
        "found": f"{len(found)} of {len(planted)}",
        "control_valid": f"{len(valid)} of {len(controls)}",
        plant.rule.removesuffix("_max"): [each.finding(plant.rule)["value"] for each in planted],
        "control_verdicts": dict(Counter(each.report["verdict"] for each in controls)),
        "not_as_hoped": [
            each.report["sentence"] for each in (*planted, *controls) if each not in found and each not in valid
        ],
        "first": [each.finding(plant.rule)["evidence"][0] for each in found],
        "took_s": [round(each.ran.duration_s, 1) for each in (*planted, *controls)],
    }


def _drill(plant: Plant, seed: int, *, is_planted: bool) -> Drilled:
    root = Path(tempfile.mkdtemp(prefix="colonnade-bench-"))
    try:
        root.chmod(0o755)
        places = [root / name for name in ("blog", "scratch")]
        for place in places:
            place.mkdir(mode=0o755)
        runner = Runner(places[0], free_port(), {"TMPDIR": str(places[1])})
        drilled = drill_blog(runner, plant, is_planted=is_planted, seed=seed)
        sys.stdout.write(
            f"{plant.name} {'planted' if is_planted else 'control'} {seed}: {drilled.report['sentence']}\n"
        )
        sys.stdout.flush()
        return drilled
    finally:
        shutil.rmtree(root, ignore_errors=True)
