"""`colonnade events` and `colonnade logs`: what was written, and what is being written."""

from __future__ import annotations

import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.markup import escape

from colonnade.cli.messages import event_line, out, print_json
from colonnade.core.errors import DriverUnavailable, HostError
from colonnade.core.events import read_events
from colonnade.core.files import tail_lines
from colonnade.system.client import ControlClient, NotRunning
from colonnade.system.launch import Target
from colonnade.system.paths import StatePaths

POLL_S = 0.3


def events(target: Target, *, count: int, is_following: bool, as_json: bool) -> None:
    """The last `count` events from disk, then those that come."""
    paths = target.paths
    if not paths.events.exists():
        raise HostError("there are no events here", subject=str(paths.root), hint="start it with `colonnade up`")
    found: list[dict[str, Any]] = [asdict(event) for event in read_events(paths.events)[-count:]]
    if as_json:
        print_json(found)
        return
    for event in found:
        out.print(event_line(event))
    seen = found[-1]["seq"] if found else 0
    with ControlClient(paths) as client:
        while is_following:
            try:
                for event in client.events(after_seq=seen, wait_s=10):
                    seen = event["seq"]
                    out.print(event_line(event))
            except NotRunning:
                return
            except DriverUnavailable:
                time.sleep(POLL_S)


def logs(target: Target, names: list[str], *, count: int, is_following: bool) -> None:
    """The last `count` lines of each log that a name fits, then those that come."""
    files = {_label(path): path for path in sorted(target.paths.logs.glob("*.log"))} if _exists(target.paths) else {}
    chosen = {label: path for label, path in files.items() if not names or any(_fits(label, name) for name in names)}
    if not chosen:
        raise HostError(
            f"no log of {', '.join(names) or 'anything'}",
            subject=str(target.paths.logs),
            hint=f"there are: {', '.join(files) or 'none yet; start it with `colonnade up`'}",
        )
    width = max(len(label) for label in chosen)
    offsets: dict[str, int] = {}
    for label, path in chosen.items():
        offsets[label] = path.stat().st_size
        for line in tail_lines(path, count):
            _print_line(label, width, line)
    while is_following:
        for label, path in chosen.items():
            offsets[label] = _print_new(label, width, path, offsets[label])
        time.sleep(POLL_S)


def _exists(paths: StatePaths) -> bool:
    return paths.logs.is_dir()


def _print_new(label: str, width: int, path: Path, offset: int) -> int:
    """Print what was added since `offset`; a file that shrank was rotated and is read from its start."""
    size = path.stat().st_size
    if size < offset:
        offset = 0
    if size == offset:
        return offset
    with path.open("rb") as file:
        file.seek(offset, os.SEEK_SET)
        data = file.read(size - offset)
    whole, newline, _ = data.rpartition(b"\n")
    for line in whole.decode(errors="replace").splitlines():
        _print_line(label, width, line)
    return offset + len(whole) + len(newline)


def _print_line(label: str, width: int, line: str) -> None:
    out.print(f"[dim]{label:<{width}}[/] {escape(line)}")


def _label(path: Path) -> str:
    """`backend-2.log` is the replica `backend/2`; parts have their own names."""
    name, dash, number = path.stem.rpartition("-")
    return f"{name}/{number}" if dash and number.isdecimal() else path.stem


def _fits(label: str, name: str) -> bool:
    return label in (name, name.replace("-", "/")) or label.startswith((f"{name}/", f"{name}-"))
