"""What belongs to the code of a declaration: every file below its directory with a digest, and links to what is data.

Only looks; `copying.py` makes copies. As root the directory is somebody else's: each way through it is opened step by
step without following a link, so that nobody who changes it meanwhile can have another file read.

- Left out: version control, caches, the state directory, backups, and colonnade.toml itself (its text is kept apart).
- Shared, which is a link to the original: `[system] shared`, virtual environments, `node_modules`, and SQLite
  databases, which are data wherever they lie and would be torn by a copy.
- A symbolic link is kept. One that leads out of the directory leads to the same place from the copy: to follow it
  could copy half a disk, to refuse it would break `media -> /mnt/media`, and what is there is no code of this project.
- What cannot be read is left out with a warning: the application could not read it either.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import posixpath
import stat
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from colonnade.core.errors import HostError
from colonnade.core.processes import Credentials
from colonnade.spec.place import path_inside

BYTES_MAX = 500_000_000
"""Of one version's files. Code is a few megabytes; what is larger is data that nobody has named as such."""

ENTRIES_MAX = 50_000
"""Files and directories of one version. A large project has 5,000; a forgotten directory of uploads has more."""

LEFT_OUT = frozenset(
    {".git", ".hg", ".svn", ".bzr", ".jj", ".colonnade", "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache"}
    | {".hypothesis", ".tox", ".nox", ".DS_Store"}
)
"""Names that are never code, wherever they lie."""

LEFT_OUT_ENDINGS = (".swp", "~")
"""What editors put beside a file while it is edited."""

ENVIRONMENT_MARKS = ("pyvenv.cfg", "conda-meta")
"""A directory with one of these is a Python environment: large, tied to its path, and installed, not written."""

SQLITE_ENDINGS = (".db", ".db3", ".sqlite", ".sqlite3")
SQLITE_MAGIC = b"SQLite format 3\0"
SQLITE_COMPANIONS = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside the database, under its real path: no use in a copy."""

LARGEST_SHOWN = 3
"""Entries named when a directory is too large."""

CHUNK_BYTES = 1024 * 1024

Kind = Literal["file", "link", "directory"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing as it is in the copy. `content`: the digest of a file, the target of a link."""

    kind: Kind
    content: str = ""
    mode: int = 0
    """Permissions in the copy: whoever could read it can, nobody can write."""
    owner: tuple[int, int] | None = None
    """User and group in the copy; None for an ordinary user, to whom all belongs."""
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Rules:
    """Paths of one declaration that are no code, relative to its directory."""

    left_out: frozenset[str] = frozenset()
    shared: frozenset[str] = frozenset()


Signatures = Mapping[str, tuple[int, ...]]
"""By path, what changes when a file is written, replaced or given away: ctime cannot be set back."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A directory at one moment. `entries` has parents before what is in them."""

    entries: Mapping[str, Entry]
    signatures: Signatures = field(repr=False)
    warnings: tuple[str, ...] = ()

    @property
    def bytes_total(self) -> int:
        return sum(entry.size_bytes for entry in self.entries.values())


class Changing(Exception):
    """The file at `path` is not what it was a moment ago."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


class OpenTree:
    """A directory in which paths are opened without following links. Descriptors of directories are its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._at = ""
        self._directory = self._root

    def __enter__(self) -> OpenTree:
        return self

    def __exit__(self, *_: object) -> None:
        self._leave()
        os.close(self._root)

    def directory(self, path: str) -> int:
        """The descriptor of a directory ("" for the root), good until the next call."""
        if path != self._at:
            self._leave()
            try:
                for name in path.split("/") if path else ():
                    self._enter(name)
            except OSError:
                self._leave()
                raise
            self._at = path
        return self._directory

    def file(self, path: str) -> int:
        """A descriptor for reading the file, the caller's to close. Not blocking: it may have become a pipe."""
        parent, name = posixpath.split(path)
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        return os.open(name, flags, dir_fd=self.directory(parent))

    def _enter(self, name: str) -> None:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        deeper = os.open(name, flags, dir_fd=self._directory)
        if self._directory != self._root:
            os.close(self._directory)
        self._directory = deeper

    def _leave(self) -> None:
        if self._directory != self._root:
            os.close(self._directory)
        self._directory, self._at = self._root, ""


