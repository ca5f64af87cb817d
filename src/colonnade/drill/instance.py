"""The system that a drill breaks: started from a private copy of the application, taken down and removed afterwards.

The user's own system, its state, its data and its port are never touched. Everything of the instance is below one
scratch directory, and its processes carry that directory's mark; a drill that was itself killed is cleared away by
the next one (`sweep`).
Breaks nothing and judges nothing. Read next: `private_copy`, `director`.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from colonnade.core import mounts
from colonnade.core.errors import ColonnadeError, SpecError
from colonnade.core.files import disk_error, read_json, write_json_atomically
from colonnade.core.ports import PortAllocator
from colonnade.core.processes import Process, ProcessId, is_alive, marked_processes, start_ticks_of
from colonnade.drill.faults.fault import Instance
from colonnade.drill.faults.small_disk import lay_small_disk
from colonnade.drill.private_copy import copy_application, private_declaration, toml_text
from colonnade.spec import FILE_NAME
from colonnade.spec.load import LoadedSpec, load_spec
from colonnade.spec.read import read_toml
from colonnade.system import launch
from colonnade.system.copying import remove_tree
from colonnade.system.ending import stop
from colonnade.system.force import end_by_force
from colonnade.system.paths import StatePaths
from colonnade.system.target import Target

SCRATCH_PREFIX = "colonnade-drill-"

OWNER = "drill.json"
"""In the scratch directory: which process it belongs to, and where the instance's state is, which is its mark."""

DETOURS = "detours"

NICE = 5
"""Of the instance. On a machine that is busy to its last core the load generator must still be on time, or nothing is
known; so the system yields to it, and looks rather worse than better."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A copy that can be started."""

    instance: Instance
    loaded: LoadedSpec
    """Of the copy."""
    notes: tuple[str, ...]
    """What is not as in the original, in sentences."""
    declaration_sha256: str
    """Of the original."""

    @property
    def root(self) -> Path:
        """The scratch directory, in which everything is."""
        return self.instance.directory.parent

    @property
    def detours(self) -> Path:
        return self.root / DETOURS


def prepare(file: Path, *, allow_external_database: bool, state: Path | None = None) -> Prepared:
    """Copy the application that `file` declares. Starts nothing. `state`: an empty directory to keep the instance's
    state in, such as a disk of its own; below the scratch directory if not given.

    Raises SpecError for a declaration that is wrong or must not be drilled, HostError when there is no room for it.
    """
    original = load_spec(file)
    _check_database(original, file, allow_external_database)
    root = _make_scratch(state)
    try:
        directory = root / "app"
        unread = copy_application(original.directory, directory, left_out=[file, root])
        declaration = private_declaration(read_toml(file), original)
        _write_as(file, directory / FILE_NAME, toml_text(declaration.tables))
        (root / DETOURS).mkdir(mode=0o700)
        (root / "faults").mkdir(mode=0o700)
        port = PortAllocator(str(root)).take()
        instance = Instance(StatePaths(state or root / "state"), directory, f"http://127.0.0.1:{port}", root / "faults")
        loaded = load_spec(directory / FILE_NAME)
    except BaseException:
        remove_tree(root)
        raise
    notes = [*declaration.notes, *(f"{path} cannot be read and was not copied" for path in unread)]
    return Prepared(instance, loaded, tuple(notes), hashlib.sha256(file.read_bytes()).hexdigest())


def _check_database(loaded: LoadedSpec, file: Path, is_allowed: bool) -> None:
    database = loaded.spec.database
    if database is not None and database.url and not is_allowed:
        raise SpecError(
            "declares a database that is not Colonnade's, and a drill would write to it",
            subject=str(file),
            hint="add --allow-external-database if it is there for tests; what the drill writes stays in it",
        )


def _make_scratch(state: Path | None) -> Path:
    root = Path(tempfile.mkdtemp(prefix=SCRATCH_PREFIX))
    # As root the parts run as another user, who must get to their files.
    root.chmod(0o755 if os.geteuid() == 0 else 0o700)
    pid = os.getpid()
    owner = {"pid": pid, "start_ticks": start_ticks_of(pid), "state": str(state or root / "state")}
    write_json_atomically(root / OWNER, owner)
    return root


def _write_as(original: Path, path: Path, text: str) -> None:
    """Write a file that belongs to whom the original does, and is as private."""
    about = original.stat()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, about.st_mode & 0o777)
        with open(descriptor, "w", encoding="utf-8") as target:
            if os.geteuid() == 0:
                os.fchown(descriptor, about.st_uid, about.st_gid)
            target.write(text)
    except OSError as error:
        raise disk_error(error, path) from error


