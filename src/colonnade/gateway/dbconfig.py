"""The text of dbgate: plain TCP in front of PostgreSQL, one endpoint for the primary and one for the standbys. Pure.

Which node is which is decided elsewhere and set by server state: a node has a slot at each endpoint, READY where it has
that role. There are no health checks: a bare connection makes PostgreSQL log `incomplete startup packet` five times
a second, and a check that passes proves nothing about roles.

**How clients wait through a failover.** With every server out, HAProxy closes at once. So each endpoint ends in a
backup server that refuses every connection: whoever finds no node there tries again every `CONNECT_TIMEOUT_S`, and each
time gets whichever node has the role by then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from colonnade.gateway.state import DEAD_ADDRESS, Membership, Place, Pool, Server, ServerState
from colonnade.gateway.text import BUFFER_BYTES_MIN, ProcessText, global_section, milliseconds, server_lines

PRIMARY, STANDBYS, FALLBACK = "primary", "standbys", "fallback"
"""The pools. `fallback` is the primary as the standbys' endpoint uses it when no standby is there."""

PRIMARY_PLACE = Place("primary", "n")
STANDBYS_PLACE = Place("standbys", "n")
FALLBACK_PLACE = Place("standbys", "f")

SLOTS = 16
"""Nodes there may ever be at once: eight standbys, the primary, and nodes that come while others leave."""

CONNECT_TIMEOUT_S = 0.05
"""Also the pause between two tries, so half of it is what a failover costs a waiting client on top. On loopback a
connection stands at once; at 0.1 s clients were connected a median 85 ms after the new primary was let in."""

WAIT_S = 10.0
"""A failover takes under a second, a switchover with a busy checkpoint a few; a client that waited longer is told."""

BACKLOG = 4096

FEW_CORES = 2
"""On which nodes, applications and a second thread of HAProxy would take each other's turns."""


@dataclass(frozen=True, slots=True)
class DatabaseGatewaySettings:
    """`node_connections_max` is what one node may get from here: PostgreSQL's max_connections less what the controller
    and replication keep for themselves."""

    process: ProcessText
    node_connections_max: int

    @property
    def fallback_connections_max(self) -> int:
        """The primary serves its own endpoint and, without standbys, a share of reads: together no more than it has."""
        return max(1, self.node_connections_max // 4)

    @property
    def primary_connections_max(self) -> int:
        return max(1, self.node_connections_max - self.fallback_connections_max)


def process_for_database(process: ProcessText, cores: int) -> ProcessText:
    """The least that each message on its way costs. With few cores one thread: a second one waits for a core longer
    than it works. Small buffers: nothing is replayed here. To the median of a transaction of pgbench this endpoint
    with two threads and 64 kB added 1.31 and 1.51 ms, bare HAProxy with its rules, one thread and 16 kB 1.10 and 1.26
    (two runs on two cores, n = 7 and 6); bare with one thread and 64 kB 1.13 and 1.00, with 16 kB 1.04 and 0.94 (n = 7
    and 8)."""
    return replace(process, threads=1 if cores <= FEW_CORES else 2, buffer_bytes=BUFFER_BYTES_MIN)


def database_membership(addresses: Mapping[int, str], primary: int | None, standbys: Iterable[int]) -> Membership:
    """Node numbers with their addresses, and who has which role; a node with none gets no connection."""
    followers = frozenset(standbys) - {primary}

    def pool(name: str, place: Place, members: frozenset[int]) -> Pool:
        servers = tuple(
            Server(node, address, ServerState.READY if node in members else ServerState.MAINT)
            for node, address in sorted(addresses.items())
        )
        return Pool(name, SLOTS, servers, exclusive=True, places=(place,))

    leader = frozenset() if primary is None else frozenset({primary})
    return Membership(
        (
            pool(PRIMARY, PRIMARY_PLACE, leader),
            pool(STANDBYS, STANDBYS_PLACE, followers),
            pool(FALLBACK, FALLBACK_PLACE, leader),
        )
    )


def render_dbgate(settings: DatabaseGatewaySettings, membership: Membership, fds: Mapping[str, int]) -> str:
    """The whole text. `fds` has the inherited listeners `db:primary` and `db:standbys`."""
    pools = {pool.name: pool for pool in membership.pools}
    lines: list[str] = [*global_section(settings.process), "", *_defaults(settings)]
    lines += ["", "listen primary", f"    bind fd@{fds['db:primary']}", "    balance first"]
    lines += _servers(pools[PRIMARY], f"maxconn {settings.primary_connections_max}")
    lines += [_nobody()]
    if "db:standbys" in fds:
        lines += ["", "listen standbys", f"    bind fd@{fds['db:standbys']}", "    balance leastconn"]
        lines += _servers(pools[STANDBYS], f"maxconn {settings.node_connections_max}")
        lines += _servers(pools[FALLBACK], f"maxconn {settings.fallback_connections_max} backup")
        lines += [_nobody()]
    return "\n".join(lines) + "\n"


def _defaults(settings: DatabaseGatewaySettings) -> Iterator[str]:
    yield "defaults"
    yield "    mode tcp"
    yield f"    backlog {BACKLOG}"
    yield f"    maxconn {settings.process.connections_max}"
    yield f"    timeout connect {milliseconds(CONNECT_TIMEOUT_S)}"
    yield f"    timeout queue {milliseconds(WAIT_S)}"
    # A pool's connection may idle overnight; PostgreSQL and the client end it when they want to.
    yield "    timeout client 24h"
    yield "    timeout server 24h"
    yield f"    retries {round(WAIT_S / CONNECT_TIMEOUT_S)}"
    yield "    option redispatch 1"
    # Who gave up waiting is not connected when a node is there at last.
    yield "    option abortonclose"


def _servers(pool: Pool, options: str) -> Iterator[str]:
    # A connection to a node that lost its role must not live on: it would write to, or read from, the wrong place.
    return server_lines(pool, pool.where()[0], f"{options} on-marked-down shutdown-sessions")


def _nobody() -> str:
    return f"    server nobody {DEAD_ADDRESS} backup"