@dataclass(frozen=True, slots=True)
class _Found:
    """One entry as it was listed. `is_shared`: a link takes its place."""

    about: os.stat_result
    is_shared: bool

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.about.st_mode) and not self.is_shared

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.about.st_mode) and not self.is_shared

    @property
    def signature(self) -> tuple[int, ...]:
        about = self.about
        if self.is_shared:
            return ()
        owned = (about.st_ino, about.st_mode, about.st_uid, about.st_gid)
        if self.is_directory:
            return owned  # what is in it is listed by itself
        return (*owned, about.st_size, about.st_mtime_ns, about.st_ctime_ns)


def take_snapshot(tree: OpenTree, rules: Rules, credentials: Credentials | None) -> Snapshot:
    """Everything, with digests. Raises Changing when something is written meanwhile, HostError when it is too much."""
    found, unreadable = _look(tree, rules)
    _check_size(found, tree.root)
    entries: dict[str, Entry] = {}
    for path, seen in found.items():
        try:
            entries[path] = _entry(tree, path, seen, credentials)
        except OSError as error:
            _only_closed(error, path)
            unreadable.append(path)
    signatures = {path: seen.signature for path, seen in found.items()}
    warnings = [f"{tree.root / path} cannot be read and is not part of the version" for path in unreadable]
    return Snapshot(entries, signatures, tuple(warnings))


def changed_since(tree: OpenTree, rules: Rules, snapshot: Snapshot) -> str | None:
    """The path of something that was written, added or removed since then; None when all is as it was."""
    found, _ = _look(tree, rules)
    now = {path: seen.signature for path, seen in found.items()}
    paths = sorted({*now, *snapshot.signatures})
    return next((path for path in paths if now.get(path) != snapshot.signatures.get(path)), None)


def tree_digest(entries: Mapping[str, Entry]) -> str:
    """One digest for files and links: their paths, content and whether they can be executed."""
    total = hashlib.sha256()
    for path in sorted(entries):
        entry = entries[path]
        if entry.kind != "directory":
            line = f"{path}\0{entry.kind}\0{entry.mode & 0o100}\0{entry.content}\n"
            total.update(line.encode(errors="surrogateescape"))
    return total.hexdigest()


def _look(tree: OpenTree, rules: Rules) -> tuple[dict[str, _Found], list[str]]:
    """What there is, parents first, and which directories cannot be read. Stops soon after ENTRIES_MAX."""
    found: dict[str, _Found] = {}
    unreadable: list[str] = []
    waiting = [""]
    while waiting and len(found) <= ENTRIES_MAX:
        directory = waiting.pop()
        try:
            listed = _listed(tree, directory, rules)
        except OSError as error:
            _only_closed(error, directory)
            found.pop(directory, None)
            unreadable.append(directory)
            continue
        found |= listed
        waiting += [path for path, seen in listed.items() if seen.is_directory]
    return found, unreadable


def _only_closed(error: OSError, path: str) -> None:
    """Nothing for what we may not read; raises for the rest."""
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
        raise Changing(path) from error
    if error.errno not in (errno.EACCES, errno.EPERM):
        raise error


def _listed(tree: OpenTree, directory: str, rules: Rules) -> dict[str, _Found]:
    """What of one directory belongs to the code, or is linked to from it."""
    listed: dict[str, _Found] = {}
    descriptor = tree.directory(directory)
    with os.scandir(descriptor) as listing:
        for item in listing:
            name, path = item.name, posixpath.join(directory, item.name)
            if name in LEFT_OUT or name.endswith(LEFT_OUT_ENDINGS) or path in rules.left_out:
                continue
            about = item.stat(follow_symlinks=False)
            if stat.S_IFMT(about.st_mode) not in (stat.S_IFDIR, stat.S_IFREG, stat.S_IFLNK):
                continue  # a socket, a pipe, a device: there is no copy of such a thing
            is_shared = path in rules.shared or _is_installed(name, about, descriptor)
            listed[path] = _Found(about, is_shared or _is_sqlite(name, about, descriptor))
    for path in [path for path, seen in listed.items() if seen.is_shared]:
        for ending in SQLITE_COMPANIONS:
            listed.pop(path + ending, None)
    return dict(sorted(listed.items()))


def _is_installed(name: str, about: os.stat_result, parent: int) -> bool:
    """Whether a directory holds what was installed there: a Python environment, node_modules."""
    if not stat.S_ISDIR(about.st_mode):
        return False
    return name == "node_modules" or any(_exists(f"{name}/{mark}", parent) for mark in ENVIRONMENT_MARKS)


