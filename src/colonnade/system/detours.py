"""Detours: where one part of a system reaches another when something was put in between, as a drill does.

Normally there are none, and everybody is told everybody's own address. A system that was started with a directory of
detours (`up --detours`) asks here for each address that one part gets to reach another. Whoever made the directory has
put `WHO~WHOM.port` into it for each way that leads through them, and finds in `WHO~WHOM` where that way really ends,
replaced as a whole whenever it changes. Where there is no port, or no longer, the way is straight.

Nothing here knows what lies in between. Read next: `drill/links`, which makes such directories.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from colonnade.core.errors import HostError
from colonnade.core.files import read_json, write_json_atomically

GATEWAY = "gateway"
DBGATE = "dbgate"
DATABASE = "database"
DATABASE_READ = "database-read"
"""Names of ends beside those of services and nodes. `backend~database` is the way of DATABASE_URL into dbgate."""

Place = tuple[str, int]
"""Host and port."""


def replica_end(service: str, slot: int) -> str:
    """The name of a replica as an end: its id has a slash, and ends are names of files."""
    return f"{service}-{slot}"


def end_file(directory: Path, who: str, whom: str) -> Path:
    """Holds the address where this way ends."""
    return directory / f"{who}~{whom}"


def port_file(directory: Path, who: str, whom: str) -> Path:
    """Holds the port on loopback where this way begins."""
    return directory / f"{who}~{whom}.port"


class Detours:
    """The ways in one directory; without one, every way is straight. Remembers what it wrote: an address that did not
    change costs nothing."""

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        self._known: dict[tuple[str, str], tuple[Place, Place]] = {}

    @property
    def are_none(self) -> bool:
        return self._directory is None

    def through(self, who: str, whom: str, place: Place) -> Place:
        """Where `who` reaches `whom`, who listens at `place`. Raises HostError when the directory takes no files."""
        if self._directory is None:
            return place
        known = self._known.get((who, whom))
        if known is None or known[0] != place:
            known = self._known[who, whom] = (place, _lead(self._directory, who, whom, place))
        return known[1]

    def through_url(self, who: str, whom: str, url: str) -> str:
        """The same for a URL; one that names no host and port of its own stays as it is."""
        parts = urlsplit(url)
        if self._directory is None or not parts.hostname or parts.port is None:
            return url
        host, port = self.through(who, whom, (parts.hostname, parts.port))
        user, at, _ = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{user}{at}{host}:{port}"))


STRAIGHT = Detours()


def _lead(directory: Path, who: str, whom: str, place: Place) -> Place:
    start = read_json(port_file(directory, who, whom))
    if start is None:
        return place
    try:
        port = int(start["port"])
    except (KeyError, TypeError, ValueError) as error:
        raise HostError(
            "holds no port", subject=str(port_file(directory, who, whom)), hint="start without --detours"
        ) from error
    write_json_atomically(end_file(directory, who, whom), {"host": place[0], "port": place[1]})
    return "127.0.0.1", port
