"""Making data directories: of a new cluster, by copying a primary, by rewinding onto it.

None of these starts a server. Each leaves either a complete directory or one that is recognised as unfinished: new
ones are made beside their place and renamed, and a rewind is marked while it lasts.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import os
import shutil
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from colonnade.core.errors import DriverError, HostError
from colonnade.core.files import disk_error, make_directory, sync_directory, write_durably
from colonnade.core.processes import Credentials
from colonnade.database.config import replication_conninfo
from colonnade.database.fence import STANDBY_SIGNAL, mark_as_standby
from colonnade.database.foreign import owner_of, read_foreign
from colonnade.database.secrets import SUPERUSER, Secrets
from colonnade.database.state import Address, NodeName
from colonnade.database.threads import in_thread
from colonnade.database.tools import Toolbox

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY
PLAIN = os.O_RDONLY | os.O_NONBLOCK
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL

INITDB_S_MAX = 60.0
WAL_SEGMENT_MB = 4
"""A promotion copies the segment it forks in, and a standby that follows a new primary receives its segment from the
start, twice: with PostgreSQL's 16 MB a failover took 0.25 s, with 4 MB 0.14 s, with 1 MB and many files 0.12 s."""
COPY_BYTES = 16 * 1024 * 1024
"""At once by sendfile; the kernel copies, Python only asks."""
CLONE_S_MAX = 6 * 3600.0
"""A base backup of a large database takes long; it is given up only when it is certainly stuck."""
REWIND_S_MAX = 3600.0
REMOVALS_MAX = 100
"""A removal that meets another one in the same tree begins again, each time with less to do."""


async def create_directories(
    directories: Sequence[Path], settings: Mapping[str, object], secrets: Secrets, tools: Toolbox
) -> None:
    """A new cluster in the first directory and equal copies of it in the others.

    A directory that was never started is a perfect base backup of itself, so no server has to run for it.
    Not yet synced: `sync_filesystem` does that once, while the servers start."""
    first = directories[0]
    owner = _owner(tools.credentials)
    for directory in directories:
        await _remove(directory)
    make_directory(first, mode=0o700, owner=owner)
    password_file = first.with_name(".initdb.password")
    write_durably(password_file, secrets.superuser + "\n", mode=0o600, owner=owner)
    try:
        arguments = [f"--pgdata={first}", f"--username={SUPERUSER}", f"--pwfile={password_file}"]
        # The built-in locale is the same on every machine and needs none installed.
        arguments += ["--auth=scram-sha-256", "--encoding=UTF8", *_locale(tools), "--data-checksums"]
        arguments += ["--no-sync", "--no-instructions", f"--wal-segsize={WAL_SEGMENT_MB}"]
        arguments += [f"--set={name}={value}" for name, value in settings.items()]
        await tools.run("initdb", arguments, cwd=first, deadline_s=INITDB_S_MAX)
    finally:
        password_file.unlink(missing_ok=True)
    await asyncio.gather(*(asyncio.to_thread(_copy, first, other, owner) for other in directories[1:]))


def system_identifier(directory: Path) -> str:
    """What tells clusters apart: the first eight bytes of the control file (ControlFileData, pg_control.h).

    Raises HostError when there is no such file of the directory's owner."""
    control = directory / "global" / "pg_control"
    try:
        return str(int.from_bytes(read_foreign(control, owner_of(directory))[:8], sys.byteorder))
    except OSError as error:
        raise disk_error(error, control) from error


def sync_filesystem(directory: Path) -> None:
    """Everything written to the file system of `directory` so far is on disk when this returns (syncfs(2))."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syncfs(descriptor) != 0:
            error = ctypes.get_errno()
            raise disk_error(OSError(error, os.strerror(error)), directory)
    finally:
        os.close(descriptor)


async def clone_directory(name: NodeName, target: Path, upstream: Address, passfile: Path, tools: Toolbox) -> None:
    """A base backup of `upstream` in `target`. It connects as `clone-NAME`: under the member's own name the
    backup's WAL stream would count in the quorum and release commits that no standby keeps."""
    await _remove(target)
    make_directory(target, mode=0o700, owner=_owner(tools.credentials))
    source = replication_conninfo(f"clone-{name}", upstream, passfile)
    arguments = [f"--pgdata={target}", f"--dbname={source}", "--wal-method=stream", "--checkpoint=fast"]
    arguments += ["--no-manifest", "--no-password", *_sync_method(tools)]
    await tools.run("pg_basebackup", arguments, cwd=target, deadline_s=CLONE_S_MAX)
    mark_as_standby(target)


async def put_in_place(unfinished: Path, directory: Path) -> None:
    """Replace `directory` by the finished clone. At every moment one of the two is there under a name that
    `settle_names` knows: after a crash the node has its old directory or its new one."""
    await _remove(_set_aside(directory))
    await in_thread(_exchange, unfinished, directory)
    # The clone is in place whatever becomes of the rest; what is left is removed when the next controller opens.
    with contextlib.suppress(HostError):
        await _remove(_set_aside(directory))


def _exchange(unfinished: Path, directory: Path) -> None:
    try:
        with contextlib.suppress(FileNotFoundError):
            directory.rename(_set_aside(directory))
        unfinished.rename(directory)
        sync_directory(directory.parent)
        rewind_mark(directory).unlink(missing_ok=True)
    except OSError as error:
        raise disk_error(error, directory) from error


