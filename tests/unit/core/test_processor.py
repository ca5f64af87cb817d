"""What processes use of the processor."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from colonnade.core.processor import cores_count, processor_s_of_groups

WORKS = "sum(range(5_000_000)); print('up', flush=True); input()"
WORKS_WITH_A_CHILD = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {WORKS!r}])
child.wait()
"""


@pytest.mark.slow
def test_children_count_with_their_group() -> None:
    command = [sys.executable, "-c", WORKS_WITH_A_CHILD]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        used = processor_s_of_groups([process.pid])
        process.communicate(b"\n")
    assert 0.02 < used[process.pid] < 10


def test_a_group_that_is_gone_used_nothing_that_we_know() -> None:
    own = os.getpgid(0)
    found = processor_s_of_groups([own, 2**22 + 1])
    assert set(found) == {own}
    assert found[own] > 0


def test_there_is_a_core() -> None:
    assert cores_count() >= 1
