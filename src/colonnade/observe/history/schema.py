"""The file of the history: SQLite with a write-ahead log. Opening it, refusing it, setting it aside.

SQLite, because a transaction is exactly what is needed here: a batch is there whole or not at all, whoever is killed
when, and readers never wait for the writer. With a write-ahead log `synchronous = NORMAL` already keeps the file
readable after a power cut, but loses what was committed since the last checkpoint: with batches as small as ours, many
minutes. FULL flushes each batch, which costs one fsync.
"""

from __future__ import annotations

import os
import sqlite3
import struct
from pathlib import Path

from colonnade.core.errors import HostError
from colonnade.observe.history.levels import JOURNAL_BYTES_MAX

FORMAT = 1
"""Raised when an older Colonnade could not read what a newer one wrote (`PRAGMA user_version`)."""

APPLICATION_ID = 0x436F_6C68
"""Says in the header of the file that it is ours."""

BUSY_WAIT_S = 2.0
"""A reader that opens the file after a crash holds it for the moment in which it looks at the log."""

SCHEMA = """
CREATE TABLE series (
    id INTEGER PRIMARY KEY AUTOINCREMENT,   -- never given twice: old sights name series by it
    name TEXT NOT NULL,
    labels TEXT NOT NULL,            -- a JSON list of pairs
    is_counter INTEGER NOT NULL,
    seen_s INTEGER NOT NULL,         -- when it was last folded
    UNIQUE (name, labels)
);
CREATE TABLE layout (
    id INTEGER PRIMARY KEY,
    series BLOB NOT NULL UNIQUE      -- ids as unsigned 32 bit: in which order a sight has its values
);
CREATE TABLE sight (
    at_ms INTEGER PRIMARY KEY,
    layout INTEGER NOT NULL,
    samples BLOB NOT NULL            -- doubles, as they were seen
);
CREATE TABLE block (
    step_s INTEGER NOT NULL,
    start_s INTEGER NOT NULL,
    series INTEGER NOT NULL,
    points BLOB NOT NULL,            -- levels.py says how
    UNIQUE (step_s, start_s, series)
);
CREATE TABLE folded (step_s INTEGER PRIMARY KEY, until_s INTEGER NOT NULL);
CREATE TABLE event (
    at_ms INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    reason TEXT NOT NULL,
    message TEXT NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (at_ms, seq)
) WITHOUT ROWID;
CREATE TABLE said (topic TEXT PRIMARY KEY, at_s REAL NOT NULL, json TEXT NOT NULL);
"""


NOT_OURS = (ValueError, TypeError, LookupError, OverflowError, RecursionError, struct.error)
"""What comes of reading rows that SQLite finds in order and nobody here has written."""


class HistoryDamaged(HostError):
    """The file is there and cannot be read as what it should be."""


def open_for_writing(path: Path) -> sqlite3.Connection:
    """The file at `path`, made when it is not there. Raises HistoryDamaged, or HostError for a newer format, and
    sqlite3.OperationalError when the disk refuses."""
    is_new = not path.exists() or path.stat().st_size == 0
    if is_new:
        # Private before the first byte: events may quote what an application said.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(path, timeout=BUSY_WAIT_S, isolation_level=None, check_same_thread=False)
    try:
        _check(connection, path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA journal_size_limit = {JOURNAL_BYTES_MAX}")
        if is_new or connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            # One transaction, so that a crash leaves either nothing or all of it.
            connection.executescript(
                f"BEGIN IMMEDIATE;{SCHEMA};PRAGMA application_id = {APPLICATION_ID};"
                f"PRAGMA user_version = {FORMAT};COMMIT;"
            )
    except sqlite3.DatabaseError as error:
        connection.close()
        if is_damage(error):
            raise damaged(path, error) from error
        raise
    except HostError:
        connection.close()
        raise
    return connection


def open_for_reading(path: Path) -> sqlite3.Connection | None:
    """None when there is no history yet. Raises HistoryDamaged, or HostError for a newer format or a file that cannot
    be opened."""
    if path.is_symlink():
        # Its directory may be another user's, and root is not to be led anywhere.
        raise HostError("is a link, and no history", subject=str(path), hint=f"look at `ls -l {path.parent}`")
    if not path.exists() or path.stat().st_size == 0:
        return None
    connection = None
    try:
        # `mode=rw` rather than `ro`: after a crash the log has to be looked through, which writes its index.
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=BUSY_WAIT_S)
        _check(connection, path)
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            connection.close()
            return None
        connection.execute("PRAGMA query_only = ON")
        # What one reads belongs together, though the writer goes on.
        connection.isolation_level = None
        connection.execute("BEGIN")
    except sqlite3.DatabaseError as error:
        if connection is not None:
            connection.close()
        if is_damage(error):
            raise damaged(path, error) from error
        raise HostError(
            f"the history cannot be read: {error}", subject=str(path), hint=f"look at `ls -l {path.parent}`"
        ) from error
    except HostError:
        if connection is not None:
            connection.close()
        raise
    return connection


def _check(connection: sqlite3.Connection, path: Path) -> None:
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    if found > FORMAT:
        raise HostError(
            f"the history was written by a newer Colonnade (format {found}, this one knows {FORMAT})",
            subject=str(path),
            hint="upgrade with `pip install -U colonnade`, or move the file away",
        )
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if found and not {"series", "sight", "block", "event", "said"} <= names:
        raise damaged(path, f"it has only the tables {', '.join(sorted(names)) or 'none'}")


def is_damage(error: sqlite3.Error) -> bool:
    """True when the file itself is the trouble, not the disk or somebody who holds it."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def is_full(error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF == sqlite3.SQLITE_FULL


def damaged(path: Path, cause: object) -> HistoryDamaged:
    return HistoryDamaged(
        f"the history cannot be read ({cause})",
        subject=str(path),
        hint=f"a running system sets it aside as {aside(path).name} and begins anew; nothing else needs it",
    )


def aside(path: Path) -> Path:
    return path.with_name(f"{path.stem}.unreadable{path.suffix}")


def set_aside(path: Path) -> Path:
    """Move a file that cannot be read out of the way, with its log; the one set aside before it is replaced. Raises
    OSError."""
    target = aside(path)
    for ending in ("-wal", "-shm", ""):
        source = path.with_name(path.name + ending)
        if source.exists():
            os.replace(source, target.with_name(target.name + ending))
        else:
            target.with_name(target.name + ending).unlink(missing_ok=True)
    return target
