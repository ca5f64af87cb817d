"""Traefik, with its services in a file that it watches, as its documentation has it.

Not there in Traefik: an id for each request, a limit of connections per server (there is one per service or client),
and a way to see what a server still has in flight.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import httpx
from gateways_proxy import (
    CONNECT_TIMEOUT_S,
    GATEWAY,
    PROXY_CORE,
    SERVICE,
    OneProgram,
    Place,
    program,
    replace_file,
    until,
)

DRAIN_S = 1.0
"""What a server that was taken out gets to finish: fifty times what a request takes here."""


class Traefik(OneProgram):
    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._addresses: list[str] = []
        self._services = place.directory / "dynamic" / "services.yml"

    async def start(self, addresses: Sequence[str]) -> None:
        self._addresses = list(addresses)
        self._services.parent.mkdir()
        self._write()
        # By options: its static file must be YAML or TOML.
        self._programs.start([program("bin", "traefik"), *self._options()], PROXY_CORE)

    async def replace(self, slot: int, address: str) -> None:
        """A new file, which it notices; the old server keeps what it has in flight."""
        self._addresses[slot] = address
        self._write()
        url = f"http://127.0.0.1:{self._place.admin_port}/api/http/services/web@file"

        def is_there() -> bool:
            status = httpx.get(url, trust_env=False).json().get("serverStatus", {})
            return bool(status.get(f"http://{address}") == "UP")

        await until(f"Traefik has {address}", is_there)
        await asyncio.sleep(DRAIN_S)

    def _options(self) -> list[str]:
        timeouts = "--entrypoints.public.transport.respondingtimeouts"
        return [
            "--global.checknewversion=false",
            "--global.sendanonymoususage=false",
            "--log.level=WARN",
            f"--entrypoints.public.address=127.0.0.1:{self._place.port}",
            f"{timeouts}.readtimeout={GATEWAY.client_timeout_s:g}s",
            f"{timeouts}.idletimeout={GATEWAY.keep_alive_timeout_s:g}s",
            f"--entrypoints.traefik.address=127.0.0.1:{self._place.admin_port}",
            "--api.insecure=true",
            f"--providers.file.directory={self._services.parent}",
            "--providers.file.watch=true",
        ]

    def _write(self) -> None:
        health = SERVICE.health
        milliseconds = f"{round(health.interval_s * 1000)}ms"
        balancer = {
            "servers": [{"url": f"http://{address}"} for address in self._addresses],
            "passHostHeader": True,
            "serversTransport": "web",
            "healthCheck": {
                "path": health.path,
                "interval": milliseconds,
                "unhealthyInterval": milliseconds,
                "timeout": f"{round(health.timeout_s * 1000)}ms",
            },
            "passiveHealthCheck": {"failureWindow": "1s", "maxFailedAttempts": 1},
        }
        middlewares = {
            "limit": {"buffering": {"maxRequestBodyBytes": GATEWAY.request_body_bytes_max}},
            "retry": {"retry": {"attempts": SERVICE.retries + 1}},
        }
        transport = {
            "maxIdleConnsPerHost": SERVICE.threads,
            "forwardingTimeouts": {
                "dialTimeout": f"{round(CONNECT_TIMEOUT_S * 1000)}ms",
                "responseHeaderTimeout": f"{SERVICE.request_timeout_s:g}s",
            },
        }
        router = {"rule": "PathPrefix(`/`)", "entryPoints": ["public"], "service": "web", "middlewares": [*middlewares]}
        http = {
            "routers": {"web": router},
            "middlewares": middlewares,
            "services": {"web": {"loadBalancer": balancer}},
            "serversTransports": {"web": transport},
        }
        replace_file(self._services, json.dumps({"http": http}))  # JSON is YAML
