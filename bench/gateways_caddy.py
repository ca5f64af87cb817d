"""Caddy, configured by JSON and changed by its admin API, as its documentation has it.

A limit per server is `unhealthy_request_count`: a server that has as many in flight is passed over.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import httpx
from gateways_proxy import (
    CONNECT_TIMEOUT_S,
    GATEWAY,
    PROXY_CORE,
    SERVICE,
    OneProgram,
    Place,
    program,
    until,
)

_PROXY_AT = "apps/http/servers/web/routes/0/handle/2"


class Caddy(OneProgram):
    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._addresses: list[str] = []
        self._admin = f"http://127.0.0.1:{place.admin_port}"

    async def start(self, addresses: Sequence[str]) -> None:
        self._addresses = list(addresses)
        path = self._place.directory / "caddy.json"
        path.write_text(json.dumps(self._config()), encoding="utf-8")
        self._programs.start([program("bin", "caddy"), "run", "--config", path], PROXY_CORE)

    async def replace(self, slot: int, address: str) -> None:
        """Other upstreams by the API: a graceful reload within the process. Returns when the old one is idle."""
        old = self._addresses[slot]
        self._addresses[slot] = address
        async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
            url = f"{self._admin}/config/{_PROXY_AT}/upstreams"
            (await client.patch(url, json=self._upstreams())).raise_for_status()

        def is_idle() -> bool:
            upstreams = httpx.get(f"{self._admin}/reverse_proxy/upstreams", trust_env=False).json()
            return not any(item["address"] == old and item["num_requests"] for item in upstreams)

        await until(f"Caddy has drained {old}", is_idle)

    def _upstreams(self) -> list[dict[str, Any]]:
        return [{"dial": address} for address in self._addresses]

    def _config(self) -> dict[str, Any]:
        health = SERVICE.health
        request_id = "{http.request.uuid}"
        proxy = {
            "handler": "reverse_proxy",
            "upstreams": self._upstreams(),
            "load_balancing": {
                "selection_policy": {"policy": "round_robin"},
                "retries": SERVICE.retries,
                "try_duration": "5s",
            },
            "health_checks": {
                "active": {
                    "uri": health.path,
                    "interval": f"{round(health.interval_s * 1000)}ms",
                    "timeout": f"{round(health.timeout_s * 1000)}ms",
                    "fails": health.fall,
                    "passes": health.rise,
                },
                "passive": {"fail_duration": "1s", "max_fails": 1, "unhealthy_request_count": SERVICE.threads},
            },
            "transport": {
                "protocol": "http",
                "dial_timeout": f"{round(CONNECT_TIMEOUT_S * 1000)}ms",
                "response_header_timeout": f"{SERVICE.request_timeout_s:g}s",
                "keep_alive": {"max_idle_conns_per_host": SERVICE.threads},
            },
        }
        handlers = [
            {"handler": "request_body", "max_size": GATEWAY.request_body_bytes_max},
            {
                "handler": "headers",
                "request": {"set": {"X-Request-ID": [request_id]}},
                "response": {"set": {"X-Request-ID": [request_id]}, "deferred": False},
            },
            proxy,
        ]
        server = {
            "listen": [f"127.0.0.1:{self._place.port}"],
            "automatic_https": {"disable": True},
            "protocols": ["h1"],
            "read_header_timeout": f"{GATEWAY.header_timeout_s:g}s",
            "idle_timeout": f"{GATEWAY.keep_alive_timeout_s:g}s",
            "max_header_bytes": GATEWAY.request_headers_bytes_max,
            "routes": [{"handle": handlers}],
        }
        return {
            "admin": {"listen": f"127.0.0.1:{self._place.admin_port}"},
            "logging": {"logs": {"default": {"level": "WARN"}}},
            "apps": {"http": {"servers": {"web": server}}},
        }
