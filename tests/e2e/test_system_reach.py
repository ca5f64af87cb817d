"""As root below a closed directory: the parts run as an ordinary user all the same, and nobody else gets in."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import psutil
import pytest

from .harness import TINY_SERVICE, Runner

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's parts run as that user"),
]


def test_parts_reach_what_they_need_below_a_closed_directory(runner: Runner) -> None:
    closed = runner.directory
    runner.directory = closed / "in between" / "project"
    runner.directory.mkdir(parents=True)
    runner.declare(TINY_SERVICE + "\n[database]\nstandbys = 0\n")
    closed.chmod(0o700)
    try:
        runner.up()
        assert runner.get().status == 200
        for pid in runner.replicas().values():
            assert psutil.Process(pid).username() == "nobody"
        assert closed.stat().st_mode & 0o777 == 0o700
        assert not _may_nobody_enter(closed)
    finally:
        runner.run("down")
        closed.chmod(0o755)


def test_a_closed_application_directory_is_told(runner: Runner) -> None:
    runner.declare()
    runner.directory.chmod(0o700)
    ran = runner.run("up", "--detach")
    runner.directory.chmod(0o755)
    assert ran.exit_code == 3
    assert "may not enter" in ran.text
    assert "chmod o+rx" in ran.text


def _may_nobody_enter(path: Path) -> bool:
    """Asked as that user, outside of the system's own view."""
    nobody = pwd.getpwnam("nobody")
    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setgid(nobody.pw_gid)
        os.setuid(nobody.pw_uid)
        os._exit(0 if os.access(path / "in between", os.X_OK) else 1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
