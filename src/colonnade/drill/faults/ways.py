"""Which links an aim means: who plays which role at the ends, and the ways between them. Pure.

Asked twice: before the instance starts, to know where links are needed (roles may change hands until then, so everybody
who can come to play one counts); and at the moment of a fault, with the roles of that moment.
Read next: `on_links`, which puts rules on them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from colonnade.database.state import NODE_NAMES
from colonnade.drill.faults.fault import NotPossible
from colonnade.drill.faults.targets import draw
from colonnade.drill.links.process import Name
from colonnade.drill.scenario import Aim, PlannedFault, Role
from colonnade.gateway.pools import slots_for
from colonnade.spec.derive import DATABASE as USES_DATABASE
from colonnade.spec.derive import own_database, used_services
from colonnade.spec.model import Spec
from colonnade.system.detours import DATABASE, DATABASE_READ, DBGATE, GATEWAY, replica_end


@dataclass(frozen=True, slots=True)
class End:
    """One end of a link."""

    subject: str
    """Its name in `status` and in events."""
    roles: frozenset[Role]
    service: str = ""
    is_visited: bool = False
    """Visitors reach its service: an aim that names no service means such a one."""


Cast = Mapping[str, End]
"""By name of an end."""

FIXED: Cast = {
    GATEWAY: End("gateway", frozenset({Role.GATEWAY})),
    DBGATE: End("dbgate", frozenset({Role.DBGATE})),
    DATABASE: End("dbgate", frozenset({Role.DBGATE})),
    DATABASE_READ: End("dbgate", frozenset({Role.DBGATE})),
}


def every_way(spec: Spec) -> tuple[Name, ...]:
    """All ways between the parts of a system as declared, and of what it may come to have: slots that scaling fills,
    one more node."""
    nodes = _node_names(spec)
    ways = [(GATEWAY, replica_end(name, slot)) for name, slot in _slots(spec)]
    for name, service in spec.services.items():
        ways += [(name, used) for used in used_services(service)]
        if USES_DATABASE in service.uses and nodes:
            ways += [(name, DATABASE), (name, DATABASE_READ)]
    if not spec.services.keys() & {*nodes, *FIXED}:  # a service may bear such a name; then it is the one that has ways
        ways += [(DBGATE, node) for node in nodes]
        ways += [(who, whom) for who in nodes for whom in nodes if who != whom]
    return tuple(ways)


def ways_needed(spec: Spec, planned: Iterable[PlannedFault], kinds: Collection[str]) -> tuple[Name, ...]:
    """The ways on which a fault of one of `kinds` may be put: only they need a link. Whoever is not disturbed should be
    left alone, since each link costs a little time."""
    ways, cast = every_way(spec), _cast_possible(spec)
    aims = [fault.aim for fault in planned if fault.kind in kinds]
    return tuple(way for way in ways if any(_fits(aim, way, cast) for aim in aims))


def ways_meant(aim: Aim, ways: Collection[Name], status: Mapping[str, Any], random: Random) -> tuple[Name, ...]:
    """Of the ways that have links, those that are meant now. With `towards`, the extent is about ways; without, about
    whoever has the role, and all ways that lead there are meant. Raises NotPossible when there are none."""
    cast = cast_now(status)
    fitting = sorted(way for way in ways if _fits(aim, way, cast))
    if aim.towards is not None:
        found = draw(fitting, aim.extent, random)
    else:
        reached = draw(sorted({whom for _, whom in fitting}), aim.extent, random)
        found = tuple(way for way in fitting if way[1] in reached)
    if not found:
        towards = f" to {aim.towards.value}" if aim.towards is not None else ""
        raise NotPossible("no_such_link", f"no link from or to {aim.role.value}{towards} is there at this moment")
    return found


def subjects_of(ways: Sequence[Name], status: Mapping[str, Any]) -> tuple[str, ...]:
    """Both ends of each, once."""
    cast = cast_now(status)
    return tuple(dict.fromkeys(cast[end].subject for way in ways for end in way))


def cast_now(status: Mapping[str, Any]) -> Cast:
    """Who is what, from `status`."""
    cast = dict(FIXED)
    for service in status.get("services", ()):
        name, is_visited = service["name"], bool(service["route"])
        cast[name] = End(name, frozenset({Role.SERVICE}), name, is_visited)
        for replica in service["replicas"]:
            slot = int(str(replica["id"]).rpartition("/")[2])
            cast[replica_end(name, slot)] = End(replica["id"], frozenset({Role.REPLICA}), name, is_visited)
    database = status.get("database") or {}
    for node in database.get("nodes", ()):
        role = Role.PRIMARY if node["name"] == database.get("primary") else Role.STANDBY
        cast.setdefault(node["name"], End(node["name"], frozenset({Role.NODE, role})))
    return cast


def _cast_possible(spec: Spec) -> Cast:
    cast = dict(FIXED)
    cast |= {name: End(name, frozenset({Role.SERVICE}), name) for name in spec.services}
    for name, slot in _slots(spec):
        cast[replica_end(name, slot)] = End("", frozenset({Role.REPLICA}), name, bool(spec.services[name].route))
    any_role = frozenset({Role.NODE, Role.PRIMARY, Role.STANDBY})
    for node in _node_names(spec):
        cast.setdefault(node, End(node, any_role))
    return cast


def _fits(aim: Aim, way: Name, cast: Cast) -> bool:
    who, whom = cast.get(way[0]), cast.get(way[1])
    if who is None or whom is None:
        return False
    if aim.towards is None:
        return aim.role in whom.roles and _is_of(aim.service, whom)
    # The service is that of the end that can have one; of who connects where both can.
    of = who if aim.role is Role.SERVICE else whom
    return aim.role in who.roles and aim.towards in whom.roles and _is_of(aim.service, of)


def _is_of(service: str, end: End) -> bool:
    """Whether this end is of the service that is named; where none is, replicas are of one that visitors reach."""
    return end.service == service or (not service and (end.is_visited or Role.REPLICA not in end.roles))


def _slots(spec: Spec) -> Iterator[tuple[str, int]]:
    for name, service in spec.services.items():
        yield from ((name, slot) for slot in range(1, slots_for(service) + 1))


def _node_names(spec: Spec) -> str:
    database = own_database(spec)
    return NODE_NAMES[: 2 + database.standbys] if database is not None else ""
