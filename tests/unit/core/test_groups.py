"""What process groups use, as /proc says it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from colonnade.core import processes
from colonnade.core.groups import usage_of_groups

WORKS = "sum(range(5_000_000)); print('up', flush=True); input()"
WORKS_WITH_A_CHILD = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {WORKS!r}])
child.wait()
"""


@pytest.mark.slow
def test_the_processor_time_of_children_counts_with_their_group() -> None:
    command = [sys.executable, "-c", WORKS_WITH_A_CHILD]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        used = usage_of_groups([process.pid])
        process.communicate(b"\n")
    assert 0.02 < used[process.pid].processor_s < 10


def test_a_group_that_is_gone_used_nothing_that_we_know() -> None:
    own = os.getpgid(0)
    found = usage_of_groups([own, 2**22 + 1])
    assert set(found) == {own}
    assert found[own].processor_s > 0


@pytest.mark.slow
def test_a_group_has_what_all_its_processes_hold(tmp_path: Path) -> None:
    holds = (
        "import os, sys, time\n"
        "os.fork()\n"
        "held = bytearray(50_000_000)\n"
        "held[::4096] = bytes(len(held[::4096]))\n"
        "print('.', flush=True)\n"
        "time.sleep(30)\n"
    )
    log = tmp_path / "log"
    process = processes.start(
        processes.Command([sys.executable, "-I", "-c", holds], tmp_path, {"PATH": os.defpath}, log)
    )
    asyncio.run(_look(process, log))


async def _look(process: processes.Process, log: Path) -> None:
    try:
        while dots_in(log) < 2:
            assert not process.has_exited()
            await asyncio.sleep(0.01)
        memory = usage_of_groups({process.pid})[process.pid]
    finally:
        await processes.kill(process)
        process.close()
    assert 100_000_000 < memory.own_bytes < 160_000_000
    assert 50_000_000 < memory.address_space_bytes_max < 100_000_000
    assert usage_of_groups({process.pid}) == {}


def dots_in(log: Path) -> int:
    return log.read_text().count(".")
