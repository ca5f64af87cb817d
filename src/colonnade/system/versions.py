"""The versions of a system: what was accepted, kept so that it can run again.

A version is a read-only copy of the declaration's directory with the declaration's text. Replicas run from it, so one
that is started anew after an edit runs the code that was accepted, and a rollback finds the old code.

    versions/3/code/            the copy
    versions/3/colonnade.toml   the text; empty for `up module:app`
    versions/3/files.json       every file with its digest
    versions/3/about.json       number, digests, when and why; written last
    versions/current.json       the number of the one that runs

A version is made under another name and renamed when all of it is on the disk, so one that has a number is whole;
what a killed process left is removed by the next that writes. Never edited afterwards: the same file of two versions
is one file (`copying.py`). What is copied is decided in `snapshot.py`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from colonnade.core.clock import Clock
from colonnade.core.errors import HostError
from colonnade.core.files import disk_error, locked, make_directory, read_json, sync_directory, write_json_durably
from colonnade.core.processes import Credentials
from colonnade.spec.difference import difference
from colonnade.spec.load import SERVICE_WITHOUT_FILE, LoadedSpec, declared_spec, load_spec, spec_for_app
from colonnade.spec.model import Spec
from colonnade.spec.place import path_inside
from colonnade.system.changes import Changes, file_changes, files_of, own_places
from colonnade.system.copying import Kept, copy_tree, missing_in, remove_tree, sync_file_system
from colonnade.system.database_settings import with_settings
from colonnade.system.paths import StatePaths
from colonnade.system.snapshot import Changing, Entry, OpenTree, Rules, changed_since, take_snapshot, tree_digest

ATTEMPTS_MAX = 5
"""Copies that are begun again because a file was written meanwhile. An editor or `git pull` is done by then."""

NEW, GONE = ".new", ".gone"
"""A version that is being made, and one that is being removed. Neither is a number, so neither is ever a version."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version. `origin`: the user's directory; `directory`: the copy of it."""

    number: int
    at_s: float
    message: str
    app: str
    """The import string of `up module:app`; empty when there was a file."""
    origin: Path
    directory: Path
    digest: str
    services: Mapping[str, str]
    """For each service the digest of all that it is: files, variables, keys."""
    code: Mapping[str, str]
    """For each service the digest of what only new processes can have: files and variables."""
    env_files: Mapping[str, str]
    """For each service the digest of what its env file gives."""
    files: int
    bytes_total: int
    warnings: tuple[str, ...]
    """What is not part of it, in sentences."""


@dataclass(frozen=True, slots=True)
class _Draft:
    """What a version made now would be."""

    spec: Spec
    about: dict[str, Any]
    entries: Mapping[str, Entry]


