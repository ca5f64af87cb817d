"""What the gateway remembers of a visitor: the replica that answered first (`affinity`), how much was asked for
(`rate_limit`). Pure text; both are unset by default, and then there is nothing of them in it."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from colonnade.gateway import pages
from colonnade.gateway.state import Pool
from colonnade.gateway.text import milliseconds
from colonnade.spec.model import ServiceSpec

CLIENTS_MAX = 100_000
"""Client addresses that are counted at once per service with a rate limit; beyond it the one seen longest ago is
forgotten. Some 15 MB when full, at about 150 bytes each (by calculation)."""


def affinity_lines(pool: Pool) -> Iterator[str]:
    """A visitor's first answer sets a cookie with the slot's name; it leads back there for as long as the slot is in
    rotation, and is no business of the application."""
    if not pool.has_cookies:
        return
    if pool.discovery is None:
        yield f"    cookie {cookie_name(pool.name)} insert indirect nocache httponly attr SameSite=Lax"
    else:
        # Several gateways number the same servers differently: theirs is made from the address.
        yield f"    cookie {cookie_name(pool.name)} insert indirect nocache httponly dynamic attr SameSite=Lax"
        yield f"    dynamic-cookie-key {cookie_name(pool.name)}"


def cookie_name(service: str) -> str:
    """One per service: several of them are behind one address."""
    return f"colonnade-{service}"


def _clients_table(service: str) -> str:
    return f"{service}.clients"


def rate_limit_lines(name: str, service: ServiceSpec, condition: str) -> Iterator[str]:
    """For the public frontend; `condition` says that a request is for `name`. What is refused is not counted: who keeps
    asking too much still gets what is allowed. Nor does it reach the service's backend, whose arrivals the autoscaler
    takes for load. Calls of other services are not limited. An IPv6 client has a network of 64 bits to choose addresses
    from, so that counts as one."""
    if (limit := service.rate_limit) is None:
        return
    yield f"    http-request track-sc1 src,ipmask(32,64) table {_clients_table(name)} if {condition}"
    yield (
        f"    http-request return status 429 {pages.content(429, retry_after_s=ceil(limit.per_s))}"
        f" if {condition} {{ sc_gpc_rate(0,1) ge {limit.requests} }}"
    )
    yield f"    http-request sc-inc-gpc(0,1) if {condition}"


def clients_table(name: str, service: ServiceSpec) -> Iterator[str]:
    """The table behind `rate_limit_lines`: a section of its own, because a frontend has one table for all."""
    if (limit := service.rate_limit) is not None:
        period = milliseconds(limit.per_s)
        yield ""
        yield f"backend {_clients_table(name)}"
        # A rate is taken from this period and the one before.
        yield (
            f"    stick-table type ipv6 size {CLIENTS_MAX} expire {milliseconds(2 * limit.per_s)}"
            f" store gpc(1),gpc_rate(1,{period})"
        )
