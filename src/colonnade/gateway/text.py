"""What the texts of both HAProxy processes share: quoting, durations, the `global` section, server lines. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from colonnade.core.errors import Bug
from colonnade.core.processes import Credentials
from colonnade.gateway.state import DEAD_ADDRESS, Discovery, Place, Pool, Server, ServerState

HEADER_RESERVE_BYTES = 1024
"""HAProxy keeps this much of a buffer free for headers it adds (tune.maxrewrite's default)."""

BUFFER_BYTES_MIN = 16_384
"""HAProxy's own default. Of each request that may be replayed the whole buffer is copied, so a small one is cheap: 43
instead of 55 µs a request with 32 in flight, where bare HAProxy takes 35."""

BUFFER_BYTES_FOR_BODIES = 65_536
"""Only what fits into one buffer can be replayed, and a form with text is more than 16 kB."""

HOT_MEMORY_BYTES = 16 * 1024 * 1024
"""Buffers that a thread keeps for its next requests; by default (512 kB) most went through malloc, 3 to 6 µs each."""


AGENT_INTERVAL_S = 0.2
"""Between two questions whether a server is about to leave: it waits for longer than this before it does."""

RESOLVERS = "names"
"""The section that says who is asked for the addresses of servers that are found in the DNS."""


@dataclass(frozen=True, slots=True)
class ProcessText:
    """What the `global` section needs. `connections_max` bounds client connections of all frontends together."""

    socket: Path
    connections_max: int
    credentials: Credentials | None = None
    threads: int = 2
    buffer_bytes: int = BUFFER_BYTES_FOR_BODIES
    old_process_s: int = 60
    """After a reload the old process may finish what it has for this long."""
    close_spread: str = "2s"
    """Connections that idle at a reload are closed in the course of this time, not all of them at once; `infinite`:
    none is, each leaves with its next answer or its own time-out."""


def milliseconds(duration_s: float) -> str:
    """HAProxy's integers: never 0, which would mean for ever."""
    return f"{max(1, round(duration_s * 1000))}ms"


def quoted(text: str) -> str:
    """One word for HAProxy, whatever is in it; nothing is expanded inside single quotes."""
    if "'" in text or "\n" in text or "\0" in text:
        raise Bug("a quote, a line break or a zero byte in a word of HAProxy's text", subject=text[:80])
    return f"'{text}'"


def global_section(process: ProcessText) -> Iterator[str]:
    yield "global"
    yield f"    stats socket {quoted(str(process.socket))} mode 600 level admin"
    if process.credentials is not None:
        # By number: a name would be looked up by HAProxy, and may be of a directory that is not there.
        yield f"    uid {process.credentials.user_id}"
        yield f"    gid {process.credentials.group_id}"
    yield f"    maxconn {process.connections_max}"
    yield f"    nbthread {process.threads}"
    yield f"    tune.bufsize {process.buffer_bytes}"
    yield f"    tune.memory.hot-size {HOT_MEMORY_BYTES}"
    yield f"    close-spread-time {process.close_spread}"
    yield f"    hard-stop-after {process.old_process_s}s"
    # All replicas checked in the same millisecond is a burst for nothing.
    yield "    spread-checks 10"


def server_lines(pool: Pool, place: Place, options: str = "") -> Iterator[str]:
    """Every slot of `pool` at `place`, in slot order: HAProxy numbers servers by their order, and a consistent hash
    goes by that number."""
    if pool.discovery is not None:
        yield from _found_servers(pool.discovery, place)
        return
    if place.follows:
        leader = pool.where()[0]
        for server in pool.slots():
            own = f"track {leader.server(server.slot)}{_cookie(pool, place, server)}{options}"
            yield server_line(server, place, own, is_disabled=False)
        return
    if pool.has_cookies:
        # Each slot has a value of its own, which a template cannot give.
        for server in pool.slots():
            own = f"{options}{_cookie(pool, place, server)}".strip()
            yield server_line(server, place, own, is_disabled=_comes_later(server))
        return
    for is_empty, run in groupby(pool.slots(), key=lambda server: server.address is None):
        servers = list(run)
        yield from _empty_slots(servers, place, options) if is_empty else _named_slots(servers, place, options)


def _found_servers(discovery: Discovery, place: Place) -> Iterator[str]:
    """Slots that HAProxy fills from the DNS. One name's addresses are never in two slots."""
    agent = ""
    if discovery.agent_port is not None:
        agent = f" agent-check agent-port {discovery.agent_port} agent-inter {milliseconds(AGENT_INTERVAL_S)}"
    for group, named in enumerate(discovery.names):
        prefix = place.prefix if group == 0 else f"{place.prefix}{group + 1}-"
        yield (
            f"    server-template {prefix} 1-{named.count_max} {named.host}:{named.port} weight {named.weight}"
            f" resolvers {RESOLVERS} resolve-prefer ipv4 init-addr none check{agent}"
        )
    if discovery.fallback:
        # Not checked: it is for when no check is passed, and what makes all of them late would take it out as well.
        yield (
            f"    server fallback {discovery.fallback} backup no-check"
            f" resolvers {RESOLVERS} resolve-prefer ipv4 init-addr libc,none"
        )


def _cookie(pool: Pool, place: Place, server: Server) -> str:
    return f" cookie {place.prefix}{server.slot}" if pool.has_cookies else ""


def server_line(server: Server, place: Place, options: str, *, is_disabled: bool) -> str:
    address = server.address or DEAD_ADDRESS
    state = " disabled" if is_disabled else ""
    return f"    server {place.prefix}{server.slot} {address} weight {server.weight} {options}".rstrip() + state


def _named_slots(run: Sequence[Server], place: Place, options: str) -> Iterator[str]:
    for server in run:
        yield server_line(server, place, options, is_disabled=_comes_later(server))


def _comes_later(server: Server) -> bool:
    """Out at a start. HAProxy's text knows no draining, and nothing is there to be finished then; and it knows no
    server that has to pass a check first, so that one is let in by the Runtime API."""
    return server.state is not ServerState.READY or server.is_unproven


def _empty_slots(run: Sequence[Server], place: Place, options: str) -> Iterator[str]:
    yield (
        f"    server-template {place.prefix} {run[0].slot}-{run[-1].slot} {DEAD_ADDRESS} weight 1 {options}".rstrip()
        + " disabled"
    )
