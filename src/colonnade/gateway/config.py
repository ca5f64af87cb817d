"""The text of the HTTP gateway, from the declaration and the membership. Pure: same input, same text, byte for byte.

Frontends: `gateway.public`, and `<service>.internal` for services that others call. Backends: one per service, and
`<service>.streams` for WebSockets and event streams, with a limit of its own: four open WebSockets would otherwise
use up a replica's four places. Names with a dot cannot collide with a service's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from colonnade.core.errors import Bug
from colonnade.gateway import pages
from colonnade.gateway.latency import latency_lines
from colonnade.gateway.state import Membership, Pool, streams_backend
from colonnade.gateway.text import (
    BUFFER_BYTES_FOR_BODIES,
    BUFFER_BYTES_MIN,
    HEADER_RESERVE_BYTES,
    ProcessText,
    global_section,
    milliseconds,
    quoted,
    server_lines,
)
from colonnade.gateway.visitors import affinity_lines, clients_table, rate_limit_lines
from colonnade.spec.derive import queue_timeout_s
from colonnade.spec.model import GatewaySpec, ServiceSpec

BACKLOG = 4096
"""As in the keeper's own listen(): HAProxy calls it again with its own figure."""

PUBLIC_FRONTEND = "gateway.public"

CONNECT_TIMEOUT_S = 0.25
"""On loopback a connection stands at once or the replica's accept queue is full: then another one is better."""

FAST_INTERVAL_S_MIN = 0.05
"""Between two checks of a replica of which one has just failed, or passed again."""

STREAMS_CHECK_TIMES = 5
"""Where the servers of streams are checked by themselves, they are asked so much less often: each check is a request to
a replica that is asked already."""

BODY_TIMEOUT_S = 60.0
"""For a body that fits into a buffer: a form over a very bad line, 64 kB at 1 kB/s."""

UNSIZED_BODY_SHARE = 0.75
"""Of a buffer: a body without Content-Length is read up to this much first, because only then is its size known. The
rest is for the headers."""

UNSIZED_RESERVE_BYTES = 2 * HEADER_RESERVE_BYTES
"""Of a buffer, for head and body together: what HAProxy keeps free, and as much again for its own notes about 100
headers and a body in pieces."""

LENGTH_DIGITS_MAX = 18
"""Of a Content-Length: what has one more need not fit into 63 bits."""

_BALANCE = {
    "round-robin": "roundrobin",
    "weighted": "roundrobin",
    "least-connections": "leastconn",
    "adaptive": "random",
}

_REQUEST_ID = "^[A-Za-z0-9._:/+=-]{8,128}$"
"""A client's request id that is fit for logs and headers; any other is replaced."""

_NEW_REQUEST_ID = "%[rand,bytes(4,4),hex]-%[thread,bytes(6,2),hex]-4000-8000-%[date(0,us),bytes(2,6),hex]"
"""In the form of a UUID 4, because widely used middleware throws away anything else: a random number of 32 bits, the
thread, and the lowest 48 bits of the microsecond at which that thread woke. A thread's numbers begin anew after 2^32
only, so two ids of one process are never alike; those of two gateways are with 1 in 2^32 if of the same microsecond.
No secret: one tells the next. HAProxy's own `uuid()` is printed by printf, and costs 0.6 µs more."""


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """What the text is made from, apart from the membership. Every pool of it must be a service here."""

    gateway: GatewaySpec
    services: Mapping[str, ServiceSpec]
    process: ProcessText
    connect_timeout_s: float = CONNECT_TIMEOUT_S
    trusts_proxy: bool = False
    """Another proxy stands before this one, and nobody else reaches it: what that says about the client is believed."""


def buffer_bytes_for(gateway: GatewaySpec, services: Iterable[ServiceSpec]) -> int:
    """A buffer that holds the largest head there may be, and as much again where a service has its writes replayed."""
    head_bytes = gateway.request_headers_bytes_max + HEADER_RESERVE_BYTES
    if any(service.idempotency_key for service in services):
        return max(BUFFER_BYTES_FOR_BODIES, gateway.request_headers_bytes_max + head_bytes)
    return max(BUFFER_BYTES_MIN, head_bytes)


