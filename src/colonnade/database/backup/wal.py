"""What PostgreSQL runs to archive one file of WAL, and a restore to get one back. A program of the standard library
alone (`python -I -S -E wal.py store|fetch …`): it runs for every segment, as the servers' user, and imports nothing of
ours.

All nodes archive everything, each by itself (archive_mode = always), so nothing depends on which of them lives.
Storing is idempotent: the same bytes succeed, other bytes fail loudly. Seen on PostgreSQL 18: a standby that follows a
promotion archives the last segment of the old timeline, of which only the bytes up to the fork are WAL; the rest is
whatever the file held before. So a segment of a timeline that is known to have ended by then is stored as
`NAME.partial`, never under its plain name, and compared only up to the fork. Which bytes lead anywhere is decided when
they are read: `fetch` gives nothing beyond the fork at which the history that is being restored left a timeline.
"""

from __future__ import annotations

import contextlib
import os
import re
import struct
import sys
import zlib

SEGMENT = re.compile(r"[0-9A-F]{24}")
HISTORY = re.compile(r"[0-9A-F]{8}\.history")
"""Names of files in pg_wal and in the archive."""

COPY_BYTES = 4 * 1024 * 1024
PAGE_BYTES = 8192
_PAGE = struct.Struct("=HHIQ")
"""XLogPageHeaderData (access/xlog_internal.h): magic, info, timeline, address of the page."""

MARK = "colonnade archive:"
"""How our lines begin in a server's log; the status shows the last of them."""

OK, CONFLICT, FAILED = 0, 3, 1

Forks = dict[int, list[tuple[int, int]]]
"""Timeline → the (parent, LSN) pairs of its history."""


def read_forks(*directories: str) -> Forks:
    """All histories found there; the first one of each timeline counts. What cannot be read is passed over."""
    found: Forks = {}
    for directory in directories:
        names: list[str] = []
        with contextlib.suppress(OSError):
            names = sorted(filter(HISTORY.fullmatch, os.listdir(directory)))
        for name in names:
            timeline = int(name[:8], 16)
            with contextlib.suppress(OSError, ValueError), open(f"{directory}/{name}", encoding="utf-8") as file:
                found.setdefault(timeline, parse_forks(file.read(65536)))
    return found


def parse_forks(text: str) -> list[tuple[int, int]]:
    """Lines of `timeline <tab> lsn <tab> reason`."""
    forks = []
    for line in text.splitlines():
        fields = line.split("#")[0].split("\t")
        if len(fields) >= 2 and fields[0].strip():
            high, low = fields[1].strip().split("/")
            forks.append((int(fields[0]), (int(high, 16) << 32) + int(low, 16)))
    return forks


def first_end(timeline: int, forks: Forks) -> int | None:
    """The lowest LSN at which any known history left `timeline`; None: nobody has, as far as is known."""
    return min((lsn for history in forks.values() for parent, lsn in history if parent == timeline), default=None)


def start_of(name: str, segment_bytes: int) -> int:
    """The LSN of a segment's first byte (XLogFileName: timeline, then the number in two parts)."""
    per_id = (1 << 32) // segment_bytes
    return (int(name[8:16], 16) * per_id + int(name[16:24], 16)) * segment_bytes


def store(source: str, name: str, archive: str) -> int:
    """Archive `source` as `name`; the exit code. Durable when it returns 0."""
    limit = None
    if SEGMENT.fullmatch(name[:24]):
        size = os.stat(source).st_size
        end = first_end(int(name[:8], 16), read_forks(archive, os.path.dirname(source) or "."))
        start = start_of(name, size)
        if end is not None and end < start + size:
            limit = max(0, end - start)
            if name == name[:24]:
                if os.path.exists(f"{archive}/{name}"):
                    return _confirm(archive) if _is_equal(source, f"{archive}/{name}", limit) else _refuse(name)
                name += ".partial"
    outcome = _store_as(source, name, archive)
    if outcome == CONFLICT and limit is not None and _is_equal(source, f"{archive}/{name}", limit):
        # The same up to the fork. What follows may still be WAL of somebody, so no byte is given up.
        name = f"{name}.{_checksum(source):08x}"
        outcome = _store_as(source, name, archive)
    return _refuse(name) if outcome == CONFLICT else outcome


