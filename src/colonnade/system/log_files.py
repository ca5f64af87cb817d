"""The end of the log files, with search, for the control API. Reads a bounded piece of each file and never more,
however large it is and whatever is searched for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from colonnade.core.errors import SpecError

READ_BYTES_MAX = 512 * 1024
"""Of a log, from its end: some thousand lines, read and searched in a few milliseconds."""

LINES_MAX = 1000
LINE_CHARS_MAX = 2000
NEEDLE_CHARS_MAX = 200


@dataclass(frozen=True, slots=True)
class LogFile:
    """A log by the name that people know it by: `backend/2`, `gateway`, `controller`."""

    name: str
    size_bytes: int


def log_files(directory: Path) -> list[LogFile]:
    """Those that there are, by name."""
    return [LogFile(name, path.stat().st_size) for name, path in sorted(_paths(directory).items())]


def read_log(directory: Path, name: str, *, needle: str = "", count: int = 200) -> list[str]:
    """The last `count` lines that hold `needle` (case does not matter; empty: all), oldest first.

    Raises SpecError when there is no such log.
    """
    paths = _paths(directory)
    if name not in paths:
        there = ", ".join(sorted(paths)) or "none yet"
        raise SpecError(f"there is no log {name!r}", subject="logs", hint=f"there are: {there}")
    wanted = needle[:NEEDLE_CHARS_MAX].lower()
    found = [line for line in _end_of(paths[name]) if wanted in line.lower()]
    return [line[:LINE_CHARS_MAX] for line in found[-min(count, LINES_MAX) :]] if count else []


def _paths(directory: Path) -> dict[str, Path]:
    """By name. What a name leads to comes from the directory, never from whoever asks."""
    return {name_of(path.stem): path for path in directory.glob("*.log") if path.is_file() and not path.is_symlink()}


def name_of(word: str) -> str:
    """`backend-2`, as a log is called and people type it, is the replica `backend/2`; any other word stays as it is."""
    name, dash, number = word.rpartition("-")
    return f"{name}/{number}" if dash and number.isdecimal() else word


def _end_of(path: Path) -> list[str]:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - READ_BYTES_MAX))
        lines = file.read(READ_BYTES_MAX).decode(errors="replace").splitlines()
    return lines[1:] if size > READ_BYTES_MAX else lines
