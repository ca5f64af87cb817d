"""Envoy, with its backends in a file that it watches (EDS by filesystem), as its documentation has it.

Its own request id, forwarded headers and statistics are on by default. A limit of connections per host is a circuit
breaker; the default bound on concurrent retries (3) is raised, as its documentation advises for small clusters.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
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
    replace_file,
    until,
)

_TYPE = "type.googleapis.com/envoy.extensions.filters"
_SAFE = "^(GET|HEAD|OPTIONS|PUT|DELETE|TRACE)$"


def _seconds(duration_s: float) -> str:
    return f"{duration_s:g}s"


class Envoy(OneProgram):
    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._addresses: list[str] = []
        self._endpoints = place.directory / "endpoints.json"

    async def start(self, addresses: Sequence[str]) -> None:
        self._addresses = list(addresses)
        self._write(draining=())
        bootstrap = self._place.directory / "envoy.json"
        bootstrap.write_text(json.dumps(self._bootstrap()), encoding="utf-8")
        binary = program("lib", "python*", "site-packages", "envoy", "_bin", "envoy")
        argv: list[str | Path] = [
            binary,
            "-c",
            bootstrap,
            "--concurrency",
            "1",
            "--disable-hot-restart",
            "--log-level",
            "warning",
        ]
        self._programs.start(argv, PROXY_CORE)

    async def replace(self, slot: int, address: str) -> None:
        """The new one beside the old, which is marked as draining; then without the old one."""
        old = self._addresses[slot]
        self._addresses.append(address)
        self._write(draining=(old,))
        await until(f"Envoy has {address}", lambda: f"web::{address}::health_flags::healthy" in self._clusters())
        await until(f"Envoy has drained {old}", lambda: f"web::{old}::rq_active::0" in self._clusters())
        self._addresses.remove(old)
        self._write(draining=())
        await until(f"Envoy has forgotten {old}", lambda: f"web::{old}::" not in self._clusters())

    def _clusters(self) -> str:
        return httpx.get(f"http://127.0.0.1:{self._place.admin_port}/clusters", trust_env=False).text

    def _write(self, draining: Sequence[str]) -> None:
        endpoints = [
            {
                "endpoint": {"address": _address(address)},
                **({"health_status": "DRAINING"} if address in draining else {}),
            }
            for address in self._addresses
        ]
        resource = {
            "@type": "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            "cluster_name": "web",
            "endpoints": [{"lb_endpoints": endpoints}],
        }
        replace_file(self._endpoints, json.dumps({"resources": [resource]}))

    def _bootstrap(self) -> dict[str, Any]:
        return {
            "node": {"id": "bench", "cluster": "bench"},
            "admin": {"address": _address(f"127.0.0.1:{self._place.admin_port}")},
            "static_resources": {"listeners": [self._listener()], "clusters": [self._cluster()]},
        }

    def _listener(self) -> dict[str, Any]:
        manager = {
            "@type": f"{_TYPE}.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "public",
            "use_remote_address": True,
            "always_set_request_id_in_response": True,
            "preserve_external_request_id": True,
            "max_request_headers_kb": GATEWAY.request_headers_bytes_max // 1024,
            "request_headers_timeout": _seconds(GATEWAY.header_timeout_s),
            "stream_idle_timeout": _seconds(GATEWAY.client_timeout_s),
            "common_http_protocol_options": {"idle_timeout": _seconds(GATEWAY.keep_alive_timeout_s)},
            "route_config": {
                "request_headers_to_remove": ["X-Forwarded-Host"],
                "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": _routes()}],
            },
            "http_filters": [
                {
                    "name": "envoy.filters.http.buffer",
                    "typed_config": {
                        "@type": f"{_TYPE}.http.buffer.v3.Buffer",
                        "max_request_bytes": GATEWAY.request_body_bytes_max,
                    },
                },
                {
                    "name": "envoy.filters.http.router",
                    "typed_config": {"@type": f"{_TYPE}.http.router.v3.Router"},
                },
            ],
        }
        return {
            "name": "public",
            "address": _address(f"127.0.0.1:{self._place.port}"),
            "filter_chains": [
                {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
            ],
        }

    def _cluster(self) -> dict[str, Any]:
        health = SERVICE.health
        many = {"max_connections": 4096, "max_pending_requests": SERVICE.queue_max, "max_requests": 4096}
        return {
            "name": "web",
            "type": "EDS",
            "eds_cluster_config": {
                "eds_config": {
                    "resource_api_version": "V3",
                    "path_config_source": {"path": str(self._endpoints)},
                }
            },
            "connect_timeout": _seconds(CONNECT_TIMEOUT_S),
            "lb_policy": "ROUND_ROBIN",
            # Else a host that was removed stays until its health check fails.
            "ignore_health_on_host_removal": True,
            "circuit_breakers": {
                "thresholds": [{**many, "max_retries": SERVICE.threads}],
                "per_host_thresholds": [{"max_connections": SERVICE.threads}],
            },
            "health_checks": [
                {
                    "timeout": _seconds(health.timeout_s),
                    "interval": _seconds(health.interval_s),
                    "unhealthy_threshold": health.fall,
                    "healthy_threshold": health.rise,
                    "no_traffic_interval": _seconds(health.interval_s),
                    "http_health_check": {"path": health.path},
                }
            ],
            # One broken connection or reply takes a host out for a second, as far as half of them.
            "outlier_detection": {
                "split_external_local_origin_errors": True,
                "consecutive_local_origin_failure": 1,
                "interval": "0.2s",
                "base_ejection_time": "1s",
                "max_ejection_percent": 50,
            },
        }


def _routes() -> list[dict[str, Any]]:
    """What is safe to repeat is also replayed when a reply broke off; everything else only when no connection came."""
    is_safe = {"name": ":method", "string_match": {"safe_regex": {"regex": _SAFE}}}
    return [
        {"match": {"prefix": "/", "headers": [is_safe]}, "route": _route("connect-failure,refused-stream,reset")},
        {"match": {"prefix": "/"}, "route": _route("connect-failure,refused-stream")},
    ]


def _route(retry_on: str) -> dict[str, Any]:
    previous = {
        "name": "envoy.retry_host_predicates.previous_hosts",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
        },
    }
    return {
        "cluster": "web",
        "timeout": _seconds(SERVICE.request_timeout_s),
        "retry_policy": {
            "retry_on": retry_on,
            "num_retries": SERVICE.retries,
            "retry_host_predicate": [previous],
            "host_selection_retry_max_attempts": 5,
        },
    }


def _address(address: str) -> dict[str, Any]:
    host, _, port = address.rpartition(":")
    return {"socket_address": {"address": host, "port_value": int(port)}}
