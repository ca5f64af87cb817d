"""Blogs with one bug each, and for each bug the scenario in which a drill has to find it.

A plant is a mistake that people make: in colonnade.toml where a key makes it, otherwise in the source of a copy. Its
control is the same blog in the same scenario without that mistake. `test_drill_planted.py` runs the plants,
`bench/planted.py` counts both, with many seeds.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from colonnade.drill.load.ledger import Operation, Outcome
from colonnade.drill.record import Record
from colonnade.drill.record_file import read_record
from colonnade.drill.scenario import RuleName

from .harness import Ran, Runner

BLOG = Path(__file__).parents[2] / "apps" / "blog"

DRILL_TIMEOUT_S = 150.0
"""A drill of 10 s takes 25 on an idle machine."""

Offence = Callable[[Operation, int], bool]
"""Whether an operation is what the rule forbids; the number says how many items with its token are held afterwards."""


@dataclass(frozen=True)
class Change:
    """Of one file of the blog; `old` must be there."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Plant:
    name: str
    rule: RuleName
    """That has to find it."""
    is_offence: Offence
    changes: tuple[Change, ...]
    """The mistake."""
    scenario: str
    always: tuple[Change, ...] = ()
    """What is changed for the control as well."""


LOST = Plant(
    "lost",
    RuleName.LOST_WRITES_MAX,
    lambda write, copies: write.outcome is Outcome.OK and copies == 0,
    # Acknowledged when the primary has it, whether or not a standby does.
    changes=(Change("colonnade.toml", 'durability = "quorum"', 'durability = "async"'),),
    # Death alone loses next to nothing: the standbys are milliseconds behind. So what is written just before is kept
    # from them; the old primary alone has it, and is rewound when it comes back.
    scenario="""
title = "A primary that nobody could follow dies, and what it has acknowledged is there."
steady = "1s"
recovery = "3s"
[load]
rate = 60
write_share = 0.4
session_share = 0
[[fault]]
at = "1s"
lasts = "2s"
kind = "link_cut"
role = "standby"
towards = "primary"
extent = "all"
[[fault]]
at = "2.5s"
kind = "kill"
role = "primary"
[rules]
lost_writes_max = 0
doubled_writes_max = 0
phantom_writes_max = 0
two_primaries_s_max = 0
leftovers_max = 0
""",
)

DOUBLED = Plant(
    "doubled",
    RuleName.DOUBLED_WRITES_MAX,
    lambda _, copies: copies > 1,
    # The declaration has the gateway repeat keyed requests, and the application does not look at the key.
    changes=(Change("backend/posts.py", "        key = _key()\n", "        key = None\n"),),
    # Replies are broken off while COMMITs wait for their standbys: these writes have been made.
    scenario="""
title = "Connections break while writes are under way, and each write is there once."
steady = "1s"
recovery = "1s"
[load]
rate = 60
write_share = 0.4
session_share = 0
[[fault]]
at = "1s"
lasts = "3s"
kind = "link_delay"
role = "standby"
towards = "primary"
extent = "all"
settings = { delay_s = 0.15, jitter_s = 0.02 }
[[fault]]
at = "2s"
kind = "link_reset"
role = "gateway"
towards = "replica"
service = "backend"
extent = "all"
[[fault]]
at = "3s"
kind = "link_reset"
role = "gateway"
towards = "replica"
service = "backend"
extent = "all"
[rules]
lost_writes_max = 0
doubled_writes_max = 0
phantom_writes_max = 0
leftovers_max = 0
""",
)