def render_gateway(settings: GatewaySettings, membership: Membership, fds: Mapping[str, int]) -> str:
    """The whole text. `fds` has the inherited listeners: `public`, and `service:<name>` per internal one."""
    return gateway_text(settings, membership, {name: f"fd@{fd}" for name, fd in fds.items()})


def gateway_text(settings: GatewaySettings, membership: Membership, binds: Mapping[str, str]) -> str:
    """The same for listeners as HAProxy's `bind` has them: `fd@5`, `:8080`."""
    process = replace(settings.process, buffer_bytes=buffer_bytes_for(settings.gateway, settings.services.values()))
    lines: list[str] = [*global_section(process), "", *_defaults(settings)]
    if "public" in binds:
        lines += ["", *_public_frontend(settings, membership, binds["public"])]
    for pool in membership.pools:
        if (bind := binds.get(f"service:{pool.name}")) is not None:
            lines += ["", *_internal_frontend(pool.name, bind, process.buffer_bytes)]
    lines += ["", "backend not.found", "    http-request deny deny_status 404"]
    for pool in membership.pools:
        service = settings.services.get(pool.name)
        if service is None:
            raise Bug("is a pool of the gateway and no service", subject=pool.name)
        lines += [
            "",
            *_backend(pool, service),
            "",
            *_streams_backend(pool, service),
            *clients_table(pool.name, service),
        ]
    return "\n".join(lines) + "\n"


def _defaults(settings: GatewaySettings) -> Iterator[str]:
    gateway = settings.gateway
    yield "defaults"
    yield "    mode http"
    yield f"    backlog {BACKLOG}"
    yield f"    timeout connect {milliseconds(settings.connect_timeout_s)}"
    yield f"    timeout client {milliseconds(gateway.client_timeout_s)}"
    yield f"    timeout http-request {milliseconds(gateway.header_timeout_s)}"
    yield f"    timeout http-keep-alive {milliseconds(gateway.keep_alive_timeout_s)}"
    yield f"    timeout server {milliseconds(gateway.client_timeout_s)}"
    # A client that has gone is not worth a place in the queue.
    yield "    option abortonclose"
    yield "    option http-ignore-probes"
    # Each retry goes to another server, from the first one on.
    yield "    option redispatch 1"
    yield from pages.error_lines()


def _public_frontend(settings: GatewaySettings, membership: Membership, bind: str) -> Iterator[str]:
    gateway = settings.gateway
    buffer_bytes = buffer_bytes_for(gateway, settings.services.values())
    yield f"frontend {PUBLIC_FRONTEND}"
    yield f"    bind {bind}"
    yield f"    maxconn {min(gateway.connections_max, settings.process.connections_max)}"
    client = "src"
    if not settings.trusts_proxy:
        # Written out once for a connection: printing an address costs as much as five headers looked up.
        client = "var(sess.client)"
        yield "    tcp-request session set-var(sess.client) src,concat()"
    yield from _every_frontend()
    # For WSGI X_Real_IP is X-Real-IP: of a name with other signs than letters, digits and "-" the header is dropped.
    yield "    option http-restrict-req-hdr-names delete"
    if settings.trusts_proxy:
        # Its last word on it is the proxy's own.
        yield "    http-request set-src req.hdr_ip(X-Forwarded-For,-1) if { req.hdr(X-Forwarded-For) -m found }"
        yield "    http-request set-var(txn.scheme) req.hdr(X-Forwarded-Proto,-1)"
    # What a client says about where it comes from is hearsay; only the gateway knows.
    yield "    http-request del-header X-Forwarded- -m beg"
    yield "    http-request del-header Forwarded"
    yield "    http-request del-header X-Real-IP"
    # None is left of these, so nothing has to be looked for and replaced. There is no X-Forwarded-Host: Host itself is
    # passed on as it came, and to say it twice costs 0.3 µs.
    yield f"    http-request add-header X-Forwarded-For %[{client}]"
    if settings.trusts_proxy:
        yield "    http-request add-header X-Forwarded-Proto https if { var(txn.scheme) -m str https }"
        yield "    http-request add-header X-Forwarded-Proto http unless { var(txn.scheme) -m str https }"
    else:
        # No listener of ours speaks TLS.
        yield "    http-request add-header X-Forwarded-Proto http"
    if not gateway.trust_trace_context:
        yield "    http-request del-header traceparent"
        yield "    http-request del-header tracestate"
    # Some frameworks turn this header into the variable HTTP_PROXY.
    yield "    http-request del-header Proxy"
    yield from _large_head(gateway, buffer_bytes)
    routes = _routes(settings, membership)
    for name, prefix in routes.items():
        yield from _path_acl(f"to.{name}", prefix)
    for name in routes:
        if settings.services[name].rate_limit is not None:
            yield from _limit(name, settings.services[name], routes)
    yield from _body_limits(gateway, buffer_bytes)
    yield from _streams_acl()
    for name in routes:
        # Most are no streams: they are not looked at twice.
        yield f"    use_backend {name} if to.{name} !is_stream"
        yield f"    use_backend {streams_backend(name)} if to.{name}"
    yield "    default_backend not.found"


