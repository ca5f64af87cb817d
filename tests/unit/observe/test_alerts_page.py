"""docs/alerts.md has a text for each alert, and says of it what the rule says."""

from __future__ import annotations

import re
from pathlib import Path

from colonnade.observe.alert_rules import RULES
from colonnade.observe.burn_rate import ALARMS

PAGE = (Path(__file__).parents[3] / "docs" / "alerts.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^### (\S+)\n\n(.*?)(?=^### |\Z)", PAGE, re.MULTILINE | re.DOTALL))


def test_each_alert_has_a_text_for_people_on_call() -> None:
    assert list(SECTIONS) == [rule.anchor for rule in RULES]
    assert all("colonnade" in text or "disk" in text or "above" in text for text in SECTIONS.values())


def test_severity_and_time_are_those_of_the_rule() -> None:
    for rule in RULES:
        said = SECTIONS[rule.anchor].partition(" *")[0].replace("\n", " ")
        time = f"{rule.for_s:.0f} s" if rule.for_s < 60 else f"{rule.for_s / 60:.0f} min"
        is_at_once = rule.for_s == 0
        assert said.startswith(rule.severity.value.capitalize()), rule.name
        assert (f"after {time}" in said) is not is_at_once, rule.name


def test_the_table_of_burn_rates_is_that_of_the_code() -> None:
    for alarm in ALARMS:
        assert re.search(rf"`slo_burn_{alarm.name}` \| {alarm.factor:g} \|.* \| {alarm.spends} \|", PAGE)
