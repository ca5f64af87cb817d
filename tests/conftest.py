"""What all tests share: a directory that any user can reach, free ports, and a check that nothing is left running.

As root the parts of a system drop to an ordinary user, who cannot enter pytest's own `tmp_path`; use `work_dir`.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import settings

from colonnade.core.access import may_pass
from colonnade.core.ports import is_free
from colonnade.core.processes import SYSTEM_MARK, start_ticks_of
from colonnade.system.reach import open_the_way, plan_openings

# A property that needs long is a slow test, not a flaky one; in CI the same examples run each time.
settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")


def pytest_configure() -> None:
    """As root in a clone that is closed to others: open the way for the user that servers run as, as `up` does."""
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        user = (nobody.pw_uid, nobody.pw_gid)
        root = Path(__file__).parent.parent
        # A clone that is itself closed comes along directory by directory.
        places = [root] if may_pass(str(root), *user) else [path for path in root.iterdir() if path.is_dir()]
        needed = [str(place) for place in places if may_pass(str(place), *user)]
        openings = plan_openings([sys.prefix, sys.base_prefix, *needed], *user)
        if openings:
            # Its own few files are put beside them.
            files = {path: path.read_bytes() for path in root.iterdir() if path.is_file()}
            open_the_way(openings)
            for path, content in files.items():
                if not path.exists():
                    path.write_bytes(content)


LONGEST_FILES = (
    "e2e/test_rollouts.py",
    "e2e/test_gray_failures.py",
    "e2e/test_plan.py",
    "e2e/test_database_failures.py",
    "e2e/test_drill_links.py",
    "e2e/test_drill_planted.py",
    "e2e/test_drill.py",
    "e2e/test_system_life.py",
)
"""With real servers, more than a minute each; the longest first."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long are begun first, and the many that take no time last: those fill what is left to a worker
    while another ends its file. (With `--no-loadscope-reorder`: by itself xdist begins with the files of many tests,
    which are the fast ones.)"""
    slow = {item.path for item in items if item.get_closest_marker("slow") is not None}
    places = {name: place for place, name in enumerate(LONGEST_FILES)}
    items.sort(key=lambda item: (places.get("/".join(item.path.parts[-2:]), len(places)), item.path not in slow))


TEST_PORT_FIRST, TEST_PORT_LAST = 10_000, 14_999
"""Below the ports that systems take for themselves, so a test's own port is never a replica's."""


@pytest.fixture(scope="session")
def work_root() -> Iterator[Path]:
    """The session's directory; each `work_dir` is in it. Under /tmp by name: a socket's path has 97 bytes at most."""
    path = Path(tempfile.mkdtemp(prefix="colonnade-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    left = kill_all_below(path)
    remove_all(path)
    assert not left, left_running(left)


@pytest.fixture(scope="session")
def make_work_dir(work_root: Path) -> Callable[[], Path]:
    """Makes further directories that any user can reach, for fixtures that outlive one test."""

    def make() -> Path:
        path = Path(tempfile.mkdtemp(prefix="", dir=work_root))
        path.chmod(0o755)
        return path

    return make


@pytest.fixture
def work_dir(make_work_dir: Callable[[], Path]) -> Iterator[Path]:
    """A fresh directory that any user can reach, removed after the test."""
    path = make_work_dir()
    yield path
    remove_all(path)


def remove_all(path: Path) -> None:
    """Remove a directory, versions in it as well: those are read-only, which root does not mind."""
    if os.geteuid() != 0:
        for directory, _, _ in os.walk(path):
            with suppress(OSError):
                os.chmod(directory, 0o700)
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """Gives loopback ports on which nobody listens, each once in a session."""
    # Two sessions at once (two clones, two users) start at different places.
    ports = range(TEST_PORT_FIRST, TEST_PORT_LAST + 1)
    start = os.getpid() * 61 % len(ports)
    candidates: Iterator[int] = iter([*ports[start:], *ports[:start]])

    def take() -> int:
        for port in candidates:
            if is_free("127.0.0.1", port):
                return port
        raise AssertionError(f"no free port left between {TEST_PORT_FIRST} and {TEST_PORT_LAST}")

    return take


@pytest.fixture(autouse=True)
def _nothing_left_running(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails a slow test that leaves a process of its system behind, and ends the process."""
    if request.node.get_closest_marker("slow") is None:
        yield
        return
    place: Path = request.getfixturevalue("work_dir")
    yield
    left = kill_all_below(place)
    assert not left, left_running(left)


def kill_all_below(place: Path) -> list[str]:
    """SIGKILL every live process whose system is, or which works, under `place`; one line about each of them."""
    left = []
    for directory in Path("/proc").glob("[0-9]*"):
        pid = int(directory.name)
        try:
            # A zombie holds nothing and works nowhere.
            if pid == os.getpid() or start_ticks_of(pid) is None or not belongs_below(directory, place):
                continue
            command = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            os.kill(pid, signal.SIGKILL)
            left.append(f"{pid} {command}")
        except OSError:
            continue  # gone meanwhile, or another user's and so not started by us
    return left


def belongs_below(process: Path, place: Path) -> bool:
    """Whether a directory of /proc is that of a part of a system whose state is under `place`."""
    mark = f"{SYSTEM_MARK}={place}/".encode()
    if any((variable + b"/").startswith(mark) for variable in (process / "environ").read_bytes().split(b"\0")):
        return True
    # PostgreSQL's children write their titles over their environment; they work in their data directory.
    return (process / "cwd").readlink().is_relative_to(place)


def left_running(left: list[str]) -> str:
    return "left running (and now killed):\n  " + "\n  ".join(left)
