"""The text of a gateway whose servers are containers: found in the DNS, by HAProxy itself. Pure.

The same frontends and backends as on one machine (`config.py`), so the same rules for retries, queues, limits and
affinity. What our controller does there by the Runtime API (weights that adapt, latency histograms, looking for sick
replicas) is not here; who leaves tells HAProxy so itself (`Discovery.agent_port`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import ceil

from colonnade.gateway.config import GatewaySettings, gateway_text
from colonnade.gateway.state import Discovery, Membership, Pool
from colonnade.gateway.text import RESOLVERS
from colonnade.spec.model import ServiceSpec

GATEWAYS_MAX = 20
"""Each has its part of every limit: of more, that would be less than one request for each replica."""

ANSWER_BYTES_MAX = 8192
"""Of the DNS over UDP: room for some 250 addresses."""

CONNECT_TIMEOUT_S = 0.5
"""Over a network. An address that is no more swallows what is sent there; then the next server is tried."""


def found_pool(name: str, service: ServiceSpec, discovery: Discovery) -> Pool:
    """The pool of a service whose servers are found. A page that nobody declared may be missing, as on one machine."""
    return Pool(
        name,
        sum(named.count_max for named in discovery.names),
        check_expect="200-399" if "path" in service.health.model_fields_set else "200-499",
        check_path=service.health.path,
        check_timeout_s=service.health.timeout_s,
        has_cookies=service.affinity == "cookie",
        discovery=discovery,
    )


def shared_between(service: ServiceSpec, gateways: int) -> ServiceSpec:
    """The service as one of several gateways has to treat it: each sends its part of what a replica serves at once, so
    that all together never send more."""
    return service.model_copy(
        update={
            "threads": ceil(service.threads / gateways),
            "queue_max": ceil(service.queue_max / gateways),
            "streams_max": ceil(service.streams_max / gateways),
        }
    )


def discovered_gateway(
    settings: GatewaySettings,
    pools: Sequence[Pool],
    binds: Mapping[str, str],
    *,
    nameservers: Sequence[str] = (),
    health_bind: str = "",
) -> str:
    """The whole text. `binds` as in `gateway_text`; `nameservers` as `address:port`, without any those of
    /etc/resolv.conf. On `health_bind` are /livez, /readyz and /metrics."""
    lines = [gateway_text(settings, Membership(tuple(pools)), binds), *_resolvers(nameservers)]
    if health_bind:
        lines += ["", *_health(health_bind)]
    return "\n".join(lines) + "\n"


def _resolvers(nameservers: Sequence[str]) -> Iterator[str]:
    yield f"resolvers {RESOLVERS}"
    if not nameservers:
        yield "    parse-resolv-conf"
    for number, nameserver in enumerate(nameservers, 1):
        yield f"    nameserver dns{number} {nameserver}"
    yield f"    accepted_payload_size {ANSWER_BYTES_MAX}"
    yield "    resolve_retries 3"
    yield "    timeout resolve 1s"
    yield "    timeout retry 500ms"
    yield "    hold valid 1s"
    # Nobody is taken out because the DNS is silent: the checks say who is there.
    for answer in ("other", "refused", "timeout", "nx"):
        yield f"    hold {answer} 1h"
    # … but an address that it no longer names is one that has left.
    yield "    hold obsolete 0s"


def _health(bind: str) -> Iterator[str]:
    yield "frontend gateway.health"
    yield f"    bind {bind}"
    yield "    http-request use-service prometheus-exporter if { path /metrics }"
    yield "    http-request return status 200 content-type text/plain string ok if { path /livez /readyz }"
    yield "    http-request deny deny_status 404"
