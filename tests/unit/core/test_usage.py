"""What processes take of the machine."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from colonnade.core.usage import available_memory_bytes, cores, usage_of

HOLDS_AND_WORKS = """
import subprocess, sys
held = bytearray(b"x" * 30_000_000)
sum(range(3_000_000))
inner = "held = bytearray(b'x' * 20_000_000); print('up', flush=True); input()"
child = subprocess.Popen([sys.executable, "-c", inner])
child.wait()
"""


@pytest.mark.slow
def test_children_count_with_their_parent() -> None:
    command = [sys.executable, "-c", HOLDS_AND_WORKS]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        used = usage_of(process.pid)
        process.communicate(b"\n")
    assert used is not None
    assert 50_000_000 < used.own_bytes < 150_000_000
    assert used.cpu_s > 0


def test_we_use_something_and_the_gone_use_nothing() -> None:
    own = usage_of(os.getpid())
    assert own is not None
    assert own.cpu_s > 0
    assert own.own_bytes > 1_000_000
    assert usage_of(2**22 + 1) is None


def test_the_machine_has_cores_and_memory() -> None:
    total, available = available_memory_bytes()
    assert 0 < available <= total
    assert cores() >= 1
