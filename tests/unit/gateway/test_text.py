"""What goes into HAProxy's text, piece by piece."""

from __future__ import annotations

from pathlib import Path

import pytest

from colonnade.core.errors import Bug, HostError
from colonnade.gateway.config import GatewaySettings, buffer_bytes_for, render_gateway
from colonnade.gateway.controller import restart_delay_s
from colonnade.gateway.dbconfig import DatabaseGatewaySettings, database_membership, process_for_database
from colonnade.gateway.latency import latency_lines
from colonnade.gateway.pages import error_lines, page
from colonnade.gateway.pools import service_pool, slots_for, weight_of
from colonnade.gateway.probe import is_expected
from colonnade.gateway.process import GatewayPaths
from colonnade.gateway.state import Membership, Place, Pool, Server, ServerState
from colonnade.gateway.text import ProcessText, milliseconds, quoted, server_lines
from colonnade.spec.model import GatewaySpec, ServiceSpec

READY = ServerState.READY
PROCESS = ProcessText(Path("/run/s"), 1000)


def service(**values: object) -> ServiceSpec:
    return ServiceSpec.model_validate({"app": "a:b", "route": "/", **values})


def rendered(services: dict[str, ServiceSpec], membership: Membership | None = None) -> str:
    pools = membership or Membership(
        tuple(service_pool(name, service, (), check_expect="200-399") for name, service in services.items())
    )
    return render_gateway(GatewaySettings(GatewaySpec(), services, PROCESS), pools, {"public": 3})


def test_slots_keep_their_order_whoever_is_in_them() -> None:
    pool = Pool("web", 9, (Server(5, "h:5", READY), Server(2, "h:2", ServerState.DRAIN)))
    assert [line.split()[:3] for line in server_lines(pool, Place("web"))] == [
        ["server-template", "r", "1-1"],
        ["server", "r2", "h:2"],
        ["server-template", "r", "3-4"],
        ["server", "r5", "h:5"],
        ["server-template", "r", "6-9"],
    ]


def test_after_a_start_only_ready_servers_are_in_rotation() -> None:
    pool = Pool("web", 3, (Server(1, "h:1", READY), Server(2, "h:2", ServerState.DRAIN)))
    lines = list(server_lines(pool, Place("web")))
    assert [line.endswith(" disabled") for line in lines] == [False, True, True]


def test_a_following_place_tracks_slot_by_slot() -> None:
    pool = Pool("web", 2, (Server(1, "h:1", READY),))
    lines = list(server_lines(pool, pool.where()[1]))
    assert lines == ["    server r1 h:1 weight 1 track web/r1", "    server r2 127.0.0.1:1 weight 1 track web/r2"]


def test_longer_routes_come_first_and_end_at_segments() -> None:
    text = rendered({"all": service(), "api": service(route="/api"), "deep": service(route="/api/v2")})
    rules = [
        line.split()[1] for line in text.splitlines() if line.startswith("    use_backend") and "streams" not in line
    ]
    assert rules == ["deep", "api", "all"]
    assert "acl to.api path_beg /api/\n" in text
    assert "acl to.api path /api\n" in text


def test_a_limit_is_for_its_own_service_and_is_applied_before_the_backend_counts_a_request() -> None:
    limit = {"requests": 5, "per": "1s"}
    text = rendered({"all": service(rate_limit=limit), "api": service(route="/api", rate_limit=limit)})
    public, _, backends = text.partition("\nbackend ")
    assert "    acl below.all path /api\n    acl below.all path_beg /api/\n" in public
    assert "    http-request sc-inc-gpc(0,1) if to.all !below.all\n" in public
    assert "    http-request sc-inc-gpc(0,1) if to.api\n" in public
    assert "status 429" not in backends