class VersionStore:
    """The versions in one state directory. Synchronous; whoever changes something waits for whoever else does."""

    def __init__(self, paths: StatePaths, clock: Clock, credentials: Credentials | None = None) -> None:
        self._paths = paths
        self._root = paths.versions
        self._clock = clock
        self._credentials = credentials

    # What there is

    def numbers(self) -> tuple[int, ...]:
        """Ascending. Only names are looked at, so a damaged version counts."""
        try:
            return tuple(sorted(int(name) for name in os.listdir(self._root) if name.isdecimal()))
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise disk_error(error, self._root) from error

    def list(self) -> tuple[Version, ...]:
        """All of them, ascending. Raises HostError for a damaged one."""
        return tuple(self.get(number) for number in self.numbers())

    @property
    def newest(self) -> Version | None:
        numbers = self.numbers()
        return self.get(numbers[-1]) if numbers else None

    @property
    def current(self) -> int | None:
        """The one that runs, or is to run; None before the first start."""
        value = read_json(self._root / "current.json")
        number = value.get("number") if value is not None else None
        return number if isinstance(number, int) else None

    def set_current(self, number: int) -> None:
        self.get(number)
        write_json_durably(self._root / "current.json", {"number": number}, mode=0o600)

    def get(self, number: int) -> Version:
        """Raises HostError when there is no such version, or its record cannot be read."""
        place = self._root / str(number)
        value = read_json(place / "about.json")
        if value is None:
            if place.exists():
                raise _damaged(place, "has no about.json")
            kept = ", ".join(map(str, self.numbers())) or "none"
            raise HostError(
                f"there is no version {number}; kept are: {kept}",
                subject="versions",
                hint="`colonnade versions` lists them; `versions_kept` in colonnade.toml says how many are kept",
            )
        try:
            return _version_from(value, place)
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(place, f"its about.json is not a record of ours ({error})") from error

    def load(self, number: int, *, environ: Mapping[str, str] | None = None) -> LoadedSpec:
        """The declaration of a version, with its directories in the copy. Raises HostError when something is missing
        in it, and what `load_spec` raises."""
        version = self.get(number)
        place = self._root / str(number)
        missing = missing_in(version.directory, self._entries(number))
        if missing is not None:
            raise _damaged(place, f"{missing} is not there, or not as it was")
        if version.app:
            return spec_for_app(version.app, directory=version.directory, origin=version.origin)
        text = place / "colonnade.toml"
        return load_spec(text, directory=version.directory, origin=version.origin, environ=environ)

    # What changes

    def take(self, loaded: LoadedSpec, text: str, *, message: str = "") -> Version:
        """Keep the declaration and its directory as they stand now; the newest version again when both are as in it.
        `loaded` is the original, `text` its file's content ("" for `up module:app`). `message`: what changed, found out
        by comparing when it is empty. Raises HostError: too large, written all the time, no space."""
        with self._writing():
            written = ""
            for _ in range(ATTEMPTS_MAX):
                try:
                    return self._take(loaded, text, message)
                except Changing as changing:
                    written = changing.path
                    self._remove_leftovers()
        raise HostError(
            f"{written} is written while it is copied, {ATTEMPTS_MAX} times in a row",
            subject=str(loaded.directory),
            hint=f"wait until it is complete, or say that it is data: [system] shared = {json.dumps([written])}",
        )

    def prune(self, keep: int, in_use: Collection[int] = ()) -> tuple[int, ...]:
        """Remove all but the newest `keep`, those `in_use`, and the current one. Returns the numbers removed."""
        with self._writing():
            spared = {*self.numbers()[-max(keep, 1) :], *in_use, self.current}
            surplus = tuple(number for number in self.numbers() if number not in spared)
            for number in surplus:
                gone = self._root / f"{GONE}-{number}"
                (self._root / str(number)).rename(gone)
                remove_tree(gone)
        return surplus

    # What differs

    def changes(self, old: int, new: int) -> Changes:
        """From one kept version to another."""
        version = self.get(new)
        draft = _Draft(self._declared(version), {"env_files": version.env_files}, self._entries(new))
        return self._changes(self.get(old), draft, version.origin)

    def pending(self, old: int, loaded: LoadedSpec, text: str, *, database: Mapping[str, Any] | None = None) -> Changes:
        """From a kept version to what stands in the user's directory now. `database`: settings that were changed since
        while it ran (`Accepted.database`). Raises HostError as `take` does."""
        for _ in range(ATTEMPTS_MAX):
            with suppress(Changing), _translating(loaded.directory), OpenTree(loaded.directory) as tree:
                snapshot = take_snapshot(tree, self._rules(loaded), self._credentials)
                draft = self._draft(loaded, text, snapshot.entries)
                return self._changes(self.get(old), draft, loaded.directory, database)
        raise HostError(
            "is written while it is read", subject=str(loaded.directory), hint="wait until that is done, then try again"
        )

    def _changes(
        self, old: Version, new: _Draft, directory: Path, database: Mapping[str, Any] | None = None
    ) -> Changes:
        before = self._declared(old)
        if database and before.database is not None:
            before = before.model_copy(update={"database": with_settings(before.database, dict(database))})
        both = [name for name in new.spec.services if name in before.services]
        entries = self._entries(old.number)
        old_places, new_places = own_places(before, old.origin), own_places(new.spec, directory)
        files = {
            name: file_changes(files_of(name, entries, old_places), files_of(name, new.entries, new_places))
            for name in both
        }
        return Changes(
            difference(before, new.spec),
            {name: changes for name, changes in files.items() if changes.count},
            tuple(name for name in both if old.env_files.get(name) != new.about["env_files"].get(name)),
            tuple(both),
        )

    def _declared(self, version: Version) -> Spec:
        if version.app:
            return spec_for_app(version.app, directory=version.origin).spec
        text = self._root / str(version.number) / "colonnade.toml"
        try:
            return declared_spec(text.read_text(encoding="utf-8"), subject=str(text))
        except OSError as error:
            raise _damaged(text.parent, "has no colonnade.toml") from error

    def _entries(self, number: int) -> dict[str, Entry]:
        place = self._root / str(number)
        value = read_json(place / "files.json")
        if value is None:
            raise _damaged(place, "has no files.json")
        try:
            return {
                path: Entry(kind, content, mode, tuple(owner) if owner else None, size)
                for path, (kind, content, mode, owner, size) in value.items()
            }
        except (TypeError, ValueError) as error:
            raise _damaged(place, f"its files.json is not a record of ours ({error})") from error

    # How one is made

    def _take(self, loaded: LoadedSpec, text: str, message: str) -> Version:
        with _translating(self._root), OpenTree(loaded.directory) as tree:
            rules = self._rules(loaded)
            snapshot = take_snapshot(tree, rules, self._credentials)
            draft = self._draft(loaded, text, snapshot.entries)
            draft.about["warnings"] = [*self._unversioned(loaded), *snapshot.warnings]
            newest = self._newest_whole()
            if newest is not None and newest.digest == draft.about["digest"]:
                return newest
            kept = None if newest is None else Kept(newest.directory, self._entries(newest.number))
            number = max(self.numbers(), default=0) + 1
            new = self._root / NEW
            make_directory(new, mode=self._mode)
            copy_tree(tree, snapshot.entries, new / "code", kept, self._credentials)
            if (path := changed_since(tree, rules, snapshot)) is not None:
                raise Changing(path)
        if not message:
            message = self._changes(newest, draft, loaded.directory).sentence() if newest else "the first version"
        draft.about.update(number=number, at_s=self._clock.wall(), message=message)
        self._complete(new, number, text, draft)
        return self.get(number)

    def _complete(self, new: Path, number: int, text: str, draft: _Draft) -> None:
        """Everything onto the disk, then the name."""
        rows = {
            path: [entry.kind, entry.content, entry.mode, entry.owner, entry.size_bytes]
            for path, entry in draft.entries.items()
        }
        with _translating(new):
            for name, content in (("colonnade.toml", text), ("files.json", json.dumps(rows))):
                descriptor = os.open(new / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                with open(descriptor, "w", encoding="utf-8") as file:
                    file.write(content)
            sync_file_system(new)
            write_json_durably(new / "about.json", draft.about, mode=0o600)
            new.rename(self._root / str(number))
            sync_directory(self._root)

    def _draft(self, loaded: LoadedSpec, text: str, entries: Mapping[str, Entry]) -> _Draft:
        app = "" if loaded.path is not None else loaded.spec.services[SERVICE_WITHOUT_FILE].app
        # Again from its source: `loaded` may have what the command line said instead.
        spec = (
            spec_for_app(app, directory=loaded.directory).spec if app else declared_spec(text, subject=str(loaded.path))
        )
        places = own_places(spec, loaded.directory)
        services, code, env_files = {}, {}, {}
        for name, service in spec.services.items():
            given = loaded.environments.get(name, {})
            env_files[name] = _digest({key: value for key, value in given.items() if key not in service.env})
            code[name] = _digest([tree_digest(files_of(name, entries, places)), env_files[name], service.env])
            services[name] = _digest([code[name], service.model_dump(mode="json", exclude_defaults=True)])
        whole = [tree_digest(entries), services, spec.model_dump(mode="json", exclude_defaults=True)]
        about = {
            "app": app,
            "origin": str(loaded.directory),
            "digest": _digest([*whole, app, str(loaded.directory)]),
            "services": services,
            "code": code,
            "env_files": env_files,
            "files": sum(entry.kind == "file" for entry in entries.values()),
            "bytes_total": sum(entry.size_bytes for entry in entries.values()),
        }
        return _Draft(spec, about, entries)

    def _rules(self, loaded: LoadedSpec) -> Rules:
        database = loaded.spec.database
        backups = database.backup.directory if database is not None and database.backup is not None else None
        left_out = [os.path.abspath(path) for path in (self._paths.root, loaded.path, backups) if path is not None]
        # By the name that was given, and by what it is: either may be a link.
        inside = [path_inside(path, os.path.abspath(loaded.directory)) for path in left_out]
        inside += [path_inside(os.path.realpath(path), os.path.realpath(loaded.directory)) for path in left_out]
        return Rules(frozenset(path for path in inside if path), frozenset(loaded.spec.system.shared))

    def _unversioned(self, loaded: LoadedSpec) -> tuple[str, ...]:
        """What the declaration points at and no version has."""
        base = os.path.normpath(loaded.directory)
        found = []
        for name, place in own_places(loaded.spec, loaded.directory).items():
            if place is None:
                found.append(f"the directory of {name} is not below {base}: it runs from where it is, unversioned")
            env_file = loaded.spec.services[name].env_file
            if env_file and path_inside(os.path.normpath(os.path.join(base, env_file)), base) is None:
                found.append(f"the env file of {name} is not below {base}: every version reads it as it is then")
        return tuple(found)

    def _newest_whole(self) -> Version | None:
        """The newest version, if nothing is missing in it: a damaged one is neither taken again nor linked to."""
        with suppress(HostError):
            newest = self.newest
            if newest is not None and missing_in(newest.directory, self._entries(newest.number)) is None:
                return newest
        return None

    @property
    def _mode(self) -> int:
        """As root the parts have to get through to the copies, and may not list what there is."""
        return 0o711 if self._credentials is not None else 0o700

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One at a time; what another left half done is removed before and after."""
        make_directory(self._root, mode=self._mode)
        with locked(self._root / ".lock"):
            self._remove_leftovers()
            try:
                yield
            finally:
                self._remove_leftovers()

    def _remove_leftovers(self) -> None:
        with _translating(self._root):
            for name in os.listdir(self._root):
                if name.startswith((NEW, GONE)):
                    remove_tree(self._root / name)


@contextmanager
def _translating(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise disk_error(error, Path(error.filename) if isinstance(error.filename, str) else place) from error


def _damaged(place: Path, what: str) -> HostError:
    return HostError(
        f"this version is damaged: {what}",
        subject=str(place),
        hint=f"`chmod -R u+w '{place}' && rm -r '{place}'` removes it; use another one of `colonnade versions`",
    )


def _version_from(value: Mapping[str, Any], place: Path) -> Version:
    return Version(
        number=int(place.name),
        at_s=float(value["at_s"]),
        message=str(value["message"]),
        app=str(value["app"]),
        origin=Path(value["origin"]),
        directory=place / "code",
        digest=str(value["digest"]),
        services=dict(value["services"]),
        code=dict(value["code"]),
        env_files=dict(value["env_files"]),
        files=int(value["files"]),
        bytes_total=int(value["bytes_total"]),
        warnings=tuple(value["warnings"]),
    )


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode(errors="surrogateescape")).hexdigest()
