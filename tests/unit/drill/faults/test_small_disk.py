"""A small disk of the drill's own, laid and filled by a process of its own, as root and as an ordinary user."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from colonnade.drill.faults.small_disk import is_small_disk

pytestmark = pytest.mark.slow

SIZE_BYTES = 8 * 1024 * 1024

IN_A_PROCESS = f"""
import asyncio, os, sys
from pathlib import Path
from random import Random
from colonnade.core.clock import SystemClock
from colonnade.drill.faults.fault import Instance, NotPossible, Surroundings
from colonnade.drill.faults.registry import FAULTS
from colonnade.drill.faults.small_disk import lay_small_disk
from colonnade.drill.scenario import Aim, PlannedFault, Role
from colonnade.system.paths import StatePaths

place = Path(sys.argv[1])
try:
    lay_small_disk(place, {SIZE_BYTES})
except NotPossible as error:
    raise SystemExit(f"not possible: {{error.reason}}")
instance = Instance(StatePaths(place), place, "", place)
around = Surroundings(instance, {{}}, None, Random(1), SystemClock())
fault = FAULTS["disk_full"](PlannedFault("disk_full", Aim(Role.SYSTEM), 0.0, 1.0, {{"left_bytes": 4096}}), around)

def room():
    about = os.statvfs(place)
    return about.f_bavail * about.f_frsize

before = room()
asyncio.run(fault.inject())
print(fault.message)
left = room()
try:
    (place / "more").write_bytes(b"x" * 100_000)
except OSError as error:
    print("refused", error.errno)
(place / "more").unlink()
for _ in range(2):
    asyncio.run(fault.heal())
print(os.geteuid(), before > 4_000_000, left <= 4096, room() == before)
"""


def users() -> list[int]:
    return [0, pwd.getpwnam("nobody").pw_uid] if os.geteuid() == 0 else [os.geteuid()]


@pytest.mark.parametrize("user", users())
def test_it_is_filled_and_freed_and_nobody_outside_sees_it(work_dir: Path, user: int) -> None:
    place = work_dir / "state"
    place.mkdir()
    os.chown(place, user, -1)
    ran = subprocess.run(
        [sys.executable, "-c", IN_A_PROCESS, str(place)],
        user=user,
        extra_groups=[] if os.geteuid() == 0 else None,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        timeout=60,
    )
    if "mount_not_allowed" in ran.stderr and user != 0:
        pytest.skip("a user may have no mounts of their own here")
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert lines[0].startswith("filled the instance's disk with 8 MB")
    assert lines[1:] == ["refused 28", f"{user} True True True"]
    assert list(place.iterdir()) == []
    assert not is_small_disk(place)