def test_a_service_without_a_route_is_not_public() -> None:
    text = rendered({"hidden": service(route="")})
    assert "use_backend" not in text
    assert "backend hidden\n" in text


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"balance": "round-robin"}, "    balance roundrobin\n"),
        ({"balance": "least-connections"}, "    balance leastconn\n"),
        ({"balance": "consistent-hash", "hash_by": "cookie:user"}, "    balance hash req.cook(user)\n"),
        ({"slow_start": "5s"}, " slowstart 5000ms\n"),
        ({"threads": 3}, "    default-server maxconn 3\n"),
        ({"queue_max": 7}, "if { queue(web) ge 7 }\n"),
        ({"health": {"path": "/up", "interval": "1s"}}, "uri '/up' "),
        ({"request_timeout": "1.5s"}, "    timeout server 1500ms\n"),
        ({"stream_timeout": "2h"}, "    timeout tunnel 7200000ms\n"),
        ({"balance": "adaptive"}, "    balance leastconn\n"),
        ({"affinity": "cookie"}, "    cookie colonnade-web insert indirect nocache httponly attr SameSite=Lax\n"),
        ({"affinity": "cookie"}, "    server r7 127.0.0.1:1 weight 1 cookie r7 disabled\n"),
        ({"affinity": "cookie"}, "    server r7 127.0.0.1:1 weight 1 track web/r7 cookie r7\n"),
        ({"rate_limit": {"requests": 5, "per": "2500ms"}}, "if to.web { sc_gpc_rate(0,1) ge 5 }\n"),
        ({"rate_limit": {"requests": 5, "per": "2500ms"}}, "hdr Retry-After 3 if"),
        ({"rate_limit": {"requests": 5, "per": "2500ms"}}, "expire 5000ms store gpc(1),gpc_rate(1,2500ms)\n"),
        ({"slo": {"p99": "250ms"}}, "    timeout queue 125ms\n"),
        ({"slo": {"p99": "250ms"}, "queue_timeout": "3s"}, "    timeout queue 3000ms\n"),
        ({"slo": {"p99": "30s"}}, "    timeout queue 10000ms\n"),
        ({"slo": {"availability": "99%"}}, "    timeout queue 10000ms\n"),
        ({}, "    http-response sc-inc-gpc(0,0) if { var(txn.took_ms) -m int lt 1 }\n"),
        ({}, "    http-response sc-inc-gpc(9,0) if { var(txn.took_ms) -m int 100:174 }\n"),
        ({}, "    http-response sc-inc-gpc(18,0) if { var(txn.took_ms) -m int ge 30000 }\n"),
    ],
)
def test_what_is_declared_is_in_the_text(values: dict[str, object], expected: str) -> None:
    assert expected in rendered({"web": service(**values)})


def test_only_a_service_that_says_so_has_its_keyed_writes_repeated() -> None:
    assert "Idempotency-Key" in rendered({"web": service(idempotency_key=True)})
    assert "Idempotency-Key" not in rendered({"web": service()})


def test_the_gateway_of_the_database_has_one_thread_where_cores_are_few() -> None:
    assert [process_for_database(PROCESS, cores).threads for cores in (1, 2, 3, 64)] == [1, 1, 2, 2]


def test_what_nobody_asked_for_is_not_in_the_text() -> None:
    text = rendered({"web": service()})
    assert "cookie" not in text
    assert "429" not in text
    assert "web.clients" not in text


def test_each_limited_service_has_a_table_of_its_own() -> None:
    limited = service(rate_limit={"requests": 5, "per": "1s"})
    text = rendered({"web": limited, "api": limited, "free": service()})
    tables = [line.split()[1] for line in text.splitlines() if line.startswith("backend ") and "clients" in line]
    assert tables == ["web.clients", "api.clients"]
    for name in ("web", "api"):
        assert text.count(f"track-sc1 src,ipmask(32,64) table {name}.clients if to.{name}\n") == 1


def test_answers_of_every_length_fall_into_exactly_one_bucket_and_leave_only_when_counted() -> None:
    pool = service_pool("web", service(), (), check_expect="200-399")
    rules = [line.split(" if ")[-1].strip("{} ").split()[-2:] for line in latency_lines(pool) if " if " in line]
    exits = [line.split()[1] == "allow" for line in latency_lines(pool) if " if " in line]

    def holds(words: list[str], took_ms: int) -> bool:
        match words:
            case ["lt", bound]:
                return took_ms < int(bound)
            case ["ge", bound]:
                return took_ms >= int(bound)
            case _:
                first, last = words[1].split(":")
                return int(first) <= took_ms <= int(last)

    for took_ms in (-5, 0, 1, 2, 3, 6, 7, 59, 60, 61, 499, 500, 29_999, 30_000, 10**7):
        counted = 0
        for words, leaves in zip(rules, exits, strict=True):
            if holds(words, took_ms):
                if leaves:
                    break
                counted += 1
        assert counted == 1, took_ms


@pytest.mark.parametrize(
    ("values", "number", "factor", "expected"),
    [
        ({"balance": "adaptive"}, 1, 1.0, 100),
        ({"balance": "adaptive"}, 1, 0.333, 33),
        ({"balance": "adaptive"}, 1, 0.001, 1),
        ({"balance": "adaptive"}, 1, 0.0, 0),
        ({}, 1, 0.0, 0),
        ({"balance": "adaptive"}, 1, 9.0, 256),
        ({"balance": "adaptive", "weights": [{"weight": 4}, {"weight": 1}]}, 2, 1.0, 25),
        ({"balance": "weighted", "weights": [{"weight": 4}, {"weight": 1}]}, 1, 0.5, 4),
        ({}, 1, 0.5, 1),
    ],
)
def test_only_weights_of_an_adaptive_service_move_but_any_may_get_nothing(
    values: dict[str, object], number: int, factor: float, expected: int
) -> None:
    assert weight_of(service(**values), number, factor) == expected