def _large_head(gateway: GatewaySpec, buffer_bytes: int) -> Iterator[str]:
    """What does not fit into a buffer HAProxy refuses by itself; writing each head out to measure it costs 0.5 µs."""
    bytes_max = gateway.request_headers_bytes_max
    if buffer_bytes > bytes_max + HEADER_RESERVE_BYTES:
        yield "    http-request set-var(txn.url_bytes) url,length"
        yield f"    http-request deny deny_status 400 if {{ req.hdrs,length,add(txn.url_bytes) gt {bytes_max} }}"


def _every_frontend() -> Iterator[str]:
    """Request ids, and the way in which kept connections leave a process that was replaced."""
    # Told with an answer, the client comes back to the new process; closed while idle, a connection may just have got
    # its next request. Without this line up to 4 requests in 40 reloads of 16 busy connections were lost, with it none.
    yield "    http-after-response set-header Connection close if { stopping }"
    # The whole header: `req.hdr` would be content with one of the values between commas.
    yield f"    acl has_request_id req.fhdr(X-Request-ID) -m reg {quoted(_REQUEST_ID)}"
    yield "    acl has_one_request_id req.fhdr_cnt(X-Request-ID) eq 1"
    # %ID is made where it is first asked for, and kept. Every answer gets it; a client's own is put back after that.
    yield f"    unique-id-format {_NEW_REQUEST_ID}"
    yield "    http-request set-var(txn.request_id) req.fhdr(X-Request-ID) if has_request_id has_one_request_id"
    yield "    http-request set-header X-Request-ID %ID unless { var(txn.request_id) -m found }"
    yield "    http-after-response set-header X-Request-ID %ID"
    yield "    http-after-response set-header X-Request-ID %[var(txn.request_id)] if { var(txn.request_id) -m found }"


def _body_limits(gateway: GatewaySpec, buffer_bytes: int) -> Iterator[str]:
    """The last rules of a frontend: what has no body is let through by the first, one of known size by the third.

    HAProxy cannot cut off a body on its way, so one of unknown size must fit into a buffer or is refused."""
    readable_bytes = int(buffer_bytes * UNSIZED_BODY_SHARE)
    bytes_max = gateway.request_body_bytes_max
    yield "    acl has_length req.fhdr(Content-Length) -m found"
    yield "    acl may_be_unsized req.fhdr(Transfer-Encoding) -m found"
    yield "    acl may_be_unsized fc_http_major eq 2"
    yield "    http-request allow if !has_length !may_be_unsized"
    # HAProxy's sizes have a sign: a length of 2^63 is less than nothing, and 2^64 - 1 means unknown.
    yield f"    http-request deny deny_status 413 if {{ req.fhdr(Content-Length) -m len {LENGTH_DIGITS_MAX + 1}: }}"
    yield _wait_for_body(buffer_bytes)
    yield f"    http-request allow if has_length {{ req.body_size le {bytes_max} }}"
    yield f"    http-request deny deny_status 413 if {{ req.body_size gt {bytes_max} }}"
    # From here on the size is unknown. The wait ends with a full buffer, too, which a large head fills sooner: of what
    # comes after that nothing is known.
    yield (
        f"    http-request wait-for-body time {milliseconds(gateway.header_timeout_s)}"
        f" at-least {min(readable_bytes, bytes_max) + 1}"
    )
    yield f"    http-request deny deny_status 413 if {{ req.body_size gt {bytes_max} }}"
    yield "    http-request set-var(txn.url_bytes) url,length"
    yield "    http-request set-var(txn.body_bytes) req.body_size"
    full = f"req.hdrs,length,add(txn.url_bytes),add(txn.body_bytes) gt {buffer_bytes - UNSIZED_RESERVE_BYTES}"
    length_required = f"    http-request return status 411 {pages.content(411)}"
    yield f"{length_required} if {{ req.body_size gt {readable_bytes} }} or {{ {full} }}"