STALE = Plant(
    "stale",
    RuleName.STALE_SESSION_READS_MAX,
    lambda look, _: look.session is not None and look.found is False,
    # Any standby may answer, for the visitor's token is not passed on.
    changes=(Change("backend/posts.py", "self.visits.here.read(", "self.visits.database.read("),),
    scenario="""
title = "A standby falls behind, and visitors see what they have written."
steady = "1s"
recovery = "1s"
[load]
rate = 90
write_share = 0.2
session_share = 0.8
[[fault]]
at = "1s"
lasts = "4s"
kind = "link_delay"
role = "standby"
towards = "primary"
settings = { delay_s = 1, jitter_s = 0 }
[rules]
lost_writes_max = 0
doubled_writes_max = 0
phantom_writes_max = 0
stale_session_reads_max = 0
leftovers_max = 0
""",
)

DROPPED = Plant(
    "dropped",
    RuleName.FAILED_WRITES_SHARE_MAX,
    lambda write, _: write.outcome is not Outcome.OK,
    # Nobody is waited for: neither until the replica has answered what it has, nor until it has ended by itself.
    changes=(Change("colonnade.toml", "replicas = 3\n", 'replicas = 3\nstop_timeout = "0s"\n'),),
    # Otherwise the gateway would make good what a replica leaves unanswered, and nobody would notice.
    always=(Change("colonnade.toml", "idempotency_key = true", "idempotency_key = false"),),
    scenario="""
title = "A service gets fewer replicas, and nobody's request is dropped."
steady = "1s"
recovery = "1s"
[load]
rate = 60
write_share = 0.4
session_share = 0
[[fault]]
at = "1s"
lasts = "5s"
kind = "link_delay"
role = "standby"
towards = "primary"
extent = "all"
settings = { delay_s = 0.15, jitter_s = 0.02 }
[[fault]]
at = "2s"
lasts = "2s"
kind = "scale"
role = "service"
service = "backend"
[rules]
lost_writes_max = 0
doubled_writes_max = 0
phantom_writes_max = 0
failed_writes_share_max = 0
leftovers_max = 0
""",
)

PLANTS = (LOST, DOUBLED, STALE, DROPPED)


@dataclass(frozen=True)
class Drilled:
    """A drill that is over."""

    ran: Ran
    report: dict[str, Any]
    record: Record

    def finding(self, rule: RuleName) -> dict[str, Any]:
        found: dict[str, Any] = next(each for each in self.report["findings"] if each["rule"] == rule)
        return found

    def first_offence(self, rule: RuleName) -> Operation | None:
        """The operation that the report names first under this rule."""
        named = [re.search(r"operation (\d+)", line) for line in self.finding(rule)["evidence"][:1]]
        numbers = {int(match[1]) for match in named if match is not None}
        return next((each for each in self.record.history.operations if each.id in numbers), None)

    def copies_of(self, operation: Operation) -> int:
        return len({each.id for each in self.record.held or () if each.token == operation.token})


def drill_blog(runner: Runner, plant: Plant, *, is_planted: bool, seed: int) -> Drilled:
    """Make a blog in the runner's empty directory, with the bug or without it, and drill it once."""
    take_blog(runner.directory, (*plant.always, *(plant.changes if is_planted else ())))
    scenario = runner.write(f"{plant.name}.toml", plant.scenario)
    out = runner.directory / "reports"
    words = ("drill", "run", str(scenario), "--seed", str(seed), "--out", str(out))
    ran = runner.run(*words, timeout_s=DRILL_TIMEOUT_S)
    directories = list(out.glob("*")) if out.is_dir() else []
    assert len(directories) == 1, ran.text
    return Drilled(ran, json.loads((directories[0] / "report.json").read_text()), read_record(directories[0]))


def take_blog(directory: Path, changes: tuple[Change, ...]) -> None:
    ignored = shutil.ignore_patterns(".colonnade", "__pycache__", "tests")
    shutil.copytree(BLOG, directory, ignore=ignored, dirs_exist_ok=True)
    for change in changes:
        path = directory / change.file
        text = path.read_text()
        assert change.old in text, (
            f"{change.file} has no {change.old!r}: it was written anew, and the plant must be too"
        )
        path.write_text(text.replace(change.old, change.new))
