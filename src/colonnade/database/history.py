"""Timeline histories: reading them from a node's pg_wal, and keeping copies where every node looks.

A timeline's number says nothing by itself: two nodes that were promoted without knowing of each other both took the
next number. The kept copies prevent that (a server never takes a number whose history its restore_command finds), and
`Position.contains` compares the contents.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from colonnade.core.files import write_durably
from colonnade.database.backup.wal import HISTORY, SEGMENT
from colonnade.database.foreign import read_foreign
from colonnade.database.state import Fork, parse_lsn


def history_name(timeline: int) -> str:
    return f"{timeline:08X}.history"


def parse_history(text: str) -> tuple[Fork, ...]:
    """The forks in a history file: lines of `timeline <tab> lsn <tab> reason`."""
    forks = []
    for line in text.splitlines():
        fields = line.split("#")[0].split("\t")
        if len(fields) >= 2 and fields[0].strip():
            forks.append(Fork(int(fields[0]), parse_lsn(fields[1].strip())))
    return tuple(forks)


def read_forks(timeline: int, pg_wal: Path, kept: Path) -> tuple[Fork, ...] | None:
    """The forks that lead to `timeline`, from the first place that knows it; None when nobody does."""
    if timeline == 1:
        return ()
    name = history_name(timeline)
    with contextlib.suppress(OSError, ValueError):
        return parse_history(_read(pg_wal, name).decode())
    with contextlib.suppress(OSError, ValueError):
        return parse_history((kept / name).read_text())
    return None


def newest_timeline(pg_wal: Path) -> int | None:
    """The timeline that a standby last wrote WAL of: the highest among its segments."""
    with contextlib.suppress(OSError):
        return max((int(file.name[:8], 16) for file in pg_wal.iterdir() if SEGMENT.fullmatch(file.name)), default=None)
    return None


def keep_histories(pg_wal: Path, kept: Path) -> list[str]:
    """Copy histories that are not kept yet; returns the names of those that are kept with other contents.

    Such a node was promoted without knowing of another one: its number is taken, and it cannot be rewound."""
    foreign: list[str] = []
    names = [file.name for file in pg_wal.iterdir() if HISTORY.fullmatch(file.name)] if pg_wal.is_dir() else []
    for name in sorted(names):
        try:
            content = _read(pg_wal, name)
        except OSError:
            continue  # a link, a pipe, or another user's file: no server wrote it
        target = kept / name
        if not target.exists():
            write_durably(target, content, mode=0o644)
        elif parse_history(target.read_text()) != parse_history(content.decode(errors="replace")):
            foreign.append(name)
    return foreign


def _read(pg_wal: Path, name: str) -> bytes:
    """A history that belongs to the data directory's user."""
    return read_foreign(pg_wal / name, pg_wal.parent.stat().st_uid)
