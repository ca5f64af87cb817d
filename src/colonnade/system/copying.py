"""Makes the read-only copy of a snapshot, checks one, and removes one.

A file that the previous version has with the same content and permissions is a hard link to it, so many versions cost
little. Nobody can write to a copy: what an application writes beside its code would be gone with the next version, so
it fails at once instead. Only Python's compiled files may be written, into a `__pycache__` of each version's own:
otherwise every replica would compile everything at its start.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import posixpath
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from colonnade.core.processes import Credentials
from colonnade.system.snapshot import CHUNK_BYTES, Changing, Entry, OpenTree

COMPILED = "__pycache__"


@dataclass(frozen=True, slots=True)
class Kept:
    """A copy that was made before, to link to."""

    code: Path
    entries: Mapping[str, Entry]


def copy_tree(
    tree: OpenTree, entries: Mapping[str, Entry], target: Path, previous: Kept | None, credentials: Credentials | None
) -> None:
    """Make `target`, which is not there yet, out of `entries`. Raises Changing when a file is not what it was."""
    target.mkdir(mode=0o700)
    for path, entry in entries.items():
        place = target / path
        if entry.kind == "directory":
            place.mkdir(mode=0o700)
        elif entry.kind == "link":
            place.symlink_to(entry.content)
        elif previous is None or previous.entries.get(path) != entry or not _linked(previous.code / path, place, entry):
            _copy_file(tree, path, place, entry)
    _make_places_for_compiled(target, entries, credentials)
    about = os.stat(tree.root)
    top = Entry("directory", "", about.st_mode & 0o555, (about.st_uid, about.st_gid) if credentials else None)
    # From the bottom up: a directory that is closed already takes no more.
    for path, entry in reversed([("", top), *entries.items()]):
        if entry.kind == "directory":
            _set_access(target / path, entry)


def _linked(source: Path, place: Path, entry: Entry) -> bool:
    """Whether `place` is now the same file as `source`; not so when that is not what it should be, or cannot be."""
    try:
        about = os.lstat(source)
        if not _is_as(about, entry):
            return False
        os.link(source, place, follow_symlinks=False)
    except OSError:
        return False  # gone, on a file system without links, or linked too often: it is copied
    return True


def _is_as(about: os.stat_result, entry: Entry) -> bool:
    return (
        stat.S_ISREG(about.st_mode)
        and about.st_size == entry.size_bytes
        and stat.S_IMODE(about.st_mode) == entry.mode
        and (entry.owner is None or (about.st_uid, about.st_gid) == entry.owner)
    )


def _copy_file(tree: OpenTree, path: str, place: Path, entry: Entry) -> None:
    try:
        source = tree.file(path)
    except OSError as error:
        raise Changing(path) from error  # it was read a moment ago
    digest = hashlib.sha256()
    try:
        target = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            while chunk := os.read(source, CHUNK_BYTES):
                digest.update(chunk)
                view = memoryview(chunk)
                while view:
                    view = view[os.write(target, view) :]
            if digest.hexdigest() != entry.content:
                raise Changing(path)
            # What is served as a static file keeps its age, and what is compiled stays valid.
            about = os.fstat(source)
            os.utime(target, ns=(about.st_atime_ns, about.st_mtime_ns))
            _set_access(target, entry)
        finally:
            os.close(target)
    finally:
        os.close(source)


def _set_access(place: Path | int, entry: Entry) -> None:
    if entry.owner is not None:
        os.chown(place, *entry.owner)
    os.chmod(place, entry.mode)


def _make_places_for_compiled(target: Path, entries: Mapping[str, Entry], credentials: Credentials | None) -> None:
    """A `__pycache__` beside Python files, which only the parts may write to and enter."""
    directories = {posixpath.dirname(path) for path, entry in entries.items() if path.endswith(".py")}
    for directory in sorted(directories):
        place = target / directory / COMPILED
        place.mkdir(mode=0o700)
        if credentials is not None:
            os.chown(place, credentials.user_id, credentials.group_id)


def sync_file_system(path: Path) -> None:
    """Have everything written that was written to the file system of `path`: one wait instead of one per file."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if libc.syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
    finally:
        os.close(descriptor)


def missing_in(code: Path, entries: Mapping[str, Entry]) -> str | None:
    """The path of an entry that the copy does not have, or has with another size; None when it is whole."""
    for path, entry in entries.items():
        try:
            about = os.lstat(code / path)
        except OSError:
            return path
        if entry.kind == "file" and about.st_size != entry.size_bytes:
            return path
    return None


def remove_tree(path: Path) -> None:
    """Remove a copy, read-only directories and all."""
    if os.geteuid() != 0:  # root may anyway, and must not change what the parts could have put in its place
        for directory, _, _ in os.walk(path):
            os.chmod(directory, 0o700)
    shutil.rmtree(path)
