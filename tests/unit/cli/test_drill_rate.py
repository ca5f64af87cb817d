"""How many requests per second a drill sends: as typed, as declared, or as its scenario says."""

from __future__ import annotations

from pathlib import Path

import pytest

from colonnade.cli.drill import scenario_at
from colonnade.drill.faults.registry import FAULTS
from colonnade.drill.scenario_file import DEFAULT, find_scenario

OWN = 'title = "It is only loaded."\nload = { rate = 7 }\nrules = { read_gap_s_max = 1 }\n'


@pytest.fixture
def own(tmp_path: Path) -> str:
    path = tmp_path / "own.toml"
    path.write_text(OWN)
    return str(path)


def test_the_scenario_says_it_where_nobody_else_does(own: str) -> None:
    assert scenario_at(DEFAULT, None, None) == find_scenario(DEFAULT, FAULTS)
    assert scenario_at(own, None, None).load.rate_per_s == 7


def test_the_declaration_knows_better_than_a_scenario_for_everybody_but_not_than_its_own(own: str) -> None:
    assert scenario_at(DEFAULT, None, 30.0).load.rate_per_s == 30
    assert scenario_at(own, None, 30.0).load.rate_per_s == 7


def test_what_is_typed_counts_before_all(own: str) -> None:
    assert scenario_at(DEFAULT, 5.0, 30.0).load.rate_per_s == 5
    assert scenario_at(own, 5.0, 30.0).load.rate_per_s == 5
