"""What is shown of a drill while it goes on."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

from rich.console import Console, Group

from colonnade.cli.drill_screen import fault_name, progress_lines, progress_screen
from colonnade.drill.load.tally import Counts
from colonnade.drill.progress import FaultProgress, Phase, Progress
from colonnade.drill.record import FaultEnd, FaultRecord, Sample
from colonnade.drill.scenario import Aim, Extent, PlannedFault, Role

KILL = PlannedFault("kill", Aim(Role.PRIMARY), 6)
CUT = PlannedFault("link_cut", Aim(Role.STANDBY, Extent.ALL, towards=Role.PRIMARY), 9, 3)


def fault(planned: PlannedFault, end: FaultEnd, message: str = "", *, is_under_way: bool = False) -> FaultProgress:
    return FaultProgress(FaultRecord(planned, end, "x", message), is_under_way)


BEFORE = Progress(
    phase=Phase.STEADY,
    load_s=3.0,
    duration_s=30.0,
    counts=Counts(300, 0, 0),
    faults=(fault(KILL, FaultEnd.NOT_REACHED), fault(CUT, FaultEnd.NOT_REACHED)),
    sample=Sample(1.0, is_answered=True),
    is_interrupted=False,
)
LATER = replace(
    BEFORE,
    phase=Phase.BREAKING,
    load_s=11.0,
    counts=Counts(1_100, 2, 1),
    faults=(
        fault(KILL, FaultEnd.DONE, "killed a, the primary (pid [7])"),
        fault(CUT, FaultEnd.DONE, "cut b → a", is_under_way=True),
    ),
    sample=Sample(1.0, is_answered=True, problems=("database: 1 node(s) not in service",)),
)


def shown(progress: Progress) -> str:
    text = StringIO()
    Console(file=text, width=150).print(Group(*progress_screen("small", progress)))
    return text.getvalue()


def lines(before: Progress | None, now: Progress) -> str:
    text = StringIO()
    console = Console(file=text, width=150)
    for line in progress_lines(before, now):
        console.print(line)
    return text.getvalue()


def test_the_screen_says_where_it_is_what_failed_and_what_is_broken() -> None:
    early, later = shown(BEFORE), shown(LATER)
    assert "measuring the steady state" in early
    assert "3 of 30 s" in early
    assert "everything is whole" in early
    assert "at 6 s" in early
    assert "1,100 requests, 2 failed, 1 of unknown fate" in later
    assert "killed a, the primary (pid [7])" in later, "what looks like markup is shown as it is"
    assert "!  link_cut all of standby → primary" in later
    assert "1 node(s) not in service" in later


def test_before_the_load_there_are_no_counts() -> None:
    assert "requests" not in shown(replace(BEFORE, phase=Phase.STARTING, load_s=-1.0))


def test_lines_are_written_for_what_has_changed_and_only_once() -> None:
    first, second = lines(None, BEFORE), lines(BEFORE, LATER)
    assert "measuring the steady state" in first
    assert "killed a" not in first
    assert "breaking things" in second
    assert "kill primary: killed a, the primary (pid [7])" in second
    assert "1,100 requests" in second
    assert lines(LATER, LATER) == ""
    assert "interrupted" in lines(LATER, replace(LATER, is_interrupted=True))


def test_a_fault_is_called_by_what_it_does_to_whom() -> None:
    assert fault_name(KILL) == "kill primary"
    assert fault_name(CUT) == "link_cut all of standby → primary"
    aim = Aim(Role.REPLICA, Extent.SOME, service="web")
    assert fault_name(PlannedFault("freeze", aim, 1)) == "freeze some replicas of web"