def _wait_for_body(buffer_bytes: int) -> str:
    """HAProxy repeats only what it had whole as it sent the first byte. So what fits into a buffer is read to its end
    before a replica gets it, and a slow client holds no replica's place meanwhile. Who asks whether the body is
    welcome (`Expect`) gets that answer from the replica."""
    return (
        f"    http-request wait-for-body time {milliseconds(BODY_TIMEOUT_S)}"
        f" if has_length {{ req.body_size lt {buffer_bytes} }} !{{ req.fhdr(Expect) -m found }}"
    )


def _streams_acl() -> Iterator[str]:
    yield "    acl is_stream req.hdr(Upgrade) -i websocket"
    yield "    acl is_stream req.fhdr(Accept) -i -m sub text/event-stream"


def _routes(settings: GatewaySettings, membership: Membership) -> dict[str, str]:
    """The prefix of each public service, without its last slash; the longest first, because the first that fits is
    taken."""
    routes = {
        pool.name: settings.services[pool.name].route for pool in membership.pools if pool.name in settings.services
    }
    prefixes = {name: route.rstrip("/") for name, route in routes.items() if route}
    return dict(sorted(prefixes.items(), key=lambda item: (-len(item[1]), item[0])))


def _path_acl(acl: str, prefix: str) -> Iterator[str]:
    """`/api` takes `/api` and `/api/…`, not `/apis`."""
    if prefix:
        yield f"    acl {acl} path {prefix}"
    yield f"    acl {acl} path_beg {prefix}/"


def _limit(name: str, service: ServiceSpec, routes: Mapping[str, str]) -> Iterator[str]:
    """Of what is for `name`, and not for a service further down the same path."""
    deeper = [prefix for prefix in routes.values() if prefix.startswith(f"{routes[name]}/")]
    for prefix in deeper:
        yield from _path_acl(f"below.{name}", prefix)
    yield from rate_limit_lines(name, service, f"to.{name} !below.{name}" if deeper else f"to.{name}")


def _internal_frontend(name: str, bind: str, buffer_bytes: int) -> Iterator[str]:
    """For other services: what they forward about their client is believed."""
    yield f"frontend {name}.internal"
    yield f"    bind {bind}"
    yield from _every_frontend()
    yield "    acl has_length req.fhdr(Content-Length) -m found"
    yield _wait_for_body(buffer_bytes)
    yield from _streams_acl()
    yield f"    use_backend {streams_backend(name)} if is_stream"
    yield f"    default_backend {name}"


def _backend(pool: Pool, service: ServiceSpec) -> Iterator[str]:
    yield f"backend {pool.name}"
    yield from _balance(service)
    yield from affinity_lines(pool)
    yield f"    timeout queue {milliseconds(queue_timeout_s(service))}"
    yield f"    timeout server {milliseconds(service.request_timeout_s)}"
    yield f"    http-request deny deny_status 503 if {{ queue({pool.name}) ge {service.queue_max} }}"
    yield from _retries(pool.name, service)
    if pool.counts_latency:
        yield from latency_lines(pool)
    yield from _checks(pool, service)
    # A visitor waits for the replica that knows him behind as many as that one serves at once, not for ever.
    own_queue = f" maxqueue {service.threads}" if pool.has_cookies else ""
    yield f"    default-server maxconn {service.threads}{own_queue}{_slow_start(service)}"
    yield from server_lines(pool, pool.where()[0])


