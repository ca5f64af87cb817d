"""The Runtime API of a live HAProxy: commands on its admin socket, replies parsed once, into types.

One connection per call; several commands in one line, each answered in turn. Nothing here decides. A socket that does
not answer is `DriverUnavailable` (HAProxy may be just restarting), an answer that is a refusal is `DriverError`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from colonnade.core.errors import DriverError, DriverUnavailable
from colonnade.gateway.state import ObservedBackend, ObservedGateway, ObservedServer, ServerState

REPLY_TIMEOUT_S = 2.0
"""An idle HAProxy answers within 1 ms, on a busy machine within 50."""

REPLY_BYTES_MAX = 8 * 1024 * 1024
"""`show stat` has about 600 bytes a server."""

COMMANDS_PER_CALL_MAX = 64
"""One line must fit into HAProxy's buffer."""

_ADMIN_MAINT = 0x01 | 0x02 | 0x20
_ADMIN_DRAIN = 0x08 | 0x10
_CHECK_CONFIGURED = 0x02
_CHECK_ENABLED = 0x04
"""Bits of `srv_admin_state` and `srv_check_state` (HAProxy's management guide, "show servers state")."""

_LOOK = "show info; show servers state; show stat -1 6 -1"
_STATE_COLUMNS_MIN = 19


class RuntimeApi:
    """Talks to whichever process answers on `socket`; `observe` tells which one that is."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    async def observe(self) -> ObservedGateway:
        """One look at everything."""
        return parse_look(await self._ask(_LOOK))

    async def sessions_of(self, backend: str, server: str) -> int:
        """Requests that this server has in flight or in its own queue."""
        reply = await self._ask(f"show stat {backend} 4 -1")
        row = next((row for row in _stat_rows(reply.splitlines()) if row["svname"] == server), None)
        if row is None:
            raise DriverError(
                "HAProxy has no such server", subject=f"{backend}/{server}", hint="report this: text and state differ"
            )
        return int(row["scur"] or 0) + int(row["qcur"] or 0)

    async def command(self, commands: Sequence[str]) -> None:
        """Carry out commands that have nothing to say when all is well; in order, all of them even when one fails.
        Raises DriverError with the first refusal."""
        for start in range(0, len(commands), COMMANDS_PER_CALL_MAX):
            batch = commands[start : start + COMMANDS_PER_CALL_MAX]
            replies = split_replies(await self._ask("; ".join(batch)))
            for command, reply in zip(batch, replies, strict=False):
                if not is_success(reply):
                    raise DriverError(
                        f"HAProxy refused `{command}`: {reply.splitlines()[0]}",
                        subject=str(self._socket),
                        hint="see its log with `colonnade logs gateway`",
                    )
            if len(replies) < len(batch):
                raise DriverUnavailable(
                    f"HAProxy answered {len(replies)} of {len(batch)} commands",
                    subject=str(self._socket),
                    hint="it probably ended meanwhile; it is restarted by itself",
                )

    async def _ask(self, line: str) -> str:
        try:
            async with asyncio.timeout(REPLY_TIMEOUT_S):
                reader, writer = await asyncio.open_unix_connection(str(self._socket), limit=REPLY_BYTES_MAX)
                try:
                    writer.write(line.encode() + b"\n")
                    await writer.drain()
                    return (await reader.read(-1)).decode(errors="replace")
                finally:
                    writer.close()
                    with contextlib.suppress(OSError):
                        await writer.wait_closed()
        except (OSError, TimeoutError) as error:
            raise DriverUnavailable(
                f"HAProxy does not answer on its admin socket ({type(error).__name__})",
                subject=str(self._socket),
                hint="it may be restarting; see `colonnade logs gateway`",
            ) from error


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


def parse_look(text: str) -> ObservedGateway:
    """Replies to `show info; show servers state; show stat`. Raises DriverError when they are not these."""
    try:
        info = dict(line.split(": ", 1) for line in _until_blank(text) if ": " in line)
        lines = text.split("\n")
        states_at = next(index for index, line in enumerate(lines) if line.startswith("# be_id"))
        stats_at = next(index for index, line in enumerate(lines) if line.startswith("# pxname"))
        admin = dict(_admin_states(lines[states_at + 1 : stats_at]))
        servers: dict[str, ObservedServer] = {}
        backends: dict[str, ObservedBackend] = {}
        for row in _stat_rows(lines[stats_at:]):
            if row["svname"] == "BACKEND":
                backends[row["pxname"]] = _backend(row)
            elif (name := f"{row['pxname']}/{row['svname']}") in admin:
                servers[name] = _server(row, admin[name])
        return ObservedGateway(int(info["Pid"]), int(info["Uptime_sec"]), servers, backends)
    except (StopIteration, KeyError, ValueError, IndexError) as error:
        raise DriverError(
            f"HAProxy's state cannot be read ({error!r})",
            hint="a newer HAProxy may have changed its format: unset COLONNADE_HAPROXY",
        ) from error


def _until_blank(text: str) -> list[str]:
    return text.split("\n\n", 1)[0].split("\n")


def _admin_states(lines: Sequence[str]) -> Iterator[tuple[str, tuple[str, int, int, int, bool]]]:
    """Per server: address, admin bits, own weight, check bits, whether it is running."""
    for line in lines:
        column = line.split(" ")
        if len(column) < _STATE_COLUMNS_MIN:
            continue
        address = f"{column[4]}:{column[18]}"
        yield f"{column[1]}/{column[3]}", (address, int(column[6]), int(column[7]), int(column[13]), column[5] != "0")


def _stat_rows(lines: Sequence[str]) -> Iterator[dict[str, str]]:
    """Rows of `show stat`. Split by commas only, at a third of csv.reader's cost: the one field that may hold a comma
    (`last_chk`) comes after all that is read of a server, and a backend has none."""
    header: list[str] | None = None
    for line in lines:
        if line.startswith("# "):
            header = line[2:].split(",")
        elif line and header is not None:
            yield dict(zip(header, line.split(","), strict=False))


def _server(row: dict[str, str], admin: tuple[str, int, int, int, bool]) -> ObservedServer:
    address, bits, weight, checks, is_running = admin
    state = (
        ServerState.MAINT if bits & _ADMIN_MAINT else ServerState.DRAIN if bits & _ADMIN_DRAIN else ServerState.READY
    )
    return ObservedServer(
        address=address,
        state=state,
        weight=weight,
        is_up=is_running,
        has_checks=bool(checks & _CHECK_CONFIGURED),
        ignores_health=bool(checks & _CHECK_CONFIGURED) and not checks & _CHECK_ENABLED,
        status=row["status"],
        check_status=row["check_status"].removeprefix("* "),
        sessions=int(row["scur"] or 0),
        queued=int(row["qcur"] or 0),
        requests_total=int(row["stot"] or 0),
        errors_total=int(row["econ"] or 0) + int(row["eresp"] or 0),
    )


def _backend(row: dict[str, str]) -> ObservedBackend:
    return ObservedBackend(
        queued=int(row["qcur"] or 0),
        sessions=int(row["scur"] or 0),
        requests_total=int(row["stot"] or 0),
        server_errors_total=int(row["hrsp_5xx"] or 0),
        retries_total=int(row["wretr"] or 0),
        redispatches_total=int(row["wredis"] or 0),
        response_ms_mean=float(row["rtime"] or 0),
        queue_ms_mean=float(row["qtime"] or 0),
    )
