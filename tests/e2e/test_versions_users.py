"""Versions under real users: root takes them and the parts' user runs from them; or one ordinary user does both."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from tests.unit.system.project import Project

from colonnade.core.processes import Credentials
from colonnade.spec.detect import hint_for_writing

PARTS = Credentials(65534, 65534, "nobody", "/nonexistent")
STRANGER = 54321

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be several users")

pytestmark = pytest.mark.slow


def run(script: str, user: int, place: Path) -> subprocess.CompletedProcess[str]:
    """Python code in `place`: as root as another user, else as ourselves."""
    argv = [sys.executable, "-c", script]
    env = {"PATH": os.defpath}  # nothing of ours that changes how Python compiles
    who = user if os.geteuid() == 0 else None
    groups: list[int] | None = [] if who is not None else None
    return subprocess.run(
        argv, cwd=place, env=env, capture_output=True, text=True, check=False, user=who, group=who, extra_groups=groups
    )


@as_root
def test_the_parts_run_from_a_copy_they_cannot_change_and_compile_into_it(work_dir: Path) -> None:
    project = Project(work_dir / "app", credentials=PARTS)
    project.write("web/web.py", "answer = 42\n")
    project.write("web/own.key", "secret", mode=0o600)
    os.chown(project.directory / "web/own.key", 65534, 65534)
    project.write("web/root.key", "secret", mode=0o600)
    code = project.take().directory / "web"

    told = run("import web; print(web.answer, open('own.key').read())", 65534, code)
    assert told.stdout == "42 secret\n", told.stderr
    assert list((code / "__pycache__").glob("web.*.pyc")), "the next replica need not compile it"
    for script in (
        "open('new.txt', 'w')",
        "open('web.py', 'a')",
        "import os; os.remove('web.py')",
        "import os; os.chmod('web.py', 0o644)",
        "open('root.key')",
    ):
        assert "PermissionError" in run(script, 65534, code).stderr, script

    assert run("print(open('web.py').read())", STRANGER, code).returncode == 0, "as it was with the original"
    for script in ("open('own.key')", "import os; os.listdir('__pycache__')", "import os; os.listdir('../../..')"):
        assert "PermissionError" in run(script, STRANGER, code).stderr, script


@as_root
def test_what_the_parts_leave_behind_does_not_keep_a_version_from_going(work_dir: Path) -> None:
    project = Project(work_dir / "app", credentials=PARTS)
    victim = work_dir / "victim"
    victim.mkdir(mode=0o755)
    code = project.take().directory / "web"
    script = f"import os; os.mkdir('__pycache__/d', 0); os.symlink({str(victim)!r}, '__pycache__/link')"
    assert run(script, 65534, code).returncode == 0
    project.write("web/web.py", "web 2")
    project.take()
    assert project.store.prune(1) == (1,)
    assert victim.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_database_of_sqlite_is_written_where_it_is_with_its_journal(work_dir: Path, mode: str) -> None:
    project = Project(work_dir / "app", credentials=PARTS if os.geteuid() == 0 else None)
    data = project.directory / "data"
    project.write("data/app.db", "")
    if os.geteuid() == 0:
        for place in (data, data / "app.db"):
            os.chown(place, 65534, 65534)
    code = project.take().directory
    script = f"""
import os, sqlite3
database = sqlite3.connect("data/app.db")
database.execute("PRAGMA journal_mode={mode}")
database.execute("BEGIN")
database.execute("CREATE TABLE t (x)")
print(sorted(os.listdir({str(data)!r})))
database.commit()
"""
    told = run(script, 65534, code)
    assert "app.db-" in told.stdout, told.stderr
    assert os.listdir(code / "data") == ["app.db"]
    with sqlite3.connect(data / "app.db") as database:
        assert database.execute("SELECT count(*) FROM t").fetchone() == (0,)
    database.close()


def test_a_database_that_the_application_makes_itself_is_refused_loudly(work_dir: Path) -> None:
    project = Project(work_dir / "app", credentials=PARTS if os.geteuid() == 0 else None)
    code = project.take().directory
    told = run("import sqlite3; sqlite3.connect('new.db').execute('CREATE TABLE t (x)')", 65534, code)
    assert hint_for_writing(told.stderr, code), told


LIFE = """
from pathlib import Path
from tests.unit.system.project import Project
project = Project(Path("app").absolute())
project.write("closed.pem", "x", mode=0)
first = project.take()
try:
    (first.directory / "web" / "new.txt").write_text("x")
    raise SystemExit("it could be written to")
except PermissionError:
    pass
project.write("web/web.py", "web 2")
second = project.take()
assert (second.directory / "api/api.py").stat().st_nlink == 2
assert (first.directory / "web/web.py").read_text() == "web 1"
assert len(second.warnings) == 1, second.warnings
assert project.store.prune(1) == (1,)
assert project.store.load(2).directory_of("web") == second.directory / "web"
project.remove()
print("done")
"""


def test_an_ordinary_user_takes_runs_and_removes_versions(work_dir: Path) -> None:
    place = work_dir / "home"
    place.mkdir()
    if os.geteuid() == 0:
        os.chown(place, 65534, 65534)
    root = Path(__file__).parents[2]
    told = run(f"import sys; sys.path.insert(0, {str(root)!r})\n{LIFE}", 65534, place)
    assert told.stdout == "done\n", told.stderr
    shutil.rmtree(place)
