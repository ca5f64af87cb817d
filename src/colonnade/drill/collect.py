"""Fetches from an instance what it says itself: the servers' logs, timelines, replication slots, what was left behind.

Nothing is concluded from it here; that is for the checkers. What PostgreSQL wrote is asked for, not what the
controller believes.
Read next: `record` for what becomes of it, `readback` for the data.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg

from colonnade.core.files import disk_error, read_json
from colonnade.core.processes import marked_processes
from colonnade.drill.instance import Prepared
from colonnade.drill.record import Promotion, ServerLine
from colonnade.system.paths import StatePaths

LINES_MAX = 20_000
"""Per node. A node says a few lines a minute; one that says more says the same again and again."""

LOG_BYTES_MAX = 2_000_000
"""Of each log that is kept with the report: some thousand lines, with the end of the drill in them."""

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 — where PostgreSQL keeps POSIX shared memory; looked at only

_LINE = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}) UTC \[\d+\] (.*)")
"""As `log_line_prefix` of our nodes has it: "%m [%p] %q%u@%d "."""

_PROMOTED = re.compile(r"selected new timeline ID: (\d+)")


def server_lines(paths: StatePaths) -> tuple[ServerLine, ...]:
    """What each node of the database has logged, oldest first."""
    lines: list[ServerLine] = []
    for log in sorted(paths.logs.glob("db-*.log")):
        node = log.stem.removeprefix("db-")
        texts = [file for file in (log.with_name(log.name + ".1"), log) if file.exists()]
        found = [line for file in texts for line in parse_log(node, _lines_of(file))]
        lines += found[-LINES_MAX:]
    return tuple(sorted(lines, key=lambda line: line.at_wall_s))


def _lines_of(file: Path) -> Iterator[str]:
    with file.open(encoding="utf-8", errors="replace") as lines:
        yield from lines


def parse_log(node: str, lines: Iterable[str]) -> Iterator[ServerLine]:
    """The lines that begin with a moment. Others continue the one before, such as the text of a statement."""
    for line in lines:
        match = _LINE.match(line)
        if match is not None:
            at = datetime.strptime(match[1], "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC)
            yield ServerLine(node, at.timestamp(), match[2].rstrip())


def promotions(paths: StatePaths, lines: Iterable[ServerLine]) -> tuple[Promotion, ...]:
    """Each beginning of a timeline: who says in its log that it took the number, and where its history has the fork.

    A number that two nodes took gives two of them, each with its own place.
    """
    return promotions_from(lines, {node: _histories(node_wal) for node, node_wal in _wal_directories(paths).items()})


def promotions_from(lines: Iterable[ServerLine], histories: Mapping[str, Mapping[int, str]]) -> tuple[Promotion, ...]:
    """`histories`: by node and timeline, the place at which the node's history file lets it begin."""
    taken = {(line.node, int(match[1])) for line in lines if (match := _PROMOTED.search(line.text))}
    found = []
    for node, timeline in sorted(taken, key=lambda item: (item[1], item[0])):
        own = histories.get(node, {}).get(timeline)
        others = [known[timeline] for known in histories.values() if timeline in known]
        found.append(Promotion(node, timeline, own or (others[0] if others else "")))
    return tuple(found)


def _wal_directories(paths: StatePaths) -> dict[str, Path]:
    return {place.name: place / "pg_wal" for place in sorted((paths.root / "database" / "nodes").glob("*"))}


def _histories(pg_wal: Path) -> dict[int, str]:
    """By timeline, the place of its last fork: the beginning of the timeline itself."""
    found = {}
    for file in sorted(pg_wal.glob("*.history")):
        with contextlib.suppress(OSError, ValueError, IndexError):  # being written, or not ours: the log has told
            last = [line for line in file.read_text(encoding="utf-8").splitlines() if line.strip()][-1]
            found[int(file.stem, 16)] = last.split("\t")[1].strip()
    return found


@dataclass(frozen=True, slots=True)
class DatabaseAccess:
    """The way to the primary as the application has it."""

    conninfo: str = field(repr=False)
    is_ours: bool


def database_access(prepared: Prepared, status: Mapping[str, Any]) -> DatabaseAccess | None:
    """None without a database, or while its address is not known."""
    spec, database = prepared.loaded.spec.database, status.get("database")
    if spec is not None and spec.url:
        return DatabaseAccess(spec.url, is_ours=False)
    stored = read_json(prepared.instance.paths.root / "database" / "secrets.json")
    if not database or "primary_endpoint" not in database or stored is None:
        return None
    name, password = database["database_name"], quote(stored["application"])
    return DatabaseAccess(f"postgresql://{name}:{password}@{database['primary_endpoint']}/{name}", is_ours=True)


async def replication_slots(access: DatabaseAccess) -> tuple[str, ...]:
    """Names of slots on the primary that will outlive their session. Our nodes need none. Raises psycopg.Error."""
    async with await psycopg.AsyncConnection.connect(access.conninfo, connect_timeout=10) as connection:
        rows = await (
            await connection.execute("SELECT slot_name::text FROM pg_replication_slots WHERE NOT temporary")
        ).fetchall()
    return tuple(str(name) for (name,) in rows)


def shared_memory_of(paths: StatePaths) -> frozenset[str]:
    """Files of shared memory that processes of the instance have open now."""
    found = set()
    for pid in marked_processes(paths.mark):
        with contextlib.suppress(OSError):  # gone meanwhile
            maps = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8", errors="replace")
            found |= set(re.findall(rf"{SHARED_MEMORY}/(PostgreSQL\.\d+)$", maps, re.MULTILINE))
    return frozenset(found)


def files_left(paths: StatePaths, shared_memory: Iterable[str]) -> tuple[str, ...]:
    """Files that should have gone with the processes: their records, half-written ones, shared memory. Sentences."""
    names = ("listeners.json", "replicas.json", "deployment.json")
    left = [f"{name} in the state directory is still there" for name in names if (paths.root / name).exists()]
    for directory, _, files in os.walk(paths.root):
        if "/database/nodes/" not in f"{directory}/":
            place = Path(directory).relative_to(paths.root)
            left += [f"{place / name} was not finished" for name in files if re.fullmatch(r"\..*\.\d+\.new", name)]
    left += [f"shared memory {name} is still there" for name in shared_memory if (SHARED_MEMORY / name).exists()]
    return tuple(left)


def keep_logs(paths: StatePaths, directory: Path) -> None:
    """Copy the ends of the instance's logs and its events into `directory`, made if need be: a figure that surprises
    has its reasons there. Raises HostError when it refuses."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)  # applications log what is nobody else's business
        for file in sorted([*paths.logs.glob("*"), *paths.events.parent.glob("*.jsonl")]):
            if file.is_file() and not file.is_symlink():
                with file.open("rb") as source, (directory / file.name).open("wb") as target:
                    source.seek(max(0, file.stat().st_size - LOG_BYTES_MAX))
                    target.write(source.read(LOG_BYTES_MAX))
    except OSError as error:
        raise disk_error(error, directory) from error


def sockets_left(paths: StatePaths) -> tuple[str, ...]:
    return (f"{paths.sockets} is still there",) if paths.sockets.exists() else ()