def _refuse(name: str) -> int:
    _say(f"{name} is in the archive with other bytes: refused (a real conflict, look at both)")
    return CONFLICT


def _store_as(source: str, name: str, archive: str) -> int:
    final = f"{archive}/{name}"
    if os.path.exists(final):
        return _confirm(archive) if _is_equal(source, final, None) else CONFLICT
    temporary = f"{archive}/.{name}.{os.getpid()}.new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    try:
        _copy_durably(source, temporary)
        # Not a rename: that would replace what another node has put there meanwhile.
        os.link(temporary, final)
    except FileExistsError:
        return _confirm(archive) if _is_equal(source, final, None) else CONFLICT
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
    return _confirm(archive)


def _copy_durably(source: str, target: str) -> None:
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with open(source, "rb", buffering=0) as file:
            while os.sendfile(descriptor, file.fileno(), None, COPY_BYTES):
                pass
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _confirm(archive: str) -> int:
    """The name itself is on disk, also where another node's archiver has made it and not come so far."""
    descriptor = os.open(archive, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return OK


def _is_equal(one: str, other: str, limit: int | None) -> bool:
    with open(one, "rb") as first, open(other, "rb") as second:
        if limit is None:
            return first.read() == second.read()
        return first.read(limit) == second.read(limit)


def _checksum(path: str) -> int:
    with open(path, "rb") as file:
        return zlib.crc32(file.read())


def fetch(name: str, target: str, archive: str, kept: str, timeline: int) -> int:
    """Give a restore along `timeline` the file `name`: histories from the archive or from `kept`, segments cut off
    where the history of `timeline` left theirs. Not there: 1, which ends a recovery in good order."""
    if HISTORY.fullmatch(name):
        for directory in (archive, kept):
            if os.path.exists(f"{directory}/{name}"):
                return _give(f"{directory}/{name}", target, None)
        return FAILED
    if not SEGMENT.fullmatch(name):
        return FAILED
    path = best_copy(name, archive)
    if path is None:
        return FAILED
    own = int(name[:8], 16)
    ends = dict(read_forks(archive, kept).get(timeline, []))
    if own != timeline and own not in ends:
        return FAILED
    limit = None
    if own in ends:
        limit = ends[own] - start_of(name, os.stat(path).st_size)
        if limit <= 0:
            return FAILED
    return _give(path, target, limit)


def best_copy(name: str, archive: str) -> str | None:
    """The plain segment, or of the partial ones the one that is WAL for longest."""
    if os.path.exists(f"{archive}/{name}"):
        return f"{archive}/{name}"
    partial = [f"{archive}/{file}" for file in sorted(os.listdir(archive)) if file.startswith(f"{name}.partial")]
    return max(partial, key=lambda path: pages_written(path, name), default=None)


def pages_written(path: str, name: str) -> int:
    """How many pages from the beginning bear the address that they have: a recycled file goes on with older ones."""
    with open(path, "rb") as file:
        content = file.read()
    start = start_of(name, len(content))
    for count, offset in enumerate(range(0, len(content), PAGE_BYTES)):
        if _PAGE.unpack_from(content, offset)[3] != start + offset:
            return count
    return len(content) // PAGE_BYTES


def _give(path: str, target: str, limit: int | None) -> int:
    with open(path, "rb") as file:
        content = file.read()
    if limit is not None and limit < len(content):
        content = content[:limit] + bytes(len(content) - limit)
    with open(target, "wb") as file:
        file.write(content)
    return OK


def _say(text: str) -> None:
    sys.stderr.write(f"{MARK} {text}\n")


def main(arguments: list[str]) -> int:
    """`store PATH NAME ARCHIVE` or `fetch NAME PATH ARCHIVE KEPT TIMELINE`."""
    try:
        if arguments[0] == "store":
            return store(arguments[1], arguments[2], arguments[3])
        return fetch(arguments[1], arguments[2], arguments[3], arguments[4], int(arguments[5]))
    except OSError as error:
        _say(f"{error.filename2 or error.filename or arguments[1]}: {error.strerror or error}")
        return FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
