"""How a system begins and ends: viewer, keeper, `down` by every door, and what a new start finds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from colonnade.system.client import ControlClient

from .harness import TINY_APP, Runner, is_alive, kill

pytestmark = pytest.mark.slow

ORDINARY_USER = 12345
"""Needs no entry in the list of users: nothing asks for its name."""


@contextmanager
def viewer(runner: Runner) -> Iterator[subprocess.Popen[str]]:
    """`colonnade up` in the foreground; killed at the end, should it still run."""
    with runner.begin("up") as process:
        try:
            yield process
        finally:
            process.kill()


def ended(process: subprocess.Popen[str]) -> str:
    """All it printed; fails when it does not end."""
    out, err = process.communicate(timeout=60)
    return out + err


def test_ctrl_c_in_the_viewer_takes_everything_down(runner: Runner) -> None:
    runner.declare()
    with viewer(runner) as process:
        assert process.stdout is not None
        shown = iter(process.stdout.readline, "")
        assert any("Ctrl-C takes the system down" in line for line in shown)
        process.send_signal(signal.SIGINT)
        text = ended(process)
    assert process.returncode == 0, text
    assert "down" in text
    assert "Traceback" not in text
    runner.assert_nothing_left()


@pytest.mark.parametrize("moment", ["keeper starts", "controller starts", "application is imported", "first replica"])
def test_ctrl_c_during_the_start_leaves_nothing(runner: Runner, moment: str) -> None:
    runner.declare()
    runner.write("tiny.py", "import time\ntime.sleep(2)\n" + TINY_APP)
    seen = {
        "keeper starts": lambda: runner.find_process("colonnade.system.keeper"),
        "controller starts": lambda: runner.find_process("colonnade.system.controller"),
        "application is imported": lambda: runner.find_process("probe_app.py"),
        "first replica": lambda: runner.find_process("granian"),
    }[moment]
    with viewer(runner) as process:
        runner.wait_until(seen, moment)
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        text = ended(process)
    assert process.returncode != 0, text
    assert "Traceback" not in text
    # A server that still imports its application does not hear SIGTERM; nobody waits ten seconds for it.
    assert time.monotonic() - began < 9.5
    runner.assert_nothing_left()


def test_a_killed_viewer_stops_nothing(runner: Runner) -> None:
    runner.declare()
    with viewer(runner) as process:
        before = runner.running()
        process.kill()
        process.wait()
    assert runner.running()["controller_pid"] == before["controller_pid"]
    assert runner.get().status == 200


def test_the_viewer_ends_when_the_system_does(runner: Runner) -> None:
    runner.declare()
    with viewer(runner) as process:
        runner.running()
        assert runner.run("down").exit_code == 0
        ended(process)
    assert process.returncode == 0


def test_sigterm_to_the_keeper_is_a_graceful_down(runner: Runner) -> None:
    runner.declare()
    runner.up()
    keeper = runner.running()["keeper_pid"]
    kill(keeper, number=signal.SIGTERM)
    runner.wait_gone(keeper)
    runner.assert_nothing_left()
    assert runner.events("system_stopping")
    assert not runner.events("stragglers_killed")


def test_sigterm_to_the_keeper_is_heard_while_the_controller_starts(runner: Runner) -> None:
    runner.declare()
    runner.up()
    status = runner.running()
    kill(status["controller_pid"])
    runner.wait_gone(status["controller_pid"])
    runner.wait_until(lambda: runner.find_process("colonnade.system.controller"), "the next controller")
    kill(status["keeper_pid"], number=signal.SIGTERM)
    runner.wait_gone(status["keeper_pid"])
    runner.assert_nothing_left()


def test_a_down_outlives_the_controller_that_was_asked(runner: Runner) -> None:
    runner.declare()
    runner.up()
    status = runner.running()
    with ControlClient(runner.paths) as client:
        client.down()
    kill(status["controller_pid"])
    runner.wait_until(lambda: not runner.processes(), "everything is gone")


def test_down_twice_is_no_error(runner: Runner) -> None:
    runner.declare()
    runner.up()
    first, second = runner.run("down"), runner.run("down")
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert "nothing is running here" in second.out
    runner.assert_nothing_left()


def test_down_says_what_still_runs_when_nobody_answers(runner: Runner) -> None:
    runner.declare()
    runner.up()
    status = runner.running()
    kill(status["keeper_pid"], status["controller_pid"])
    runner.wait_gone(status["keeper_pid"], status["controller_pid"])
    refused = runner.run("down")
    assert refused.exit_code != 0
    assert "down --force" in refused.err
    assert runner.get().status == 200
    forced = runner.run("down", "--force")
    assert forced.exit_code == 0
    assert "killed" in forced.out
    runner.assert_nothing_left()
    assert "nothing was left" in runner.run("down", "--force").out


def test_down_waits_for_a_controller_that_is_being_replaced(runner: Runner) -> None:
    runner.declare()
    runner.up()
    kill(runner.running()["controller_pid"])
    ran = runner.run("down")
    assert ran.exit_code == 0, ran.text
    runner.assert_nothing_left()


def test_a_start_after_everything_was_killed_begins_anew(runner: Runner) -> None:
    runner.declare()
    runner.up()
    pids = runner.processes()
    for number in (signal.SIGSTOP, signal.SIGKILL):
        kill(*(pid for pid in pids if is_alive(pid)), number=number)
    runner.wait_gone(*pids)
    runner.up()
    assert set(runner.running()["services"][0]["replicas"][0].keys()) >= {"id", "pid"}
    assert not set(pids) & set(runner.processes())


def test_two_starts_at_once_make_one_system(runner: Runner) -> None:
    runner.declare()
    with runner.begin("up", "--detach") as one, runner.begin("up", "--detach") as other:
        texts = [ended(one), ended(other)]
    assert (one.returncode, other.returncode) == (0, 0), "\n".join(texts) + runner.story()
    runner.running()
    assert len([text for text in texts if "already" in text or "ready in" in text]) == 2, texts
    assert len(runner.events("controller_started")) == 1


def test_a_state_directory_that_was_removed_does_not_keep_it_from_going_down(runner: Runner) -> None:
    runner.declare()
    runner.up()
    runner.running()
    subprocess.run(["rm", "-rf", str(runner.paths.root)], check=True)
    ran = runner.run("down")
    assert ran.exit_code == 0, ran.text
    runner.assert_nothing_left()


def test_a_replica_that_was_starting_when_the_controller_died_gets_ready(runner: Runner) -> None:
    runner.declare()
    runner.up()
    before = runner.running()
    # From now on an application takes a second to start: long enough to be killed in between.
    runner.write("tiny.py", "import time\ntime.sleep(1)\n" + TINY_APP)
    os.killpg(runner.replicas()["web/1"], signal.SIGKILL)

    def starting() -> bool:
        status = runner.status() or before
        return bool(status["services"][0]["replicas"][0]["state"] == "starting")

    runner.wait_until(starting, "web/1 starts again")
    kill(before["controller_pid"])
    runner.wait_gone(before["controller_pid"])
    runner.running()


def test_an_application_without_any_file_runs_as_three_replicas(runner: Runner) -> None:
    runner.write("tiny.py", TINY_APP)
    ran = runner.run("up", "tiny:app", "--detach", "--listen", f"127.0.0.1:{runner.port}")
    assert ran.exit_code == 0, ran.text + runner.story()
    assert f"http://127.0.0.1:{runner.port}" in ran.out
    assert set(runner.replicas("web")) == {"web/1", "web/2", "web/3"}
    assert runner.get("/here").body.endswith(" /here")
    # The next controller reads no file either.
    before = runner.running()["controller_pid"]
    kill(before)
    runner.wait_gone(before)
    assert runner.running()["url"] == f"http://127.0.0.1:{runner.port}"


def test_a_shell_in_the_state_directory_is_nobodys_to_kill(runner: Runner) -> None:
    runner.declare()
    runner.paths.logs.mkdir(parents=True)
    with subprocess.Popen(["sleep", "60"], cwd=runner.paths.logs) as shell:
        try:
            runner.up()
            assert runner.run("down").exit_code == 0
            assert runner.run("down", "--force").exit_code == 0
            assert shell.poll() is None
        finally:
            shell.kill()


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user runs all the other tests as one")
def test_an_ordinary_user_starts_heals_and_ends_it(runner: Runner) -> None:
    runner.user_id = ORDINARY_USER
    runner.env = {"HOME": str(runner.directory), "XDG_RUNTIME_DIR": ""}
    os.chown(runner.directory, ORDINARY_USER, ORDINARY_USER)
    runner.declare()
    runner.up()
    status = json.loads(runner.run("status", "--json").out)
    for pid in (status["keeper_pid"], status["gateway"]["pid"], status["services"][0]["replicas"][0]["pid"]):
        assert os.stat(f"/proc/{pid}").st_uid == ORDINARY_USER
    kill(status["keeper_pid"], status["controller_pid"])
    runner.wait_gone(status["keeper_pid"], status["controller_pid"])
    assert runner.get().status == 200
    assert "takes over" in runner.up().out
    assert runner.get().status == 200
