"""Which processes are whose, and what they have used: on a status, and on processes of our own."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from colonnade.drill.calibration.parts import UPKEEP, Parts, Reading, parts_of, read_parts
from colonnade.drill.calibration.routes import entry_of
from colonnade.planning.declared import STANDBYS
from colonnade.spec.model import Spec


def status(**changes: Any) -> dict[str, Any]:
    replicas = [{"pid": 5, "state": "ready"}, {"pid": 6, "state": "starting"}, {"pid": None, "state": "waiting"}]
    nodes = [{"pid": 20, "role": "primary"}, {"pid": 21, "role": "standby"}, {"pid": None, "role": "standby"}]
    return {
        "gateway": {"pid": 2},
        "dbgate": {"pid": 3},
        "keeper_pid": 10,
        "controller_pid": 11,
        "services": [{"name": "web", "replicas": replicas}],
        "database": {"external": False, "nodes": nodes},
        **changes,
    }


def test_each_part_has_its_processes() -> None:
    found = parts_of(status())
    assert found.roots == {"gateway": (2,), UPKEEP: (10, 11), "web": (5,), "database": (3, 20), STANDBYS: (21,)}
    assert found.replicas == {"web": 1}
    assert "database" not in parts_of(status(database=None)).roots
    assert "database" not in parts_of(status(database={"external": True, "nodes": []})).roots


def test_work_is_found_with_who_does_it_and_not_with_their_parents() -> None:
    """A child that is a part of its own is not its parent's: replicas are children of the controller."""
    code = "import time; end = time.process_time() + 0.3\nwhile time.process_time() < end: pass\ninput()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        parts = Parts({"mine": (os.getpid(),), "child": (child.pid,)}, {})
        before = read_parts(parts)
        used = before
        while used.since(before).cpu_s["child"] < 0.2:
            used = read_parts(parts)
        assert child.stdin is not None
        child.stdin.close()
    assert used.since(before).cpu_s["mine"] < 20
    assert used.cpu_s["child"] >= 0.2
    assert used.machine_busy_s >= before.machine_busy_s


def test_a_reading_since_another_never_is_negative() -> None:
    later, earlier = Reading({"a": 1.0, "b": 2.0}, 5.0, 0.75), Reading({"a": 3.0}, 4.0, 0.5)
    assert later.since(earlier) == Reading({"a": 0.0, "b": 2.0}, 1.0, 0.25)


@pytest.mark.parametrize(
    ("path", "entry"), [("/", "web"), ("/post/{id}", "web"), ("/api/posts?page=1", "api"), ("/apis", "web")]
)
def test_a_path_comes_to_the_service_with_the_longest_route(path: str, entry: str) -> None:
    services = {"web": {"app": "m:a", "route": "/"}, "api": {"app": "m:b", "route": "/api"}, "x": {"app": "m:c"}}
    assert entry_of(Spec.model_validate({"services": services}), path) == entry
