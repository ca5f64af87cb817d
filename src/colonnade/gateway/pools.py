"""Pools and their slots, as they follow from what is declared of a service. Pure. The text that they become is in
`config.py`."""

from __future__ import annotations

from colonnade.gateway.state import WEIGHT_MAX, Pool, Server, ServerState
from colonnade.spec.derive import replica_group_of, replica_groups
from colonnade.spec.model import ServiceSpec

SLOTS_MIN = 16
"""Slots of a pool at least, so that scaling within reason never needs a reload; an empty one costs a few kB."""

ADAPTIVE_WEIGHT = 100
"""Of the largest replicas of an adaptive service: steps of one in a hundred, and room to WEIGHT_MAX for more."""


def slots_for(service: ServiceSpec) -> int:
    """How many slots a service's pool gets."""
    replicas = max(service.replicas.max, sum(group.replicas for group in service.weights))
    return max(SLOTS_MIN, 2 * replicas)


def service_pool(name: str, service: ServiceSpec, servers: tuple[Server, ...], *, check_expect: str) -> Pool:
    """The pool of a service with these servers in it."""
    return Pool(
        name,
        slots_for(service),
        servers,
        check_expect=check_expect,
        check_path=service.health.path,
        check_timeout_s=service.health.timeout_s,
        has_cookies=service.affinity == "cookie",
    )


def leaving_state(service: ServiceSpec) -> ServerState:
    """Of a slot that finishes what it has. HAProxy sends whoever has its cookie to a draining server all the same; in
    MAINT it finishes what it has, too, and nobody new comes."""
    return ServerState.MAINT if service.affinity == "cookie" else ServerState.DRAIN


def weight_of(service: ServiceSpec, number: int, factor: float = 1.0) -> int:
    """The weight of a replica. Weights of an adaptive service are finer, so that `factor`, the part of it that the
    replica gets for now, makes a difference; that needs no reload. With a factor of 0 a replica of any service gets
    nothing new."""
    weight = replica_group_of(service, number).weight
    if factor <= 0:
        return 0
    if service.balance != "adaptive":
        return weight
    largest = max(group.weight for group in replica_groups(service))
    return max(1, min(WEIGHT_MAX, round(ADAPTIVE_WEIGHT * weight / largest * factor)))