def _exists(path: str, parent: int) -> bool:
    try:
        os.stat(path, dir_fd=parent, follow_symlinks=False)
    except OSError:
        return False
    return True


def _is_sqlite(name: str, about: os.stat_result, parent: int) -> bool:
    """Whether a file is an SQLite database; one that was just made is empty."""
    if not (name.endswith(SQLITE_ENDINGS) and stat.S_ISREG(about.st_mode)):
        return False
    if about.st_size == 0:
        return True
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
    except OSError:
        return False
    try:
        return os.read(descriptor, len(SQLITE_MAGIC)) == SQLITE_MAGIC
    finally:
        os.close(descriptor)


def _entry(tree: OpenTree, path: str, seen: _Found, credentials: Credentials | None) -> Entry:
    about = seen.about
    if seen.is_shared:
        return Entry("link", str(tree.root / path))
    if stat.S_ISLNK(about.st_mode):
        parent, name = posixpath.split(path)
        return Entry("link", kept_target(os.readlink(name, dir_fd=tree.directory(parent)), path, tree.root))
    owner = _owner_in_copy(about, credentials)
    if seen.is_directory:
        return Entry("directory", "", about.st_mode & 0o555, owner)
    descriptor = tree.file(path)
    try:
        if _Found(os.fstat(descriptor), is_shared=False).signature != seen.signature:
            raise Changing(path)
        digest = hashlib.sha256()
        while chunk := os.read(descriptor, CHUNK_BYTES):
            digest.update(chunk)
        return Entry("file", digest.hexdigest(), about.st_mode & 0o555, owner, about.st_size)
    finally:
        os.close(descriptor)


def kept_target(target: str, path: str, root: Path) -> str:
    """What a link at `path` says in a copy of `root`: relative when it stays inside, absolute when it leads out."""
    place = os.path.join(root, posixpath.dirname(path), target)
    inside = path_inside(os.path.normpath(place), os.path.normpath(root))
    if inside is None:
        return place
    return os.path.relpath(inside, posixpath.dirname(path) or ".") if os.path.isabs(target) else target


def _owner_in_copy(about: os.stat_result, credentials: Credentials | None) -> tuple[int, int] | None:
    """As root: root, so that the parts cannot undo that it is read-only; but what they may read only as its owner
    stays theirs, so that nobody else gets to read it. The group stays."""
    if credentials is None:
        return None
    is_theirs = about.st_uid == credentials.user_id
    as_group = about.st_gid == credentials.group_id and bool(about.st_mode & stat.S_IRGRP)
    by_owner_only = is_theirs and not as_group and not about.st_mode & stat.S_IROTH
    return (about.st_uid if by_owner_only else os.geteuid(), about.st_gid)


def _check_size(found: Mapping[str, _Found], root: Path) -> None:
    bytes_total = sum(seen.about.st_size for seen in found.values() if seen.is_file)
    if len(found) > ENTRIES_MAX:
        weights = dict.fromkeys(found, 1)
        what = f"has more than {ENTRIES_MAX} files"
    elif bytes_total > BYTES_MAX:
        weights = {path: seen.about.st_size for path, seen in found.items() if seen.is_file}
        what = f"has {bytes_total / 1e6:.0f} MB of files, more than {BYTES_MAX / 1e6:.0f} MB"
    else:
        return
    names = largest_of(weights)
    raise HostError(
        f"{what}, so it cannot be kept as a version; most is in {', '.join(names)}",
        subject=str(root),
        hint=f"give the code a directory of its own, or name what is data: [system] shared = {json.dumps(names)}",
    )


def largest_of(weights: Mapping[str, int]) -> list[str]:
    """The deepest place that holds three quarters of the weight; without one, the heaviest entries at the top."""
    below: Counter[str] = Counter()
    children: dict[str, set[str]] = {}
    for path, weight in weights.items():
        below[path] += weight
        while path:
            parent = posixpath.dirname(path)
            below[parent] += weight
            children.setdefault(parent, set()).add(path)
            path = parent
    at = ""
    while at == "" or at in children:
        heaviest = sorted(children[at], key=lambda path: (-below[path], path))
        if below[heaviest[0]] < below[""] * 3 / 4:
            return [at] if at else heaviest[:LARGEST_SHOWN]
        at = heaviest[0]
    return [at]