async def settle_names(directory: Path) -> None:
    """Finish or take back a replacement that a crash interrupted."""
    await in_thread(_take_back, directory)
    await _remove(_set_aside(directory))


def _take_back(directory: Path) -> None:
    old = _set_aside(directory)
    try:
        if old.exists() and not directory.exists():
            old.rename(directory)
            sync_directory(directory.parent)
    except OSError as error:
        raise disk_error(error, directory) from error


async def remove_directories(directories: Sequence[Path]) -> None:
    """All of them with what is beside them for as long as they exist. Raises HostError."""
    for directory in directories:
        await _remove(directory)
        rewind_mark(directory).unlink(missing_ok=True)


async def rewind_directory(directory: Path, sockets: Path, source_port: int, tools: Toolbox) -> None:
    """Take the directory back to where its history left that of the source, and copy what changed since.

    Raises DriverError when that cannot be done; then the directory must be cloned. The server must be proved dead.
    pg_rewind first lets it recover from its crash, which a standby's mark would prevent: so the mark is taken away
    meanwhile. Its configuration is the source's afterwards and must be written anew."""
    mark = rewind_mark(directory)
    if mark.exists():
        raise DriverError(
            "an earlier rewind was interrupted", subject=str(directory), hint="nothing to do: it is cloned instead"
        )
    write_durably(mark, "")
    for name in (STANDBY_SIGNAL, "recovery.signal", "backup_label.old"):
        (directory / name).unlink(missing_ok=True)
    source = f"host='{sockets}' port={source_port} user={SUPERUSER} dbname=postgres"
    arguments = [f"--target-pgdata={directory}", f"--source-server={source}", *_sync_method(tools)]
    await tools.run("pg_rewind", arguments, cwd=directory, deadline_s=REWIND_S_MAX)
    mark_as_standby(directory)
    mark.unlink()
    sync_directory(mark.parent)


def rewind_mark(directory: Path) -> Path:
    """Exists while a rewind is under way; beside the directory, for a rewind removes what the source has not."""
    return directory.with_name(f"{directory.name}.rewinding")


def _locale(tools: Toolbox) -> list[str]:
    if tools.major >= 17:
        return ["--locale-provider=builtin", "--locale=C.UTF-8"]
    return ["--locale=C"]


def _sync_method(tools: Toolbox) -> list[str]:
    """One syncfs instead of a thousand fsyncs: on a busy disk 0.03–0.3 s instead of 0.4–2.5 s."""
    return ["--sync-method=syncfs"] if tools.major >= 17 else []


def _copy(source: Path, target: Path, owner: tuple[int, int] | None) -> None:
    """Copy a tree of plain files, all of them private: a thousand small ones, so only the calls that it needs
    (shutil.copytree asks for times, modes and extended attributes of each, and takes three times as long)."""
    try:
        _copy_tree(str(source), str(target), owner or (-1, -1))
    except OSError as error:
        raise disk_error(error, target) from error


def _copy_tree(source: str, target: str, owner: tuple[int, int]) -> None:
    """By descriptors all the way down: a directory that is swapped for a link meanwhile leads nowhere."""
    os.mkdir(target, 0o700)
    with _opened(source, DIRECTORY) as old, _opened(target, DIRECTORY) as new:
        _copy_entries(old, new, owner)


def _copy_entries(source: int, target: int, owner: tuple[int, int]) -> None:
    with os.scandir(source) as entries:
        for entry in entries:
            name = entry.name
            if entry.is_dir(follow_symlinks=False):
                os.mkdir(name, 0o700, dir_fd=target)
                with _opened(name, DIRECTORY, source) as old, _opened(name, DIRECTORY, target) as new:
                    _copy_entries(old, new, owner)
                continue
            with _opened(name, PLAIN, source) as old, _opened(name, NEW, target) as new:
                about = os.fstat(old)
                if not stat.S_ISREG(about.st_mode) or owner[0] not in (-1, about.st_uid):
                    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), name)
                while os.sendfile(new, old, None, COPY_BYTES):
                    pass
                os.fchown(new, *owner)
    # Last: until then nobody else can enter, and so nobody changes what is written to.
    os.fchown(target, *owner)


@contextlib.contextmanager
def _opened(name: str, flags: int, directory: int | None = None) -> Iterator[int]:
    descriptor = os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=directory)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _set_aside(directory: Path) -> Path:
    return directory.with_name(f"{directory.name}.old")


async def _remove(directory: Path) -> None:
    """Remove what may be hundreds of gigabytes while the event loop goes on. Raises HostError."""
    await asyncio.to_thread(_remove_tree, directory)


def _remove_tree(directory: Path) -> None:
    for _ in range(REMOVALS_MAX):
        try:
            shutil.rmtree(directory)
        except FileNotFoundError:
            # Gone, or somebody else removes it as well: the thread of a caller that was cancelled.
            if not os.path.lexists(directory):
                return
        except OSError as error:
            raise HostError(
                f"cannot be removed: {error.strerror or error}", subject=str(directory), hint="remove it by hand"
            ) from error


def _owner(credentials: Credentials | None) -> tuple[int, int] | None:
    return (credentials.user_id, credentials.group_id) if credentials else None
