"""Files that survive a crash, and private ones that nobody else reads.

`write_durably` is the only way a decision is recorded: temporary file, fsync, rename, fsync of the directory. What
it promises holds for kill -9 and, as far as the disk keeps its word, for a power cut.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from colonnade.core.errors import ColonnadeError, HostError

LOG_FILE_BYTES_MAX = 5 * 1024 * 1024
"""A log that grew past this is copied to `.1` and truncated: about 10 MB per process in two files, and what is written
between two looks."""


def write_durably(path: Path, content: str | bytes, *, mode: int = 0o644, owner: tuple[int, int] | None = None) -> None:
    """Replace `path` by `content`, all or nothing. Raises HostError when the disk refuses."""
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
        try:
            if owner is not None:
                os.fchown(descriptor, *owner)
            os.fchmod(descriptor, mode)
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, path)
        sync_directory(path.parent)
    except OSError as error:
        # A place that refused the file may refuse this as well; what is to be told is the first refusal.
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise disk_error(error, path) from error


def write_json_durably(path: Path, value: Mapping[str, Any], *, mode: int = 0o644) -> None:
    write_durably(path, json.dumps(value, indent=1, sort_keys=True) + "\n", mode=mode)


def write_json_atomically(path: Path, value: Mapping[str, Any], *, mode: int = 0o600) -> None:
    """As `write_json_durably` without the fsync, which takes ten milliseconds: for what says nothing after a power
    cut, such as which processes run. Raises HostError when the disk refuses."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        with open(descriptor, "w", encoding="utf-8") as file:
            json.dump(value, file, indent=1, sort_keys=True)
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):  # a file system that was made read-only refuses this as well
            temporary.unlink()
        raise disk_error(error, path) from error


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in `path`; None when there is no such file. Raises HostError when it is not a JSON object."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise disk_error(error, path) from error
    except ValueError as error:
        raise HostError(
            f"is not valid JSON ({error})", subject=str(path), hint="move the file away and start again"
        ) from error
    if not isinstance(value, dict):
        raise HostError("does not hold a JSON object", subject=str(path), hint="move the file away and start again")
    return value


def sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directory(path: Path, *, mode: int, owner: tuple[int, int] | None = None) -> None:
    """Make `path` (its parents too) with exactly `mode` and `owner`; fine when it is there already."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        # What is given to another user is no link, which may be theirs and lead anywhere; and what is looked at is
        # what is changed, whoever puts something else under its name meanwhile.
        flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC | (os.O_NOFOLLOW if owner is not None else 0)
        descriptor = os.open(path, flags)
        try:
            about = os.fstat(descriptor)
            itself = f"/proc/self/fd/{descriptor}"
            if owner is not None and (about.st_uid, about.st_gid) != owner:
                os.chown(itself, *owner)
            if about.st_mode & 0o7777 != mode:
                os.chmod(itself, mode)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise disk_error(error, path) from error


@contextlib.contextmanager
def locked(path: Path, *, busy: ColonnadeError | None = None) -> Iterator[None]:
    """Hold the lock that this file is; its end with the process, however that comes, frees it. While another holds it,
    wait; or raise `busy`, if that is given. Raises HostError for a file that cannot be opened."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise disk_error(error, path) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if busy is None else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            assert busy is not None, "who waits is not refused"
            raise busy from error
        yield
    finally:
        os.close(descriptor)


def disk_error(error: OSError, path: Path) -> HostError:
    """Say in the user's words what the disk refused."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return HostError(
            "cannot be written: the disk is full",
            subject=str(path),
            hint=f"free some space (`df -h {path.parent}`), then start again; nothing was lost",
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return HostError(
            f"cannot be written: {os.strerror(error.errno).lower()}",
            subject=str(path),
            hint=f"check who owns it (`ls -ld {path.parent}`), or choose another place with --state-dir",
        )
    return HostError(f"cannot be used: {error.strerror or error}", subject=str(path), hint=f"look at `ls -l {path}`")


def rotate_log(path: Path, *, bytes_max: int = LOG_FILE_BYTES_MAX) -> bool:
    """Copy the end of a log that grew past `bytes_max` to `.1` and truncate it; True when it did.

    Its writer holds it with O_APPEND, so it goes on at the new end. Lines written between copy and truncate are
    lost: a bounded price for a writer that never has to be told.
    """
    try:
        if path.stat().st_size <= bytes_max:
            return False
        with path.open("rb") as source, path.with_name(path.name + ".1").open("wb") as target:
            # The log may be private and hold secrets: so is its copy, before the first byte.
            os.fchmod(target.fileno(), os.fstat(source.fileno()).st_mode & 0o777)
            _copy_end(source.fileno(), target.fileno(), bytes_max)
        os.truncate(path, 0)
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            os.truncate(path, 0)  # keeping the disk usable matters more than old lines
            return True
        raise disk_error(error, path) from error
    return True


def _copy_end(source: int, target: int, bytes_max: int) -> None:
    """Copy the newest `bytes_max` bytes: of a log that grew fast, these are the ones somebody will look for."""
    end = os.fstat(source).st_size
    offset = max(0, end - bytes_max)
    while offset < end and (count := os.sendfile(target, source, offset, end - offset)) > 0:
        offset += count


def tail_lines(path: Path, count: int, *, bytes_max: int = 64 * 1024) -> list[str]:
    """The last `count` lines of a log, reading at most `bytes_max`; empty when there is no such file."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - bytes_max))
            return file.read().decode(errors="replace").splitlines()[-count:]
    except FileNotFoundError:
        return []
