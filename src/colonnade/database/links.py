"""The ways between nodes: at which address one reaches another, and whether it does.

Normally that is the other's own address. A trial puts something in between (a proxy that delays, cuts or loses), and
then all of it goes that way: WAL, clones, and the question who reaches whom.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping

import psycopg

from colonnade.database.secrets import REPLICATOR, Secrets
from colonnade.database.state import Address, NodeName

Links = Callable[[NodeName, NodeName, Address], Address]
"""(who, whom, the other's own address) → where `who` reaches `whom`."""

REACH_S_MAX = 1.0


def directly(_who: NodeName, _whom: NodeName, address: Address) -> Address:
    return address


async def reached_from(
    nodes: Mapping[NodeName, Address], links: Links, secrets: Secrets
) -> dict[NodeName, frozenset[NodeName]]:
    """For each of `nodes`, who of the others can open a replication connection to it. Takes up to REACH_S_MAX."""
    pairs = [(who, whom) for who in nodes for whom in nodes if who != whom]
    found = await asyncio.gather(*(_reaches(links(who, whom, nodes[whom]), secrets) for who, whom in pairs))
    reaching = {pair for pair, does in zip(pairs, found, strict=True) if does}
    return {whom: _among(nodes, whom, reaching) for whom in nodes}


def _among(
    nodes: Collection[NodeName], whom: NodeName, reaching: Collection[tuple[NodeName, NodeName]]
) -> frozenset[NodeName]:
    return frozenset(who for who in nodes if (who, whom) in reaching)


async def _reaches(address: Address, secrets: Secrets) -> bool:
    try:
        async with asyncio.timeout(REACH_S_MAX):
            connection = await psycopg.AsyncConnection.connect(
                host=address.host,
                port=address.port,
                user=REPLICATOR,
                password=secrets.replicator,
                application_name="colonnade-probe",
                replication="true",
                sslmode="disable",
                gssencmode="disable",
            )
            await connection.close()
    except (TimeoutError, psycopg.Error, OSError):
        return False
    return True
