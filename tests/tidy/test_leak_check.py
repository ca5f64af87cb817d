"""The check of `tests/conftest.py` for processes that a slow test leaves behind, tried on a test that leaves one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

LEAVES_ONE = """
import os, subprocess, sys
import pytest

@pytest.mark.slow
def test_leaves_one(work_dir):
    env = os.environ | {"COLONNADE_SYSTEM": str(work_dir / "state")}
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env=env, start_new_session=True)

def test_next(): pass
"""

LEAVES_ONE_UNMARKED = """
import subprocess, sys
import pytest

@pytest.mark.slow
def test_leaves_one(work_dir):
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env={}, cwd=work_dir)

def test_next(): pass
"""

LEAVES_NONE = """
import os, subprocess, sys
import pytest

@pytest.mark.slow
def test_leaves_none(work_dir, free_port):
    env = os.environ | {"COLONNADE_SYSTEM": str(work_dir / "state")}
    subprocess.run([sys.executable, "-c", ""], env=env, check=True)
    assert work_dir.stat().st_mode & 0o777 == 0o755
    assert free_port() != free_port()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "told"),
    [
        (LEAVES_ONE, ["2 passed, 1 error", "left running (and now killed)"]),
        (LEAVES_ONE_UNMARKED, ["2 passed, 1 error", "left running (and now killed)"]),
        (LEAVES_NONE, ["1 passed"]),
    ],
)
def test_a_process_left_behind_is_told_and_killed(work_dir: Path, text: str, told: list[str]) -> None:
    shutil.copy(ROOT / "tests" / "conftest.py", work_dir)
    (work_dir / "test_it.py").write_text(text)
    (work_dir / "pytest.ini").write_text("[pytest]\nmarkers = slow\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-W", "ignore::ResourceWarning", str(work_dir)]
    ended = subprocess.run(command, cwd=work_dir, env=os.environ, capture_output=True, text=True, check=False)
    assert [words for words in told if words not in ended.stdout] == [], ended.stdout
    assert ended.returncode == (1 if len(told) > 1 else 0)
