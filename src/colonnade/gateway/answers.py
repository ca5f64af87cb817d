"""What HAProxy answers on its admin socket, parsed once, into types. Pure. Read at each look, so it is made to be fast:
most slots are empty, and most lines are as they were. `runtime_api.py` asks."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from colonnade.core.errors import DriverError
from colonnade.core.histogram import BUCKETS_COUNT, Histogram
from colonnade.gateway.state import (
    DEAD_ADDRESS,
    ObservedBackend,
    ObservedFrontend,
    ObservedGateway,
    ObservedServer,
    ServerState,
)

_ADMIN_MAINT = 0x01 | 0x02 | 0x20
_ADMIN_DRAIN = 0x08 | 0x10
_CHECK_CONFIGURED = 0x02
_CHECK_ENABLED = 0x04
"""Bits of `srv_admin_state` and `srv_check_state` (HAProxy's management guide, "show servers state")."""

_TABLE_HEAD = "# table: "
_STATE_COLUMNS_MIN = 19
_STAT_COLUMNS_READ = 64
"""Beyond the last column that is read (`rtime`, the 61st), so the other seventy are not even split."""


def split_replies(text: str) -> list[str]:
    """The replies to a line of commands: each ends with an empty line, a silent one is that line alone."""
    replies: list[str] = []
    lines: list[str] = []
    for line in text.split("\n")[:-1]:
        if line:
            lines.append(line)
        else:
            replies.append("\n".join(lines))
            lines = []
    return replies


def is_success(reply: str) -> bool:
    """Silence, or the report of a changed address (`IP changed …`, `no need to change …`)."""
    return reply == "" or reply.endswith("by 'stats socket command'")


def parse_look(text: str) -> ObservedGateway | None:
    """Replies to `show info; show servers state; show stat` and, for each table, `show table`; None when a server that
    is no empty slot was left out. Raises DriverError when they are not these."""
    try:
        info, states, stats = (text.index(start) for start in ("Pid: ", "# be_id", "# pxname"))
        tables = text.index("\n\n", stats)
        pid = int(text[info + 5 : text.index("\n", info)])
        uptime_s = _number_after(text, "\nUptime_sec: ", info)
        connections = _number_after(text, "\nCurrConns: ", info), _number_after(text, "\nMaxconn: ", info)
        admin = dict(_admin_states(text[states:stats].split("\n")[1:]))
        rows: dict[str, _Row] = {}
        backends: dict[str, ObservedBackend] = {}
        frontends: dict[str, ObservedFrontend] = {}
        for row in _stat_rows(text[stats:tables].split("\n")):
            if row.name == "BACKEND":
                backends[row.proxy] = _backend(row)
            elif row.name == "FRONTEND":
                frontends[row.proxy] = _frontend(row)
            else:
                rows[f"{row.proxy}/{row.name}"] = row
        if any(name not in rows and not about.is_empty for name, about in admin.items()):
            return None
        servers = {name: _server(rows.get(name), about) for name, about in admin.items()}
        latencies = _latencies(text[tables:].split("\n"))
        return ObservedGateway(pid, uptime_s, servers, backends, latencies, frontends, *connections)
    except (KeyError, ValueError, IndexError) as error:
        raise DriverError(
            f"HAProxy's state cannot be read ({error!r})",
            hint="a newer HAProxy may have changed its format: unset COLONNADE_HAPROXY",
        ) from error


def _number_after(text: str, words: str, start: int) -> int:
    at = text.index(words, start) + len(words)
    return int(text[at : text.index("\n", at)])


def sessions_in(reply: str, server: str) -> int | None:
    """What `show stat` for one backend says of a server: in flight, or in its own queue. None without such a one."""
    row = next((row for row in _stat_rows(reply.splitlines()) if row.name == server), None)
    return None if row is None else row.number("scur") + row.number("qcur")


@dataclass(frozen=True, slots=True)
class _Admin:
    """One line of `show servers state`."""

    address: str
    state: ServerState
    weight: int
    checks: int
    is_running: bool
    is_empty: bool
    """No slot of anybody's: in maintenance, and leading nowhere."""


def _admin_states(lines: Sequence[str]) -> Iterator[tuple[str, _Admin]]:
    for line in lines:
        column = line.split(" ", _STATE_COLUMNS_MIN)
        if len(column) >= _STATE_COLUMNS_MIN:
            about = _admin(column[4], column[18], column[5], column[6], column[7], column[13])
            yield f"{column[1]}/{column[3]}", about


@lru_cache(maxsize=1024)
def _admin(host: str, port: str, running: str, admin: str, weight: str, checks: str) -> _Admin:
    """Remembered: most slots are empty, and the others are mostly as they were half a second ago."""
    bits = int(admin)
    state = (
        ServerState.MAINT if bits & _ADMIN_MAINT else ServerState.DRAIN if bits & _ADMIN_DRAIN else ServerState.READY
    )
    address = f"{host}:{port}"
    is_empty = address == DEAD_ADDRESS and state is ServerState.MAINT
    return _Admin(address, state, int(weight), int(checks), running != "0", is_empty)


class _Row:
    """One line of `show stat`: the columns that are read, by their names in the header.

    Split when it is read, by commas only, at a third of csv.reader's cost, unless a field is quoted (what a check last
    said may be).
    """

    __slots__ = ("_column", "_line", "_values", "name", "proxy")

    def __init__(self, column: Mapping[str, int], line: str) -> None:
        self._column = column
        self._line = line
        self._values: list[str] = []
        self.proxy, self.name, _ = line.split(",", 2)

    def text(self, column: str) -> str:
        if not self._values:
            line = self._line
            self._values = next(csv.reader([line])) if '"' in line else line.split(",", _STAT_COLUMNS_READ)
        return self._values[self._column[column]]

    def number(self, column: str) -> int:
        return int(self.text(column) or 0)

    def has_sessions(self) -> bool:
        """Without the rest of the line: it is all that is asked of an empty slot."""
        at = self._column["scur"]
        return self._line.split(",", at + 1)[at] != "0"


def _stat_rows(lines: Sequence[str]) -> Iterator[_Row]:
    column: dict[str, int] | None = None
    for line in lines:
        if line.startswith("# "):
            column = {name: index for index, name in enumerate(line[2:].split(","))}
        elif line and column is not None:
            yield _Row(column, line)


def _server(row: _Row | None, admin: _Admin) -> ObservedServer:
    if row is None or (admin.is_empty and not row.has_sessions()):
        return _empty_slot(admin.weight, admin.checks)
    return ObservedServer(
        address=admin.address,
        state=admin.state,
        weight=admin.weight,
        is_up=admin.is_running,
        has_checks=bool(admin.checks & _CHECK_CONFIGURED),
        ignores_health=_ignores_health(admin.checks),
        status=row.text("status"),
        check_status=row.text("check_status").removeprefix("* "),
        sessions=row.number("scur"),
        queued=row.number("qcur"),
        requests_total=row.number("stot"),
        errors_total=row.number("econ") + row.number("eresp"),
        server_errors_total=row.number("hrsp_5xx"),
        response_ms_mean=float(row.number("rtime")),
    )


@lru_cache(maxsize=256)
def _empty_slot(weight: int, checks: int) -> ObservedServer:
    """Most slots are empty, and all empty ones look the same."""
    return ObservedServer(
        DEAD_ADDRESS,
        ServerState.MAINT,
        weight,
        is_up=False,
        has_checks=bool(checks & _CHECK_CONFIGURED),
        ignores_health=_ignores_health(checks),
        status="MAINT",
    )


def _ignores_health(checks: int) -> bool:
    return bool(checks & _CHECK_CONFIGURED) and not checks & _CHECK_ENABLED


def _backend(row: _Row) -> ObservedBackend:
    return ObservedBackend(
        queued=row.number("qcur"),
        sessions=row.number("scur"),
        requests_total=row.number("stot"),
        server_errors_total=row.number("hrsp_5xx"),
        rejected_total=row.number("dreq") + row.number("econ"),
        retries_total=row.number("wretr"),
        redispatches_total=row.number("wredis"),
        response_ms_mean=float(row.number("rtime")),
        queue_ms_mean=float(row.number("qtime")),
        responses=_responses(row),
    )


def _frontend(row: _Row) -> ObservedFrontend:
    return ObservedFrontend(
        sessions=row.number("scur"),
        requests_total=row.number("req_tot"),
        denied_total=row.number("dreq"),
        bad_requests_total=row.number("ereq"),
        responses=_responses(row),
    )


def _responses(row: _Row) -> tuple[int, ...]:
    return tuple(row.number(f"hrsp_{hundreds}xx") for hundreds in range(1, 6))


def _latencies(lines: Sequence[str]) -> dict[str, dict[int, Histogram]]:
    """From tables whose key is a server's number, which is its slot: servers stand in the text in slot order."""
    tables: dict[str, dict[int, Histogram]] = {}
    rows: dict[int, Histogram] = {}
    for line in lines:
        if line.startswith(_TABLE_HEAD):
            rows = tables.setdefault(line[len(_TABLE_HEAD) : line.index(",")], {})
        elif line.startswith("0x"):
            _, key, _, _, _, counts = line.split(" ", 5)
            rows[int(key.removeprefix("key="))] = _histogram(counts)
    return tables


@lru_cache(maxsize=1024)
def _histogram(counters: str) -> Histogram:
    """`gpc0=1 gpc1=0 …`. Remembered, because between two looks most replicas of a large system answer nothing."""
    counts = tuple(int(counter.partition("=")[2]) for counter in counters.split())
    if len(counts) != BUCKETS_COUNT:
        raise ValueError(f"{len(counts)} counters where {BUCKETS_COUNT} were expected")
    return Histogram(counts)