def test_without_retries_nothing_is_repeated() -> None:
    assert "retry-on" not in rendered({"web": service(retries=0)})


def test_a_pool_that_is_no_service_is_our_bug() -> None:
    with pytest.raises(Bug):
        rendered({}, Membership((Pool("ghost", 3),)))


def test_slots_are_generous() -> None:
    assert slots_for(service(replicas=2)) == 16
    assert slots_for(service(replicas={"min": 2, "max": 40})) == 80


def test_a_buffer_holds_the_largest_head_and_as_much_again_where_bodies_are_replayed() -> None:
    assert buffer_bytes_for(GatewaySpec(), [service()]) == 16 * 1024 + 1024
    assert buffer_bytes_for(GatewaySpec(request_headers_bytes_max=8 * 1024), [service()]) == 16 * 1024
    keyed = [service(), service(idempotency_key=True)]
    assert buffer_bytes_for(GatewaySpec(), keyed) == 64 * 1024
    assert buffer_bytes_for(GatewaySpec(request_headers_bytes_max=64 * 1024), keyed) == 2 * 64 * 1024 + 1024


@pytest.mark.parametrize(("seconds", "expected"), [(0.2, "200ms"), (30.0, "30000ms"), (0.0, "1ms")])
def test_durations_are_never_zero(seconds: float, expected: str) -> None:
    assert milliseconds(seconds) == expected


@pytest.mark.parametrize("text", ["it's", "two\nlines", "zero\0"])
def test_a_word_that_cannot_be_quoted_is_refused(text: str) -> None:
    with pytest.raises(Bug):
        quoted(text)


def test_pages_need_nothing_from_elsewhere() -> None:
    for status in (400, 404, 411, 413, 429, 502, 503, 504):
        assert "http" not in page(status)
        assert "src=" not in page(status)
    waiting = [line for line in error_lines() if "Retry-After" in line]
    assert len(waiting) == 1
    assert waiting[0].startswith("    http-error status 503 ")


@pytest.mark.parametrize(
    ("head", "expect", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\n", "200-399", True),
        (b"HTTP/1.1 404 Not", "200-399", False),
        (b"HTTP/1.1 404 Not", "200-499", True),
        (b"HTTP/1.0 204 ", "204", True),
        (b"SSH-2.0 200 hello", "200-399", False),
        (b"", "200-399", False),
        (b"HTTP/1.1 abc", "200-399", False),
    ],
)
def test_a_probe_knows_a_good_answer(head: bytes, expect: str, expected: bool) -> None:
    assert is_expected(head, expect) is expected


def test_a_socket_path_that_haproxy_cannot_bind_is_said_so_at_once() -> None:
    with pytest.raises(HostError, match="97 bytes"):
        GatewayPaths(Path("/s"), Path("/s/log"), Path("/" + "x" * 97))


def test_a_process_that_keeps_dying_is_started_ever_more_slowly() -> None:
    delays = [restart_delay_s(deaths) for deaths in (0, 1, 5, 6, 7, 50)]
    assert delays == [0.0, 0.0, 0.0, 0.1, 0.2, 5.0]


@pytest.mark.parametrize("keys", [{}, {"affinity": "cookie"}])
def test_a_server_that_has_to_prove_itself_is_out_at_a_start(keys: dict[str, object]) -> None:
    servers = (Server(1, "127.0.0.1:15001", READY), Server(2, "127.0.0.1:15002", READY, is_unproven=True))
    pool = service_pool("web", service(**keys), servers, check_expect="200-399")
    lines = list(server_lines(pool, pool.where()[0]))
    assert [line.endswith(" disabled") for line in lines[:2]] == [False, True]


def test_a_slot_cannot_be_ready_without_an_address_or_named_twice() -> None:
    with pytest.raises(Bug):
        Server(1, None, READY)
    with pytest.raises(Bug):
        Pool("web", 2, (Server(1), Server(1)))
    with pytest.raises(Bug):
        Pool("web", 2, (Server(3),))


def test_a_node_never_gets_more_connections_than_it_has() -> None:
    settings = DatabaseGatewaySettings(PROCESS, 90)
    assert settings.primary_connections_max + settings.fallback_connections_max == 90


def test_a_primary_is_never_a_standby_too() -> None:
    membership = database_membership({1: "h:1", 2: "h:2"}, 1, [1, 2])
    states = {pool.name: [server.state for server in pool.servers] for pool in membership.pools}
    assert states["standbys"] == [ServerState.MAINT, READY]
    assert states["primary"] == states["fallback"] == [READY, ServerState.MAINT]
