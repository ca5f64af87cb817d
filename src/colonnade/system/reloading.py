"""`colonnade up --reload`: watches the code and replaces a service's replica when it changes. For development.

The new replica starts beside the old one, which goes on serving until then, and for good when the new one does not
start. Files saved together make one restart; a save while one is under way makes another one after it. What is code,
`development.py` says; how a replica is replaced, the runtime.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

from watchfiles import Change, awatch

from colonnade.core import processes
from colonnade.core.errors import ColonnadeError
from colonnade.core.events import Event
from colonnade.runtime.state import ObservedReplica, ReplicaId, ReplicaState
from colonnade.spec.load import load_spec
from colonnade.system.development import concerned, is_ignored
from colonnade.system.sentences import last_words
from colonnade.system.system import System

QUIET_MS = 100
"""Files that are saved with no longer pause between them make one restart: an editor that saves all, a formatter."""

GATHER_MS_MAX = 1000
"""However many there are: a checkout of another branch."""

BATCHES_MAX = 100
"""That wait to be looked at; further ones wait in the watcher."""

POLL_S = 0.05

FILES_NAMED_MAX = 3

FAILED_KINDS = frozenset({"replica_exited", "replica_crash_looping", "replica_start_failed"})


async def reload_changed(system: System) -> None:
    """For as long as the system runs."""
    declaration = Path(system.accepted.source) if system.accepted.source else None
    waiting: dict[str, set[Path]] = {name: set() for name in system.services}
    changed = {name: asyncio.Event() for name in system.services}
    batches: asyncio.Queue[set[Path]] = asyncio.Queue(BATCHES_MAX)
    roots = {system.loaded.directory_of(name) for name in system.services}
    async with asyncio.TaskGroup() as work:
        for name in system.services:
            work.create_task(_keep_current(system, name, waiting[name], changed[name]))
        work.create_task(_watch(roots, declaration, batches))
        while True:
            paths = await batches.get()
            if declaration is not None and declaration in paths:
                _tell_declaration(system, declaration)
                paths.discard(declaration)
            for name, files in concerned(system.loaded, paths).items():
                waiting[name].update(files)
                changed[name].set()


async def _watch(roots: set[Path], declaration: Path | None, batches: asyncio.Queue[set[Path]]) -> None:
    """Files that change below the roots, and the declaration. Ignored directories at the top of a root are not watched
    at all: below .colonnade a database writes all the time. So the roots themselves are watched flat, and what is in
    them deeply; when a directory comes or goes there, the watch is set up anew."""
    outer = {root for root in roots if not any(root != other and root.is_relative_to(other) for other in roots)}
    flat = outer | ({declaration.parent} if declaration is not None else set())
    while True:
        deep = _directories_of(outer)
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as watches:
            if deep:
                watches.create_task(_watch_deep(deep, stop, batches))
            async for batch in _changes(flat, stop, is_deep=False):
                await batches.put(batch)
                if _directories_of(outer) != deep:
                    stop.set()


async def _watch_deep(places: set[Path], stop: asyncio.Event, batches: asyncio.Queue[set[Path]]) -> None:
    async for batch in _changes(places, stop, is_deep=True):
        await batches.put(batch)


async def _changes(places: set[Path], stop: asyncio.Event, *, is_deep: bool) -> AsyncIterator[set[Path]]:
    """What was written or renamed to, batch by batch, until `stop`."""
    async for batch in awatch(
        *places,
        watch_filter=None,
        debounce=GATHER_MS_MAX,
        step=QUIET_MS,
        stop_event=stop,
        recursive=is_deep,
        ignore_permission_denied=True,
    ):
        yield {Path(name) for change, name in batch if change is not Change.deleted}


def _directories_of(roots: Iterable[Path]) -> set[Path]:
    found = set()
    for root in roots:
        found |= {path for path in root.iterdir() if path.is_dir() and not is_ignored(path.name)}
    return found


async def _keep_current(system: System, service: str, files: set[Path], changed: asyncio.Event) -> None:
    while True:
        await changed.wait()
        changed.clear()
        names = _named(files, system.loaded.directory)
        files.clear()
        await _reload(system, service, names, changed)


def _named(files: Iterable[Path], directory: Path) -> str:
    names = sorted(str(path.relative_to(directory)) if path.is_relative_to(directory) else str(path) for path in files)
    more = f" and {len(names) - FILES_NAMED_MAX} more" if len(names) > FILES_NAMED_MAX else ""
    return ", ".join(names[:FILES_NAMED_MAX]) + more


async def _reload(system: System, service: str, names: str, changed: asyncio.Event) -> None:
    """Replace the replica; returns when its successor serves, or has failed, or the code changed again."""
    began_s = system.clock.monotonic()
    replica = ReplicaId(service, 1)
    old_pid = next((seen.pid for seen in _replicas(system, service) if seen.id == replica), None)
    failures: list[Event] = []
    unsubscribe = system.events.subscribe(lambda event: _note_failure(service, event, failures))
    system.say("code_changed", service, "file_saved", f"{names} changed: {service} starts anew")
    is_begun = False
    try:
        while True:
            successor = next((seen for seen in _replicas(system, service) if seen.id == replica), None)
            if successor is not None and successor.pid != old_pid and successor.state is ReplicaState.READY:
                took_s = system.clock.monotonic() - began_s
                system.say("code_reloaded", service, "ready", f"{service} runs the new code after {took_s:.2f} s")
                return
            if failures:
                _tell_failure(system, service, failures[0], is_old_there=successor is not None)
                return
            if changed.is_set() and is_begun:
                await _end_starting(system, service)  # what it starts with is out of date, and may hang
                return
            if not is_begun:
                # False while the one before is still on its way, or nobody runs who could be replaced.
                message = f"{replica} is replaced, since {names} changed"
                is_begun = system.runtime.replace(replica, reason="code_changed", message=message)
            await system.clock.sleep(POLL_S)
    finally:
        unsubscribe()


def _replicas(system: System, service: str) -> list[ObservedReplica]:
    return [seen for seen in system.runtime.view().replicas if seen.id.service == service]


def _note_failure(service: str, event: Event, failures: list[Event]) -> None:
    if event.kind in FAILED_KINDS and event.subject.rpartition("/")[0] == service:
        failures.append(event)


def _tell_failure(system: System, service: str, event: Event, *, is_old_there: bool) -> None:
    why = last_words(event) or event.message
    goes_on = "the old code goes on serving" if is_old_there else "nothing serves"
    message = f"{service} does not start with the new code: {why}; {goes_on} until the next save"
    system.say("reload_failed", service, "does_not_start", message)


async def _end_starting(system: System, service: str) -> None:
    """Kill what is not ready yet; returns when the runtime has noticed."""
    pids = {seen.pid for seen in _replicas(system, service) if seen.state is ReplicaState.STARTING}
    for pid in pids:
        ticks = processes.start_ticks_of(pid) if pid is not None else None
        process = processes.adopt(processes.ProcessId(pid, ticks)) if pid is not None and ticks is not None else None
        if process is not None:
            process.send_group(signal.SIGKILL)
            process.close()
    while any(seen.pid in pids for seen in _replicas(system, service)):
        await system.clock.sleep(POLL_S)


def _tell_declaration(system: System, declaration: Path) -> None:
    """An edit of the declaration counts at the next start; a mistake in it is told at once."""
    try:
        load_spec(declaration)
    except ColonnadeError as error:
        system.say("declaration_changed", "system", "invalid", f"{declaration.name} cannot be used like this: {error}")
        return
    message = f"{declaration.name} changed; it counts after `colonnade down` and `colonnade up --reload`"
    system.say("declaration_changed", "system", "file_saved", message)
