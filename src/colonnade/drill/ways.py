"""All ways between the parts of a system on which a drill can put something, found from its declaration. Pure.

Read next: `links/client`, which opens them; `system/detours`, by which the parts are led over them.
"""

from __future__ import annotations

from itertools import permutations

from colonnade.database.state import NODE_NAMES
from colonnade.drill.links.process import Name
from colonnade.gateway.config import slots_for
from colonnade.spec.derive import DATABASE, used_services
from colonnade.spec.model import DatabaseSpec, ServiceSpec, Spec
from colonnade.system.detours import DATABASE as PRIMARY_END
from colonnade.system.detours import DATABASE_READ, DBGATE, GATEWAY, replica_end

SLOTS_MAX = 16
"""Of one service, that lead over a link: each is a socket and a poll. Replicas beyond it are reached straight."""


def ways_of(spec: Spec) -> tuple[Name, ...]:
    """(who, whom) of every way, for the names that the system asks its detours by."""
    ways: list[Name] = []
    for name, service in spec.services.items():
        ways += _ways_of_service(name, service, has_database=_is_ours(spec.database))
    if spec.database is not None and _is_ours(spec.database):
        nodes = NODE_NAMES[: spec.database.standbys + 1]
        ways += [(DBGATE, node) for node in nodes]
        ways += list(permutations(nodes, 2))  # any of them follows any other, by and by
    return tuple(ways)


def _ways_of_service(name: str, service: ServiceSpec, *, has_database: bool) -> list[Name]:
    slots = min(slots_for(service), SLOTS_MAX)
    ways: list[Name] = [(GATEWAY, replica_end(name, slot)) for slot in range(1, slots + 1)]
    ways += [(name, used) for used in used_services(service)]
    if DATABASE in service.uses and has_database:
        ways += [(name, PRIMARY_END), (name, DATABASE_READ)]
    return ways


def _is_ours(database: DatabaseSpec | None) -> bool:
    return database is not None and not database.url