class Running:
    """The instance while it runs. `start` may fail half-way; `stop` and `remove` are called whatever happened."""

    def __init__(self, prepared: Prepared) -> None:
        self._prepared = prepared
        self._paths = prepared.instance.paths
        self._keeper: Process | None = None

    async def start(self, on_event: Callable[[dict[str, Any]], None], *, has_detours: bool) -> dict[str, Any]:
        """Returns the status once it runs. Raises what ended the start; when cancelled, what was started is killed."""
        start = asyncio.create_task(asyncio.to_thread(self._start, on_event, has_detours))
        try:
            return await asyncio.shield(start)
        except asyncio.CancelledError:
            # The thread follows the start and cannot be told to stop; without a keeper it ends by itself.
            await asyncio.to_thread(end_by_force, self._paths)
            with suppress(ColonnadeError, asyncio.CancelledError):
                await start
            raise

    def _start(self, on_event: Callable[[dict[str, Any]], None], has_detours: bool) -> dict[str, Any]:
        directory = self._prepared.instance.directory
        target = Target(directory, directory / FILE_NAME, "", self._paths)
        listen = self._prepared.instance.url.removeprefix("http://")
        wishes = launch.Wishes(listen, detours=self._prepared.detours if has_detours else None)
        declared = launch.declare(target, wishes)
        with launch.start_lock(self._paths):
            started = launch.launch(target, declared)
        self._keeper = started.keeper
        # At once, before it has any children, who inherit it.
        os.setpriority(os.PRIO_PROCESS, started.keeper.pid, NICE)
        return launch.wait_until_running(self._paths, started, on_event)

    async def stop(self) -> tuple[str, ...]:
        """Take it down; returns what it left running, killed by now, a line each."""
        with suppress(ColonnadeError):  # nothing runs, or nobody answers: what is left is looked for below
            await asyncio.to_thread(stop, self._paths, lambda _: None)
        left = tuple(f"{pid} {command_of(pid)}" for pid in marked_processes(self._paths.mark))
        if left:
            await asyncio.to_thread(end_by_force, self._paths)
        if self._keeper is not None:
            await self._keeper.wait(KEEPER_END_S)
            self._keeper.close()
        return left

    def remove(self) -> None:
        """Remove everything that was copied or written. Nothing may run any more."""
        state = self._paths.root
        if state.is_dir() and not state.is_relative_to(self._prepared.root):
            for item in state.iterdir():
                if item.is_dir() and not item.is_symlink():
                    remove_tree(item)
                else:
                    item.unlink()
        remove_tree(self._prepared.root)


@contextmanager
def small_disk() -> Iterator[Path]:
    """A place on a small disk in memory, for one instance after the other. To be entered while this process has one
    thread. Raises NotPossible where it cannot be had."""
    place = Path(tempfile.mkdtemp(prefix=f"{SCRATCH_PREFIX}disk-"))
    try:
        lay_small_disk(place)
        try:
            yield place
        finally:
            mounts.unmount(str(place))
    finally:
        place.rmdir()


KEEPER_END_S = 5.0
"""From the end of everything else to that of the keeper: milliseconds, on a busy machine a second."""


def command_of(pid: int) -> str:
    """The command line of a process; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def sweep() -> tuple[str, ...]:
    """Clear away what drills left that were themselves killed; returns the directories."""
    swept = []
    for root in sorted(Path(tempfile.gettempdir()).glob(f"{SCRATCH_PREFIX}*")):
        state = _state_of_ownerless(root)
        if state is not None:
            end_by_force(StatePaths(state))
            remove_tree(root)
            if not state.is_relative_to(root):
                with suppress(OSError):  # the small disk below it went with the last process that saw it
                    state.rmdir()
            swept.append(str(root))
    return tuple(swept)


def _state_of_ownerless(root: Path) -> Path | None:
    """The state directory of the instance, if the scratch directory is ours and the drill that made it has ended. One
    that has just begun has not said yet who it is, and one that ends at this moment removes its directory itself."""
    try:
        if root.lstat().st_uid != os.geteuid() or root.is_symlink():
            return None
    except FileNotFoundError:
        return None
    owner = read_json(root / OWNER)
    if owner is None or is_alive(ProcessId(int(owner["pid"]), int(owner["start_ticks"]))):
        return None
    return Path(owner.get("state", root / "state"))
