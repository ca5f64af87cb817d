"""The texts of both HAProxy processes, reviewed as files and accepted by HAProxy itself.

`UPDATE_GOLDEN=1 pytest tests/golden/test_gateway_config.py` rewrites them.
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from colonnade.core.processes import Credentials
from colonnade.gateway.config import GatewaySettings, render_gateway
from colonnade.gateway.dbconfig import (
    DatabaseGatewaySettings,
    database_membership,
    process_for_database,
    render_dbgate,
)
from colonnade.gateway.discovered import CONNECT_TIMEOUT_S, discovered_gateway, found_pool, shared_between
from colonnade.gateway.pools import service_pool, weight_of
from colonnade.gateway.process import find_binary
from colonnade.gateway.state import Discovery, Membership, NamedServers, Pool, Server, ServerState
from colonnade.gateway.text import ProcessText
from colonnade.spec.model import GatewaySpec, ServiceSpec

GOLDEN = Path(__file__).with_name("gateway")
READY = ServerState.READY
SOCKET = Path("/tmp/colonnade-1000/0123456789ab/gateway.sock")

Fds = Mapping[str, int]


def one_service(fds: Fds) -> str:
    services = {"web": ServiceSpec(app="a:b", route="/")}
    settings = GatewaySettings(GatewaySpec(), services, ProcessText(SOCKET, 8000))
    servers = tuple(Server(slot, f"127.0.0.1:{15000 + slot}", READY) for slot in (1, 2, 3))
    return render_gateway(settings, Membership((Pool("web", 16, servers),)), fds)


def many_services(fds: Fds) -> str:
    """As root, with every algorithm, a gap between slots, one draining and one pool without a health page."""
    services = {
        "frontend": ServiceSpec.model_validate({"app": "a:b", "route": "/", "threads": 4, "slow_start": "10s"}),
        "backend": ServiceSpec.model_validate(
            {"app": "a:b", "balance": "least-connections", "idempotency_key": True, "queue_max": 50, "retries": 3}
        ),
        "search": ServiceSpec.model_validate(
            {"app": "a:b", "route": "/api/search", "balance": "consistent-hash", "hash_by": "header:X-User"}
        ),
        "batch": ServiceSpec.model_validate(
            {"app": "a:b", "route": "/api", "balance": "weighted", "retries": 0, "health": {"path": "/up?x=1"}}
        ),
    }
    pools = (
        Pool("frontend", 16, (Server(1, "127.0.0.1:15001", READY), Server(4, "127.0.0.1:15004", READY))),
        Pool("backend", 16, (Server(1, "127.0.0.1:15011", READY), Server(2, "127.0.0.1:15012", ServerState.DRAIN))),
        Pool("search", 3, (), check_expect="200-499"),
        Pool("batch", 3, (Server(1, "127.0.0.1:15031", READY, 3), Server(2, "127.0.0.1:15032", READY, 1))),
    )
    process = ProcessText(SOCKET, 8000, Credentials(65534, 65534, "nobody", "/nonexistent"))
    return render_gateway(GatewaySettings(GatewaySpec(), services, process), Membership(pools), fds)


def visitors(fds: Fds) -> str:
    """What is there for those who ask for it: affinity, a limit per client, an objective, weights that move."""
    services = {
        "shop": ServiceSpec.model_validate(
            {
                "app": "a:b",
                "route": "/",
                "affinity": "cookie",
                "rate_limit": {"requests": 100, "per": "10s"},
                "slo": {"p99": "250ms"},
            }
        ),
        "search": ServiceSpec.model_validate({"app": "a:b", "route": "/search", "balance": "adaptive"}),
    }
    addresses = {"shop": {1: "127.0.0.1:15001", 3: "127.0.0.1:15003"}, "search": {1: "127.0.0.1:15011"}}
    pools = tuple(
        service_pool(
            name,
            service,
            tuple(Server(slot, at, READY, weight_of(service, slot)) for slot, at in addresses[name].items()),
            check_expect="200-499",
        )
        for name, service in services.items()
    )
    return render_gateway(GatewaySettings(GatewaySpec(), services, ProcessText(SOCKET, 8000)), Membership(pools), fds)


def found(_: Fds) -> str:
    """In a cluster: servers found in the DNS, two sizes of them, behind another proxy."""
    service = ServiceSpec.model_validate({"app": "a:b", "route": "/", "affinity": "cookie", "threads": 9})
    names = (
        NamedServers("web-pods.blog.svc", 8000, 16),
        NamedServers("web-2-pods.blog.svc", 8000, 16, 3),
    )
    pool = found_pool("web", service, Discovery(names, "127.0.0.1:8000", 8099))
    settings = GatewaySettings(
        GatewaySpec(),
        {"web": shared_between(service, 2)},
        ProcessText(SOCKET, 8000, close_spread="infinite"),
        CONNECT_TIMEOUT_S,
        trusts_proxy=True,
    )
    return discovered_gateway(settings, (pool,), {"public": ":8080", "service:web": ":9001"}, health_bind=":8404")


def database(fds: Fds) -> str:
    nodes = {1: "127.0.0.1:16001", 2: "127.0.0.1:16002", 3: "127.0.0.1:16003"}
    settings = DatabaseGatewaySettings(process_for_database(ProcessText(SOCKET, 2000), 2), 90)
    return render_dbgate(settings, database_membership(nodes, 1, [2, 3]), fds)


CASES = [
    (one_service, ("public",)),
    (many_services, ("public", "service:backend")),
    (visitors, ("public", "service:search")),
    (found, ()),
    (database, ("db:primary", "db:standbys")),
]


@pytest.mark.parametrize(("render", "listeners"), CASES, ids=lambda case: getattr(case, "__name__", ""))
def test_the_text_is_the_reviewed_one(render: Callable[[Fds], str], listeners: tuple[str, ...]) -> None:
    text = render({name: number for number, name in enumerate(listeners, start=10)})
    path = GOLDEN / f"{render.__name__}.cfg"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text(), "run with UPDATE_GOLDEN=1 and review the difference"


@pytest.mark.slow
@pytest.mark.parametrize(("render", "listeners"), CASES, ids=lambda case: getattr(case, "__name__", ""))
def test_haproxy_accepts_it_without_a_warning(
    render: Callable[[Fds], str], listeners: tuple[str, ...], work_dir: Path
) -> None:
    with listening(listeners) as fds:
        path = work_dir / "haproxy.cfg"
        path.write_text(render(fds))
        command = [find_binary(os.environ), "-c", "-dW", "-f", str(path)]
        checked = subprocess.run(command, pass_fds=tuple(fds.values()), capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr


@contextmanager
def listening(names: tuple[str, ...]) -> Iterator[Fds]:
    sockets = {name: socket.create_server(("127.0.0.1", 0)) for name in names}
    try:
        yield {name: listener.fileno() for name, listener in sockets.items()}
    finally:
        for listener in sockets.values():
            listener.close()
