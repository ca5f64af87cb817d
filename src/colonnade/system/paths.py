"""Where a system keeps its things: the state directory (survives), and a short private one for sockets (does not)."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from colonnade.core.errors import HostError
from colonnade.core.files import make_directory, read_json, write_json_durably
from colonnade.observe.history.levels import HISTORY_FILE

if TYPE_CHECKING:  # every command knows the paths, few need what handles processes
    from colonnade.core.processes import Credentials

STATE_DIRECTORY_NAME = ".colonnade"
STATE_VERSION = 2
"""Raised when an older Colonnade could not read what a newer one wrote."""


@dataclass(frozen=True, slots=True)
class StatePaths:
    """All paths of one system, derived from its state directory."""

    root: Path

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def events(self) -> Path:
        return self.root / "events" / "events.jsonl"

    @property
    def registry(self) -> Path:
        return self.root / "replicas.json"

    @property
    def accepted(self) -> Path:
        """Where the versions come from, and what is known of them."""
        return self.root / "accepted.json"

    @property
    def deployment(self) -> Path:
        """The last deployment: how far it is, or how it ended."""
        return self.root / "deployment.json"

    @property
    def versions(self) -> Path:
        """Copies of code and declaration; see `versions.py`."""
        return self.root / "versions"

    @property
    def failure(self) -> Path:
        """Why the last start ended; written by the controller, read by `up`."""
        return self.root / "failure.json"

    @property
    def scaling(self) -> Path:
        return self.root / "scaling"

    @property
    def history(self) -> Path:
        """What was seen, for weeks: written by the dashboard into its own directory, read by anybody who may."""
        return self.dashboard / "data" / HISTORY_FILE

    @property
    def dashboard(self) -> Path:
        """Of the dashboard: who it is, where it listens, what it remembers."""
        return self.root / "dashboard"

    @property
    def prometheus(self) -> Path:
        """Of a Prometheus that is one more part: its configuration, and what it stores."""
        return self.root / "prometheus"

    @property
    def version(self) -> Path:
        return self.root / "version.json"

    @property
    def sockets(self) -> Path:
        """A unix socket's path holds about 100 bytes, so this one is short whatever the project's path is."""
        name = hashlib.sha256(str(self.root).encode()).hexdigest()[:12]
        return runtime_root() / name

    @property
    def control_socket(self) -> Path:
        return self.sockets / "control.sock"

    @property
    def mark(self) -> str:
        """Value of COLONNADE_SYSTEM in every process of this system."""
        return str(self.root)


def runtime_root() -> Path:
    """`/tmp/colonnade-UID`. Not $XDG_RUNTIME_DIR: that goes away when its user logs out, and a system stays up."""
    return Path("/tmp") / f"colonnade-{os.geteuid()}"  # noqa: S108 — owner and mode are checked before use


def prepare(paths: StatePaths, credentials: Credentials | None) -> None:
    """Make the directories. Raises HostError when they cannot be used, are another's, or from a newer version."""
    mode = 0o711 if credentials else 0o700
    _check_owner(paths.root)
    make_directory(paths.root, mode=mode)
    _check_version(paths)
    for directory in (paths.logs, paths.events.parent):
        make_directory(directory, mode=0o700)
    make_socket_directory(paths, mode)


def make_socket_directory(paths: StatePaths, mode: int) -> None:
    """Make the directory of sockets, and keep cleaners of /tmp away from it while this process lives: they leave
    alone what is locked."""
    # The one above is shared by all systems of this user: what one needs must not shut out the parts of another.
    shared = 0o711 if os.geteuid() == 0 else 0o700
    for place, its_mode in ((runtime_root(), shared), (paths.sockets, mode)):
        _make_private(place, its_mode)
        descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)


def remove_sockets(paths: StatePaths) -> None:
    """Remove the directory of sockets, and the one above it when no other system uses it."""
    shutil.rmtree(paths.sockets, ignore_errors=True)
    with contextlib.suppress(OSError):
        runtime_root().rmdir()


def _check_owner(root: Path) -> None:
    try:
        owner = root.stat().st_uid
    except FileNotFoundError:
        return
    except OSError as error:
        raise HostError(
            f"the state directory cannot be read: {error.strerror}", subject=str(root), hint="choose --state-dir"
        ) from error
    if owner != os.geteuid():
        raise HostError(
            f"the state directory belongs to user {owner}, you are {os.geteuid()}",
            subject=str(root),
            hint="run as its owner, remove it, or choose another place with --state-dir",
        )


def _check_version(paths: StatePaths) -> None:
    found = read_json(paths.version)
    if found is None:
        write_json_durably(paths.version, {"state_version": STATE_VERSION})
        return
    version = found.get("state_version")
    if not isinstance(version, int) or version > STATE_VERSION:
        raise HostError(
            f"the state directory was written by a newer Colonnade (layout {version}, this one knows {STATE_VERSION})",
            subject=str(paths.root),
            hint="upgrade with `pip install -U colonnade`, or choose another place with --state-dir",
        )
    if version < STATE_VERSION:
        write_json_durably(paths.version, {"state_version": STATE_VERSION})


def _make_private(path: Path, mode: int) -> None:
    """A directory below a place where anybody may write: it must be ours, and no link."""
    try:
        path.mkdir(mode=mode, parents=True)
    except FileExistsError:
        pass
    except OSError as error:
        raise HostError(
            f"cannot be made: {error.strerror}", subject=str(path), hint=f"check `ls -ld {path.parent}`"
        ) from error
    about = path.lstat()
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.geteuid():
        raise HostError(
            "is not a directory of yours: somebody else made it",
            subject=str(path),
            hint=f"have it removed by its owner or by root: `ls -ld {path}`",
        )
    path.chmod(mode)