def _checks(pool: Pool, service: ServiceSpec) -> Iterator[str]:
    health = service.health
    yield "    option httpchk"
    yield (
        f"    http-check send meth GET uri {quoted(health.path)} ver HTTP/1.1"
        " hdr Host localhost hdr User-Agent colonnade-gateway hdr Connection close"
    )
    yield f"    http-check expect status {pool.check_expect}"
    yield f"    timeout check {milliseconds(health.timeout_s)}"
    yield (
        f"    default-server check inter {milliseconds(health.interval_s)}"
        f" fastinter {milliseconds(min(health.interval_s, max(FAST_INTERVAL_S_MIN, health.interval_s / 4)))}"
        f" downinter {milliseconds(health.interval_s)} fall {health.fall} rise {health.rise}"
        # One refused connection takes a server out at once; the next good check brings it back.
        " observe layer4 error-limit 1 on-error mark-down"
    )


def _streams_backend(pool: Pool, service: ServiceSpec) -> Iterator[str]:
    name = streams_backend(pool.name)
    idle = milliseconds(service.stream_timeout_s)
    yield f"backend {name}"
    # Streams last: the number open counts, not the number begun. Where a hash decides, it decides here as well.
    yield from _balance(service) if service.balance == "consistent-hash" else iter(("    balance leastconn",))
    yield from affinity_lines(pool)
    # The objective is about answers; who wants a stream may wait as long as the service says.
    yield f"    timeout queue {milliseconds(service.queue_timeout_s)}"
    yield f"    timeout server {idle}"
    yield f"    timeout tunnel {idle}"
    yield f"    retries {service.retries}"
    yield f"    http-request deny deny_status 503 if {{ queue({name}) ge {service.queue_max} }}"
    if pool.discovery is not None:
        # What a name's addresses are in one backend says nothing about their order in another: no following.
        rarely = service.health.model_copy(update={"interval_s": STREAMS_CHECK_TIMES * service.health.interval_s})
        yield from _checks(pool, service.model_copy(update={"health": rarely}))
    yield f"    default-server maxconn {service.streams_max}"
    yield from server_lines(pool, pool.where()[1])


def _balance(service: ServiceSpec) -> Iterator[str]:
    if service.balance != "consistent-hash":
        yield f"    balance {_BALANCE[service.balance]}"
        return
    source, _, name = service.hash_by.partition(":")
    fetch = {"path": "path", "header": f"req.hdr({name})", "cookie": f"req.cook({name})"}[source]
    yield f"    balance hash {fetch}"
    # Without avalanche, keys that differ in their last character only land on neighbours.
    yield "    hash-type consistent sdbm avalanche"


def _slow_start(service: ServiceSpec) -> str:
    # A weight that grows would move the keys of a consistent hash again and again.
    if service.slow_start_s <= 0 or service.balance == "consistent-hash":
        return ""
    return f" slowstart {milliseconds(service.slow_start_s)}"


def _retries(backend: str, service: ServiceSpec) -> Iterator[str]:
    """A connection that failed carried nothing: any method may try again. A reply that broke off may have done its
    work: only what is safe to repeat is repeated, and only with places that nobody else needs. While more wait than one
    replica serves at once, replays would be a load of their own: with every reply broken, three times the load. (With
    the first one who waits would be too soon: a replica that dies in a busy moment would cost its requests.)"""
    yield f"    retries {service.retries}"
    if service.retries == 0:
        return
    yield "    retry-on conn-failure empty-response junk-response"
    yield "    acl is_repeatable method GET HEAD OPTIONS PUT DELETE TRACE"
    if service.idempotency_key:
        yield "    acl is_repeatable req.hdr(Idempotency-Key) -m found"
    yield f"    acl is_behind queue({backend}) ge {min(service.threads, service.queue_max)}"
    yield "    http-request disable-l7-retry if is_behind or !is_repeatable"
