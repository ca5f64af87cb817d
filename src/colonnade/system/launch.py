"""What `colonnade up` does before there is anybody to ask: check, prepare, start the keeper, wait, tell the failure.

Read next: `needed_access.py` for what the parts must reach; `ending.py` for the opposite.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from colonnade.core import processes
from colonnade.core.clock import SystemClock
from colonnade.core.errors import AppError, ColonnadeError, DriverUnavailable, HostError, SpecError
from colonnade.core.events import read_events
from colonnade.core.files import locked, read_json
from colonnade.core.processes import Command, Credentials, Process
from colonnade.database.backup.place import make_place
from colonnade.spec import FILE_NAME
from colonnade.spec.load import LoadedSpec, load_spec, spec_for_app
from colonnade.system import paths as state_paths
from colonnade.system.accepted import Accepted, listening_on, read_accepted, write_accepted
from colonnade.system.client import ControlClient, NotRunning, is_running
from colonnade.system.credentials import choose_credentials
from colonnade.system.force import end_by_force
from colonnade.system.keeper_link import keeper_environment
from colonnade.system.needed_access import backup_places, check_access, needed_access
from colonnade.system.paths import StatePaths
from colonnade.system.prometheus_part import find_prometheus
from colonnade.system.target import Target
from colonnade.system.versions import Version, VersionStore

POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Launch:
    """A keeper on its way."""

    keeper: Process
    last_seq: int
    """Of the events that were there before."""
    loaded: LoadedSpec
    is_takeover: bool
    version: Version | None
    """What was taken; None at a takeover."""


@dataclass(frozen=True, slots=True)
class Declared:
    """A declaration that was checked, and a state directory that is ours."""

    loaded: LoadedSpec
    text: str
    listen: str
    credentials: Credentials | None
    is_reloading: bool = False
    detours: str = ""
    prometheus: str = ""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What `up` is told besides the declaration. `listen` instead of the declaration's own; `is_reloading` is for
    development (`up --reload`), `detours` for drills (`detours.py`); `prometheus` is the program to run beside it
    (`up --with prometheus`): None for none, empty for the one that is declared or on the PATH."""

    listen: str = ""
    is_reloading: bool = False
    detours: Path | None = None
    prometheus: str | None = None


def declare(target: Target, wishes: Wishes) -> Declared:
    """Check the declaration and make the directories. Nothing is started yet, and nothing that runs is touched."""
    if target.app:
        loaded, text = spec_for_app(target.app, directory=target.directory), ""
    else:
        file = target.file or target.directory / FILE_NAME
        loaded = load_spec(file)
        text = file.read_text(encoding="utf-8")
    credentials = choose_credentials(loaded.spec.system.user, target.directory)
    loaded = listening_on(loaded, wishes.listen)
    prometheus = _prometheus(loaded, wishes.prometheus)
    with _no_sockets_left(target.paths):
        state_paths.prepare(target.paths, credentials)
        for place in backup_places(loaded):
            make_place(place, credentials)  # the way to it is opened before it is used
        check_access(needed_access(loaded, target.paths), credentials)
    detours = str(wishes.detours.absolute()) if wishes.detours else ""
    return Declared(loaded, text, wishes.listen, credentials, wishes.is_reloading, detours, prometheus)


def _prometheus(loaded: LoadedSpec, wish: str | None) -> str:
    """The program that was wished for; empty where the declaration decides. Raises HostError when there is none."""
    declared = loaded.spec.prometheus
    if wish is None:
        if declared.enabled:
            find_prometheus(declared)  # told before anything runs
        return ""
    if not loaded.spec.dashboard.enabled:
        raise SpecError(
            "a Prometheus watches through the dashboard, and this declaration has none",
            subject="dashboard.enabled",
            hint="set it to true, or leave `--with prometheus` out",
        )
    return find_prometheus(declared.model_copy(update={"binary": wish or declared.binary}))


@contextmanager
def _no_sockets_left(paths: StatePaths) -> Iterator[None]:
    """A start that fails while nothing runs takes its directory of sockets with it."""
    try:
        yield
    except ColonnadeError:
        if not processes.marked_processes(paths.mark):
            state_paths.remove_sockets(paths)
        raise


@contextmanager
def start_lock(paths: StatePaths) -> Iterator[None]:
    """One start at a time: whoever comes second waits here, then looks again whether it runs. Without it the second
    `up` would take the first one's keeper, which does not answer yet, for a leftover and kill it."""
    with locked(paths.root / "up.lock"):
        yield


def launch(target: Target, declared: Declared) -> Launch:
    """Start the keeper, which starts the rest; or, where parts of an earlier system run, one that takes them over."""
    paths, credentials, loaded = target.paths, declared.credentials, declared.loaded
    with _no_sockets_left(paths):
        paths.failure.unlink(missing_ok=True)
        earlier = read_accepted(paths) if processes.marked_processes(paths.mark) else None
        is_takeover = earlier is not None and earlier.was_running
        version = None
        if not is_takeover:
            end_by_force(paths)
            state_paths.prepare(paths, credentials)
            store = VersionStore(paths, SystemClock(), credentials)
            version = store.take(loaded, declared.text)
            store.set_current(version.number)
            store.prune(loaded.spec.system.versions_kept)
            about = Accepted(
                target.directory,
                str(target.file or ""),
                app=target.app,
                listen=declared.listen,
                is_reloading=declared.is_reloading,
                detours=declared.detours,
                prometheus=declared.prometheus,
            )
            write_accepted(paths, about)
        last_seq = max((event.seq for event in read_events(paths.events, count_max=1)), default=0)
        keeper = _start_keeper(paths, needed_access(loaded, paths), credentials)
    return Launch(keeper, last_seq, loaded, is_takeover, version)


def _start_keeper(paths: StatePaths, needed: list[Path], credentials: Credentials | None) -> Process:
    argv = [sys.executable, "-m", "colonnade.system.keeper", "--state", str(paths.root)]
    if credentials is not None:
        argv += ["--user", f"{credentials.user_id}:{credentials.group_id}"]
        for directory in needed:
            argv += ["--needs", str(directory)]
    return processes.start(
        Command(
            argv=argv,
            cwd=Path("/"),
            env=keeper_environment(os.environ, paths),
            log_path=paths.logs / "keeper.log",
        )
    )


def wait_for_answer(paths: StatePaths, started: Launch) -> None:
    """Until the controller answers, or the keeper has ended; which of the two, `wait_until_running` tells."""
    while is_running(paths) is None and not started.keeper.has_exited():
        time.sleep(POLL_S)


def wait_until_running(
    paths: StatePaths, started: Launch, on_event: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """Follow the start; returns the status once it runs. Raises what ended the start."""
    seen = started.last_seq
    with _no_sockets_left(paths), ControlClient(paths) as client:
        while True:
            try:
                for event in client.events(after_seq=seen, wait_s=1):
                    seen = event["seq"]
                    on_event(event)
                status = client.status()
                if status["phase"] == "running":
                    return status
            except (NotRunning, DriverUnavailable):
                if started.keeper.has_exited():
                    raise failure_of(paths) from None
                time.sleep(POLL_S)


def failure_of(paths: StatePaths) -> ColonnadeError:
    """Why the keeper ended before the system ran."""
    told = read_json(paths.failure)
    if told is None:
        return HostError(
            "the start ended without a word", subject=str(paths.root), hint=f"see {paths.logs / 'keeper.log'}"
        )
    error = AppError(told["message"], hint=told["hint"], subject=told["subject"], detail=told["detail"])
    error.exit_code = int(told["exit_code"])
    return error
