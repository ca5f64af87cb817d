"""HAProxy's replies, parsed; the texts are a real 2.8's, shortened."""

from __future__ import annotations

import pytest

from colonnade.core.errors import DriverError
from colonnade.core.histogram import BUCKETS_COUNT, Histogram
from colonnade.gateway.answers import is_success, parse_look, split_replies
from colonnade.gateway.state import ObservedGateway, ServerState

INFO = "Name: HAProxy\nVersion: 2.8.25\nPid: 77\nUptime: 0d 0h00m02s\nUptime_sec: 2\nMaxconn: 4000\nCurrConns: 12\n\n"

STATES = (
    "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_time_since"
    "_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state bk_f_forced_id"
    " srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr"
    " srv_agent_port\n"
    "3 web 1 r1 127.0.0.1 0 0 1 1 2 8 2 0 6 0 0 0 - 15000 - 0 0 - - 0\n"
    "3 web 2 r2 127.0.0.1 2 12 3 1 0 1 0 2 2 0 0 0 - 15001 - 0 0 - - 0\n"
    "3 web 3 r3 127.0.0.1 0 5 1 1 2 1 0 0 14 0 0 0 - 1 - 0 0 - - 0\n"
    "4 web.streams 2 r2 127.0.0.1 2 16 1 1 0 1 0 0 0 0 0 0 - 15001 - 0 0 - - 0\n\n"
)

COLUMNS = (
    "# pxname,svname,qcur,scur,stot,dreq,econ,eresp,wretr,wredis,status,check_status,hrsp_5xx,last_chk,qtime,rtime"
    ",addr,hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,req_tot,ereq,\n"
)

STATS = (
    'web,r1,1,4,90,,2,1,0,0,DOWN,* L7TOUT,8,"timeout, after 200ms",5,6,127.0.0.1:15000,\n'
    "web,r2,0,2,10,,0,0,0,0,DRAIN,L7OK,0,,5,6,127.0.0.1:15001,\n"
    "web,r3,0,0,0,,0,0,0,0,MAINT,,0,,0,0,127.0.0.1:1,\n"
    "web,BACKEND,3,6,100,30,2,1,4,5,UP,,7,,11,12,,0,80,5,8,,,\n"
    "public,FRONTEND,,9,50,3,,,,,OPEN,,1,,,,,0,90,2,4,97,6,\n"
    "web.streams,r2,0,1,1,,0,0,0,0,DRAIN,,0,,0,0,127.0.0.1:15001,\n\n"
)


def look_of(text: str) -> ObservedGateway:
    look = parse_look(text)
    assert look is not None
    return look


def test_an_empty_slot_may_be_left_out_and_nobody_else() -> None:
    lines = STATS.splitlines(keepends=True)
    without_empty = "".join(line for line in lines if not line.startswith("web,r3"))
    assert look_of(INFO + STATES + COLUMNS + without_empty) == look_of(INFO + STATES + COLUMNS + STATS)
    without_draining = "".join(line for line in lines if not line.startswith("web,r2"))
    assert parse_look(INFO + STATES + COLUMNS + without_draining) is None


def test_a_look_is_parsed_into_servers_and_backends() -> None:
    look = look_of(INFO + STATES + COLUMNS + STATS)
    assert (look.pid, look.uptime_s) == (77, 2)
    first, second, third = (look.servers[f"web/r{slot}"] for slot in (1, 2, 3))
    assert (first.address, first.state, first.is_up) == ("127.0.0.1:15000", ServerState.READY, False)
    assert (first.sessions, first.queued, first.requests_total, first.errors_total) == (4, 1, 90, 3)
    assert (first.server_errors_total, first.response_ms_mean) == (8, 6.0)
    assert (first.check_status, first.has_checks, first.ignores_health) == ("L7TOUT", True, False)
    assert (second.state, second.weight, second.ignores_health) == (ServerState.DRAIN, 3, True)
    assert (third.state, third.address, third.ignores_health) == (ServerState.MAINT, "127.0.0.1:1", False)
    assert look.servers["web.streams/r2"].has_checks is False
    backend = look.backends["web"]
    assert (backend.queued, backend.sessions, backend.server_errors_total) == (3, 6, 7)
    assert (backend.retries_total, backend.redispatches_total) == (4, 5)
    assert backend.rejected_total == 32, "denied for a full queue, and those for whom nobody was found in time"
    assert (backend.queue_ms_mean, backend.response_ms_mean) == (11.0, 12.0)
    assert backend.responses == (0, 80, 5, 8, 7)
    public = look.frontends["public"]
    assert (public.sessions, public.requests_total, public.denied_total, public.bad_requests_total) == (9, 97, 3, 6)
    assert public.responses == (0, 90, 2, 4, 1)
    assert (look.connections, look.connections_max) == (12, 4000)


def row(slot: int, *counts: int) -> str:
    counters = [*counts, *(0,) * (BUCKETS_COUNT - len(counts))]
    return f"0x55d{slot}: key={slot} use=0 exp=0 shard=0 " + " ".join(f"gpc{n}={c}" for n, c in enumerate(counters))


def histogram(*counts: int) -> Histogram:
    return Histogram((*counts, *(0,) * (BUCKETS_COUNT - len(counts))))


def test_latencies_are_read_by_service_and_slot() -> None:
    web = f"# table: web, type: integer, size:16, used:2\n{row(1, 5, 0, 2)}\n{row(3, 0, 7)}\n\n"
    api = "# table: api, type: integer, size:16, used:0\n\n"
    look = look_of(INFO + STATES + COLUMNS + STATS + web + api)
    assert look.latencies == {"web": {1: histogram(5, 0, 2), 3: histogram(0, 7)}, "api": {}}
    assert look.backends["web"].queued == 3


def test_a_table_that_is_not_there_yet_is_empty() -> None:
    assert look_of(INFO + STATES + COLUMNS + STATS + "No such table\n\n").latencies == {}


def test_a_table_with_other_buckets_cannot_be_read() -> None:
    table = "# table: web, type: integer, size:16, used:1\n0x1: key=1 use=0 exp=0 shard=0 gpc0=1 gpc1=2\n\n"
    with pytest.raises(DriverError):
        parse_look(INFO + STATES + COLUMNS + STATS + table)


@pytest.mark.parametrize("text", ["", "Unknown command\n\n", INFO, INFO + STATES])
def test_anything_else_is_an_error_with_a_hint(text: str) -> None:
    with pytest.raises(DriverError) as error:
        parse_look(text)
    assert error.value.hint


def test_replies_to_several_commands_are_told_apart() -> None:
    text = "IP changed from 'a' to 'b' by 'stats socket command'\n\n\n\nNo such server.\n\n\n"
    assert split_replies(text) == [
        "IP changed from 'a' to 'b' by 'stats socket command'",
        "",
        "",
        "No such server.",
        "",
    ]


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("", True),
        ("no need to change the addr, port changed from '1' to '2' by 'stats socket command'", True),
        ("No such server.", False),
        ("Unknown command: 'foo'", False),
    ],
)
def test_silence_and_a_changed_address_are_success(reply: str, expected: bool) -> None:
    assert is_success(reply) is expected
