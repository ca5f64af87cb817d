"""`colonnade events` and `colonnade logs`: what was written, and what is being written."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.markup import escape

from colonnade.cli.messages import event_line, out, print_json
from colonnade.core.errors import DriverUnavailable, HostError
from colonnade.core.events import read_events
from colonnade.core.files import tail_lines
from colonnade.core.processes import marked_processes
from colonnade.system.client import ControlClient, NotRunning, is_running
from colonnade.system.log_files import name_of
from colonnade.system.target import Target

POLL_S = 0.3

AWAY_MAX = 20
"""Looks at a system that does not answer, though parts of it run, before a follower gives up: ten seconds."""

AWAY_POLL_S = 0.5


def events(target: Target, *, count: int, is_following: bool, as_json: bool) -> None:
    """The last `count` events from disk, then those that come. As JSON: one list, or one object a line if following,
    since a list that goes on has no end that a reader could wait for."""
    paths = target.paths
    if not paths.events.exists():
        raise HostError("there are no events here", subject=str(paths.root), hint="start it with `colonnade up`")
    found: list[dict[str, Any]] = [asdict(event) for event in read_events(paths.events)[-count:]]
    if as_json and not is_following:
        print_json(found)
        return
    show = print_event_json if as_json else print_event
    for event in found:
        show(event)
    if is_following:
        follow_events(target, found[-1]["seq"] if found else 0, show)


def follow_events(target: Target, seen: int, show: Callable[[Mapping[str, Any]], None]) -> None:
    """Show each event after `seen` as it comes; returns when the system is down, and all was shown."""
    with ControlClient(target.paths) as client:
        while True:
            try:
                for event in client.events(after_seq=seen, wait_s=10):
                    seen = event["seq"]
                    show(event)
            except DriverUnavailable:
                time.sleep(POLL_S)
            except NotRunning:
                if is_gone(target):
                    break
    # The last ones were written when nobody could be asked any more.
    for last in read_events(target.paths.events):
        if last.seq > seen:
            show(asdict(last))


def is_gone(target: Target) -> bool:
    """A controller that restarts is away for a second; a system that is down leaves no process."""
    for _ in range(AWAY_MAX):
        if not marked_processes(target.paths.mark):
            return True
        time.sleep(AWAY_POLL_S)
        if is_running(target.paths) is not None:
            return False
    return True


def print_event(event: Mapping[str, Any]) -> None:
    out.print(event_line(event), soft_wrap=True)
    sys.stdout.flush()


def print_event_json(event: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(event, default=str) + "\n")
    sys.stdout.flush()


def logs(target: Target, names: list[str], *, count: int, is_following: bool) -> None:
    """The last `count` lines of each log that a name fits, then those that come, also in logs that begin meanwhile."""
    follower = LogFollower(target.paths.logs, lambda label: not names or any(_fits(label, name) for name in names))
    if not follower.show_last(count):
        there = ", ".join(name_of(path.stem) for path in log_files(target.paths.logs))
        raise HostError(
            f"no log of {', '.join(names) or 'anything'}",
            subject=str(target.paths.logs),
            hint=f"there are: {there or 'none yet; start it with `colonnade up`'}",
        )
    while is_following:
        follower.show_new()
        time.sleep(POLL_S)


class LogFollower:
    """Prints what is written to the logs of one directory whose labels are `chosen`, each line with its label.

    A log that begins after the first look is shown from its first line; one that shrank was rotated and is read from
    its start. Half a line waits for its other half. Lines with the words `without` are left out.
    """

    def __init__(self, directory: Path, chosen: Callable[[str], bool], *, without: str = "") -> None:
        self._directory = directory
        self._chosen = chosen
        self._without = without
        self._offsets: dict[Path, int] = {}
        self._width = 0

    def show_last(self, count: int) -> bool:
        """Print the last `count` lines of each, to go on from there; False when there is no log yet."""
        files = self._files()
        for path in files:
            self._offsets[path] = path.stat().st_size
            for line in tail_lines(path, count) if count else ():
                self._print(path, line)
        return bool(files)

    def show_new(self) -> None:
        """Print what was added since the last look."""
        for path in self._files():
            offset = self._offsets.get(path, 0)
            size = path.stat().st_size
            if size < offset:
                offset = 0
            with path.open("rb") as file:
                file.seek(offset, os.SEEK_SET)
                data = file.read(size - offset)
            whole, newline, _ = data.rpartition(b"\n")
            self._offsets[path] = offset + len(whole) + len(newline)
            for line in whole.decode(errors="replace").splitlines():
                self._print(path, line)
        sys.stdout.flush()

    def _files(self) -> list[Path]:
        files = [path for path in log_files(self._directory) if self._chosen(name_of(path.stem))]
        self._width = max((len(name_of(path.stem)) for path in files), default=0)
        return files

    def _print(self, path: Path, line: str) -> None:
        if self._without and self._without in line:
            return
        out.print(f"[dim]{name_of(path.stem):<{self._width}}[/] {escape(line)}")


def log_files(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.log")) if directory.is_dir() else []


def _fits(label: str, name: str) -> bool:
    return label in (name, name.replace("-", "/")) or label.startswith((f"{name}/", f"{name}-"))
