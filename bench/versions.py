"""What keeping versions costs: taking one, finding that nothing changed, one edit among many files, space."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from figures import distribution

from colonnade.core.clock import SystemClock
from colonnade.spec.load import load_spec
from colonnade.system.copying import remove_tree
from colonnade.system.paths import StatePaths
from colonnade.system.versions import VersionStore

FILES = 5_000
FILE_BYTES_MAX = 16_000
"""Most source files are smaller; all together 40 MB."""

DECLARATION = '[services.a]\napp = "a:a"\nroute = "/"\n[services.b]\napp = "b:b"\nroute = "/b"\n'


def measure(repetitions: int) -> dict[str, Any]:
    """Each time in a directory of its own, all removed at the end: a file system that has just removed thousands of
    files may be slow at making new ones."""
    place = Path(tempfile.mkdtemp(prefix="colonnade-bench-"))
    times: dict[str, list[float]] = {}
    space: list[int] = []
    try:
        for number in range(repetitions or 5):
            space.append(_measure_once(place / str(number), times))
    finally:
        for versions in place.glob("*/.colonnade/versions"):
            remove_tree(versions)
        shutil.rmtree(place)
    return {"files": FILES, **{f"{name}_s": distribution(values) for name, values in times.items()}} | {
        "second_version_bytes": distribution(space)
    }


def _measure_once(directory: Path, times: dict[str, list[float]]) -> int:
    """One project; returns how many bytes of the disk its second version takes."""
    random = Random(1)  # noqa: S311 — what files hold, the same each time
    for number in range(FILES):
        path = directory / f"package{number // 50}" / f"module{number}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(random.randbytes(random.randint(200, FILE_BYTES_MAX)))
    (directory / "colonnade.toml").write_text(DECLARATION)
    os.sync()  # what was just written is not what is measured
    store = VersionStore(StatePaths(directory / ".colonnade"), SystemClock())
    loaded = load_spec(directory)

    def timed(name: str, work: Callable[[], object]) -> None:
        began_s = time.perf_counter()
        work()
        times.setdefault(name, []).append(time.perf_counter() - began_s)

    timed("first", lambda: store.take(loaded, DECLARATION))
    timed("nothing_changed", lambda: store.take(loaded, DECLARATION))
    (directory / "package0/module0.py").write_text("edited")
    timed("difference", lambda: store.pending(1, loaded, DECLARATION))
    timed("one_edit", lambda: store.take(loaded, DECLARATION))
    timed("load", lambda: store.load(2))
    own = [path.lstat() for path in (directory / ".colonnade/versions/2").rglob("*")]
    timed("prune", lambda: store.prune(1))
    return sum(about.st_blocks * 512 for about in own if about.st_nlink == 1 or stat.S_ISDIR(about.st_mode))
