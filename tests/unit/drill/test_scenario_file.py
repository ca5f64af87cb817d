"""Scenarios as files: those that come along are good, and what is wrong with one is told with its key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from colonnade.core.errors import SpecError
from colonnade.drill.faults.registry import FAULTS, LINK_FAULTS
from colonnade.drill.faults.ways import ways_needed
from colonnade.drill.scenario import Extent, Role, RuleName
from colonnade.drill.scenario_file import DEFAULT, OF_A_CLUSTER, find_scenario, scenario_from, shipped_names
from colonnade.planning.load_shape import find_shape
from colonnade.spec.load import load_spec
from colonnade.spec.read import parse_toml

BLOG = load_spec(Path(__file__).parents[3] / "apps" / "blog", environ={}).spec

SAFETY = {
    RuleName.LOST_WRITES_MAX,
    RuleName.DOUBLED_WRITES_MAX,
    RuleName.PHANTOM_WRITES_MAX,
    RuleName.LEFTOVERS_MAX,
}

SMALL = """
title = "It stands that."
[[fault]]
kind = "kill"
at = "6s"
role = "primary"
[rules]
lost_writes_max = 0
"""


def read(text: str) -> Any:
    return scenario_from(parse_toml(text, subject="x.toml"), name="x", kinds=["kill", "freeze"], subject="x.toml")


@pytest.mark.parametrize("name", shipped_names())
def test_each_that_comes_along_can_be_run_and_asks_for_safety(name: str) -> None:
    scenario = find_scenario(name, FAULTS)
    assert scenario.name == name
    assert scenario.title.endswith(".")
    assert scenario.rules.keys() >= SAFETY
    assert all(scenario.rules[rule] == 0 for rule in SAFETY)


@pytest.mark.parametrize("name", shipped_names())
def test_its_links_are_links_that_the_blog_has(name: str) -> None:
    scenario = find_scenario(name, FAULTS)
    needed = [fault for fault in scenario.faults if fault.kind in LINK_FAULTS]
    assert all(ways_needed(BLOG, [fault], LINK_FAULTS) for fault in needed)


def test_the_default_one_breaks_many_things_in_less_than_five_minutes() -> None:
    scenario = find_scenario(DEFAULT, FAULTS)
    assert shipped_names()[0] == DEFAULT
    assert len({fault.kind for fault in scenario.faults}) >= 12
    assert scenario.duration_s <= 240, "start, reading back and the end take half a minute more"
    ends = [fault.at_s + fault.lasts_s for fault in scenario.faults]
    assert all(later.at_s - end >= 5 for end, later in zip(ends, scenario.faults[1:], strict=False))


def test_a_file_says_everything_in_its_own_words() -> None:
    scenario = read("""
title = "It stands that."
steady = "2s"
recovery = "3s"
[load]
rate = 20
write_share = 0.5
arrivals = "constant"
[[fault]]
kind = "freeze"
at = "8s"
lasts = "500ms"
role = "replica"
extent = "some"
service = "web"
settings = { share = 0.5, way = "back" }
[[fault]]
kind = "kill"
at = 2
role = "standby"
towards = "primary"
[rules]
lost_writes_max = 0
read_gap_s_max = 1.5
""")
    assert [fault.kind for fault in scenario.faults] == ["kill", "freeze"], "they are put in order"
    assert scenario.duration_s == 2 + 6 + 0.5 + 3
    assert scenario.rules == {RuleName.LOST_WRITES_MAX: 0, RuleName.READ_GAP_S_MAX: 1.5}
    assert scenario.faults[0].aim.towards is Role.PRIMARY
    assert scenario.faults[1].aim.extent is Extent.SOME
    assert scenario.faults[1].settings == {"share": 0.5, "way": "back"}


@pytest.mark.parametrize(
    ("old", "new", "key", "hint"),
    [
        ('kind = "kill"', 'kind = "kil"', "fault[0].kind", "kill"),
        ('role = "primary"', 'role = "primry"', "fault[0].role", "primary"),
        ("at =", "att =", "fault[0].att", "at"),
        ("[rules]", "[rule]", "rule", "rules"),
        ("lost_writes_max = 0", "lost_write_max = 0", "rules.lost_write_max", "lost_writes_max"),
        ("lost_writes_max = 0", "lost_writes_max = -1", "rules.lost_writes_max", ""),
        ("lost_writes_max = 0", 'lost_writes_max = "0"', "rules.lost_writes_max", ""),
        ("lost_writes_max = 0", "", "rules", "lost_writes_max"),
        ('at = "6s"', 'at = "4s"', "fault[0].at", ""),
        ('at = "6s"', 'at = "2h"', "", ""),
        ('at = "6s"', 'at = "soon"', "fault[0].at", ""),
        ("[[fault]]", "[load]\nrate = 1e9\n[[fault]]", "load.rate", ""),
        ("[[fault]]", "[load]\nrate = 20000\nwrite_share = 2\n[[fault]]", "load.write_share", ""),
    ],
)
def test_what_is_wrong_is_told_with_its_key(old: str, new: str, key: str, hint: str) -> None:
    assert read(SMALL)
    assert old in SMALL
    with pytest.raises(SpecError) as caught:
        read(SMALL.replace(old, new))
    assert f"x.toml: {key}" in str(caught.value) or f"  {key}: " in str(caught.value)
    assert hint in str(caught.value) + caught.value.hint


def test_too_many_requests_are_refused_before_they_are_sent() -> None:
    with pytest.raises(SpecError, match="requests in"):
        read(SMALL.replace("[[fault]]", "[load]\nrate = 20000\n[[fault]]").replace('"6s"', '"10m"'))


def test_one_of_your_own_is_found_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(SMALL.replace("[[fault]]", '[load]\ntrace = "access.log"\n[[fault]]'))
    scenario = find_scenario(str(path), ["kill"])
    assert scenario.name == "mine"
    assert scenario.load.trace == str(tmp_path / "access.log")


def test_a_name_that_is_none_is_told_the_nearest() -> None:
    with pytest.raises(SpecError, match="no such scenario") as caught:
        find_scenario("primry", FAULTS)
    assert "primary" in caught.value.hint


def test_a_load_shape_brings_its_mix_unless_the_file_has_its_own() -> None:
    shape = find_shape("shop")
    load = read(SMALL.replace("[rules]", '[load]\nshape = "shop"\n[rules]')).load
    assert (load.shape, load.write_share, load.session_share) == ("shop", shape.write_share, shape.session_share)
    own = read(SMALL.replace("[rules]", '[load]\nshape = "shop"\nwrite_share = 0.5\n[rules]')).load
    assert (own.write_share, own.session_share) == (0.5, shape.session_share)


@pytest.mark.parametrize(
    ("load", "words"), [('shape = "shoop"', "no load shape"), ('shape = "shop"\ntrace = "a.log"', "one too many")]
)
def test_a_load_shape_that_is_none_or_too_much_is_told(load: str, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        read(SMALL.replace("[rules]", f"[load]\n{load}\n[rules]"))


@pytest.mark.parametrize("name", shipped_names(OF_A_CLUSTER))
def test_scenarios_for_clusters_are_good_and_have_the_same_rules_about_data(name: str) -> None:
    scenario = find_scenario(name, FAULTS, OF_A_CLUSTER)
    assert scenario.rules.keys() >= SAFETY
    assert all(scenario.rules[rule] == 0 for rule in SAFETY)
    assert name not in shipped_names(), "a report is compared with earlier ones of the same name"
