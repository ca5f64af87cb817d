"""A record survives its way to the disk and back, and what is none is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from colonnade.core.errors import HostError
from colonnade.core.events import Event
from colonnade.drill.checkers.writes import Held
from colonnade.drill.record import (
    FaultEnd,
    FaultRecord,
    Leftovers,
    Machine,
    Promotion,
    Record,
    Sample,
    ServerLine,
)
from colonnade.drill.record_file import OPERATIONS, RECORD, read_record, write_record
from colonnade.drill.scenario import Aim, Extent, LoadPlan, PlannedFault, Role, RuleName, Scenario

from .builders import answered_at, history

CUT = PlannedFault("cut", Aim(Role.STANDBY, Extent.SOME, towards=Role.PRIMARY), 5, 4, {"delay_s": 0.2, "way": "back"})

WHOLE = Record(
    scenario=Scenario("small", "Nothing is lost.", LoadPlan(), (CUT,), {RuleName.LOST_WRITES_MAX: 0}),
    seed=7,
    run_id="abc",
    command="colonnade drill run small --seed 7",
    versions={"colonnade": "0.1.0"},
    declaration_sha256="00",
    machine=Machine(2, 10**9, "6.1", "3.11", "a processor", "ext4 on /dev/vda", 0.5, is_root=False),
    application="blog",
    began_at_wall_s=1_700_000_000.5,
    wall_offset_s=1_699_999_000.5,
    is_interrupted=False,
    topology_before={"services": [{"name": "web", "replicas": []}], "database": None},
    topology_after={},
    history=history(*answered_at(1.0, 2.0)),
    faults=(FaultRecord(CUT, FaultEnd.DONE, "cut", "cut b off", ("b",), 5.01, 9.02, None),),
    events=(Event(1, 1_700_000_000.0, "instance_exited", "web/1", "killed", "it died", {"signal": 9}),),
    samples=(Sample(1.0, is_answered=True, ready={"web": 2}, desired={"web": 2}, primary="a", is_writable=True),),
    held=(Held("1", "t1.0"),),
    held_problem="",
    server_lines=(ServerLine("a", 1_700_000_000.1, "LOG:  database system is ready to accept connections"),),
    promotions=(Promotion("b", 2, "0/3000060"),),
    leftovers=Leftovers(files=("x is still there",)),
    untested=("it ran on one disk",),
)


@pytest.mark.parametrize(
    "record",
    [WHOLE, replace(WHOLE, held=None, held_problem="nobody can be asked", leftovers=None, is_interrupted=True)],
)
def test_a_record_is_read_back_as_it_was(record: Record, tmp_path: Path) -> None:
    write_record(record, tmp_path)
    assert read_record(tmp_path) == record


def test_an_empty_directory_is_no_record(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="holds no record"):
        read_record(tmp_path)


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda fields: {**fields, "layout": 99}, "newer Colonnade"),
        (lambda fields: {key: value for key, value in fields.items() if key != "seed"}, "cannot be read"),
        (lambda fields: {**fields, "faults": [{"end": "exploded"}]}, "cannot be read"),
        (lambda fields: {}, "cannot be read"),
        (lambda fields: [], "cannot be read"),
    ],
)
def test_a_record_that_is_not_ours_is_refused(damage: object, complaint: str, tmp_path: Path) -> None:
    write_record(WHOLE, tmp_path)
    assert callable(damage)
    (tmp_path / RECORD).write_text(json.dumps(damage(json.loads((tmp_path / RECORD).read_text()))))
    with pytest.raises(HostError, match=complaint):
        read_record(tmp_path)


def test_half_a_history_is_refused(tmp_path: Path) -> None:
    write_record(WHOLE, tmp_path)
    text = (tmp_path / OPERATIONS).read_text()
    (tmp_path / OPERATIONS).write_text(text[:-20])
    with pytest.raises(HostError, match="cannot be read"):
        read_record(tmp_path)
