"""A drill that was asked for on the page, as the dashboard asks for it: it ends with the system that it was begun on,
and takes with it whatever it started."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from colonnade.core.processes import marked_processes
from colonnade.drill.instance import OWNER, SCRATCH_PREFIX
from colonnade.system.client import ControlClient

from .harness import Runner, is_alive, kill

pytestmark = pytest.mark.slow


@pytest.fixture
def shop(work_dir: Path, free_port: Callable[[], int]) -> Iterator[Runner]:
    # What the drill copies is below it, and nobody else's drills are.
    scratch = work_dir / "tmp"
    scratch.mkdir(mode=0o755)
    runner = Runner(work_dir / "shop", free_port(), env={"TMPDIR": str(scratch)})
    runner.directory.mkdir(mode=0o755)
    runner.declare()
    runner.up()
    yield runner
    runner.finish()


def begin(shop: Runner) -> int:
    """Ask for the default drill; the pid of the process that leads it."""
    with ControlClient(shop.paths) as client:
        assert "has begun" in str(client._ask("POST", "/drills", body={"scenario": "default"})["message"])
    record: dict[str, Any] = json.loads((shop.paths.root / "drill.json").read_text())
    return int(record["pid"])


def copies(shop: Runner) -> list[Path]:
    return list(Path(shop.env["TMPDIR"]).glob(f"{SCRATCH_PREFIX}*/{OWNER}"))


def copy_that_runs(shop: Runner) -> str:
    """The mark of the system that the drill has started, once it has replicas."""

    def found() -> str:
        marks = [json.loads(path.read_text())["state"] for path in copies(shop)]
        return next((mark for mark in marks if len(marked_processes(mark)) > 3), "")

    mark = shop.wait_until(found, "the drill has started its copy")
    assert isinstance(mark, str)
    return mark


def test_a_drill_ends_with_the_system_and_a_killed_one_leaves_nothing(shop: Runner) -> None:
    drill = begin(shop)
    mark = copy_that_runs(shop)
    kill(drill)
    shop.wait_until(lambda: shop.events("drill_ended") and not copies(shop), "what it left is cleared away")
    assert marked_processes(mark) == []

    drill = begin(shop)
    mark = copy_that_runs(shop)
    shop.wait_until(lambda: shop.status() is not None, "it answers")
    controller = shop.running()["controller_pid"]
    kill(controller)
    shop.wait_until(lambda: (shop.status() or {}).get("controller_pid") not in (None, controller), "the next one")
    shop.running()
    ran = shop.run("down", timeout_s=100)
    assert ran.exit_code == 0, ran.text + shop.story()
    assert not is_alive(drill)
    assert (marked_processes(mark), copies(shop)) == ([], [])
    shop.assert_nothing_left()
    assert shop.events("drill_ended")[-1].message


def test_by_force_a_drill_is_killed_with_all_that_it_started(shop: Runner) -> None:
    drill = begin(shop)
    mark = copy_that_runs(shop)
    ran = shop.run("down", "--force")
    assert ran.exit_code == 0, ran.text
    assert not is_alive(drill)
    assert (marked_processes(mark), copies(shop)) == ([], [])
