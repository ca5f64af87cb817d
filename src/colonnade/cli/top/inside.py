"""What is found out about one part when somebody looks into it: the story from the events on disk, and its log."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from colonnade.cli.top.detail import About
from colonnade.cli.top.watch import Sight
from colonnade.core.errors import SpecError
from colonnade.core.events import read_events
from colonnade.core.files import tail_lines
from colonnade.system.explanation import Facts, explain, parse_question
from colonnade.system.paths import StatePaths
from colonnade.system.sentences import Sentence

EVENTS_READ_MAX = 3000
"""The newest on disk; the story of today is in them."""

CAUSES_MAX = 8
LOG_LINES = 100


def find_out(part: Mapping[str, Any], sight: Sight, paths: StatePaths) -> About:
    """Reads the disk: a few milliseconds, in a thread."""
    facts = Facts(read_events(paths.events, count_max=EVENTS_READ_MAX), sight.look.status, sight.look.at_s)
    log = log_of(part, paths.logs)
    return About(
        sentences=_sentences(part, facts),
        log=tail_lines(log, LOG_LINES) if log is not None else (),
        log_name=log.name if log is not None else "",
        now_s=sight.look.at_s,
    )


def log_of(part: Mapping[str, Any], directory: Path) -> Path | None:
    """Where it writes; a service as a whole has no log."""
    match part["kind"]:
        case "replica":
            service, _, number = part["id"].rpartition("/")
            return directory / f"{service}-{number}.log"
        case "node":
            return directory / f"db-{part['label']}.log"
        case "gateway":
            return directory / f"{part['id']}.log"
        case _:
            return None


def _sentences(part: Mapping[str, Any], facts: Facts) -> list[Sentence]:
    try:
        answer = explain(parse_question(str(part["ask"]).split(), facts), facts)
    except SpecError:  # it left a moment ago
        return []
    if part["kind"] == "service":
        slow = explain(parse_question(["slow", part["id"]], facts), facts)
        answer[1:1] = [one for one in slow if one.at_s is None and one.reason not in ("nothing_slow", "now")]
    present = [one for one in answer if one.at_s is None]
    return [*present, *[one for one in answer if one.at_s is not None][:CAUSES_MAX]]
