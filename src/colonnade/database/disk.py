"""A full disk, met before it is hit. Pure.

A server that cannot write its WAL dies, and on one file system all of them do. So writers wait while there is still
room for what must be written anyway, and a ballast file gives its room back when even that is gone: to record
decisions, to start and to shut down.
"""

from __future__ import annotations

from colonnade.database.actions import Action, RefillBallast, ReleaseBallast
from colonnade.database.cluster import Cluster

MIB = 1024 * 1024

BALLAST_BYTES = 64 * MIB

CLOSE_BELOW_BYTES = 32 * MIB
"""Free beside the ballast: eight segments of WAL, and a second until the next look."""

RELEASE_BELOW_BYTES = 8 * MIB

OPEN_ABOVE_BYTES = 2 * CLOSE_BELOW_BYTES


def is_full(cluster: Cluster) -> bool:
    """Writers must wait. Once they do, more has to be free before they are let in again."""
    if cluster.disk is None:
        return False
    is_closed = cluster.published is not None and cluster.published.primary is None
    enough = OPEN_ABOVE_BYTES if is_closed else CLOSE_BELOW_BYTES
    return not cluster.disk.has_ballast or cluster.disk.free_bytes < enough


def relief(cluster: Cluster) -> tuple[Action, ...]:
    """Give the ballast's room back, or take it again."""
    disk = cluster.disk
    if disk is None:
        return ()
    if disk.has_ballast and disk.free_bytes < RELEASE_BELOW_BYTES:
        return (ReleaseBallast(),)
    if not disk.has_ballast and disk.free_bytes >= BALLAST_BYTES + OPEN_ABOVE_BYTES:
        return (RefillBallast(),)
    return ()


def describe(cluster: Cluster) -> str:
    free = cluster.disk.free_bytes // MIB if cluster.disk is not None else 0
    return f"{free} MB are free where the database is, {OPEN_ABOVE_BYTES // MIB} MB and the ballast's"
