"""The unit for one system: started at boot, started again when all of it died, ended in order. Pure.

systemd watches one process, the viewer `colonnade up --follow`. It starts the system or finds it, and follows its
events into the journal. Everything that serves outlives it, as it outlives the controller: when the viewer dies systemd
starts another, which finds the running system; so systemd may end nothing but the viewer (`KillMode=process`), and
`colonnade down` does the rest.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from colonnade.deploy.files import ExportedFile
from colonnade.spec.model import Spec
from colonnade.spec.syntax import parse_listen

NO_FILES = 65_536
"""HAProxy takes two descriptors for a connection."""

TASKS_MAX = 4096

STOP_S = 120
"""`colonnade down` drains, stops replicas, and lets PostgreSQL write a last checkpoint."""

PRIVILEGED_PORTS_END = 1024

NO_HOMES = ("/opt/", "/srv/", "/usr/", "/var/")
"""Where people do not live, and programs do."""


@dataclass(frozen=True, slots=True)
class Host:
    """Where the system is on this machine; every path absolute."""

    program: str
    """`colonnade` of the environment that runs here."""
    directory: str
    """Of colonnade.toml."""
    state: str
    user: str
    shared: tuple[str, ...] = ()
    backups: str = ""
    """Empty: there are none."""


def systemd_files(spec: Spec, host: Host) -> tuple[ExportedFile, ...]:
    return (ExportedFile(f"{unit_name(spec)}", unit(spec, host)),)


def unit_name(spec: Spec) -> str:
    return f"colonnade-{spec.system.name}.service"


def unit(spec: Spec, host: Host) -> str:
    lines = [*_head(spec, host), "", *_service(spec, host), "", *_limits(spec), "", *_sandbox(spec, host)]
    return "\n".join([*lines, "", "[Install]", "WantedBy=multi-user.target", ""])


def _head(spec: Spec, host: Host) -> Iterator[str]:
    name = unit_name(spec)
    yield "# Written by `colonnade export systemd`. As root: copy it to /etc/systemd/system, then"
    yield f"# `systemctl enable --now {name}`."
    yield "# docs/one-host.md tells the rest: firewall, TLS, upgrades."
    yield "[Unit]"
    yield f"Description={spec.system.name}, run by Colonnade"
    yield "Wants=network-online.target"
    yield "After=network-online.target local-fs.target"
    yield f"RequiresMountsFor={_quoted(host.directory)} {_quoted(host.state)}"
    yield "# It never gives up: what keeps it from starting may be gone in a minute."
    yield "StartLimitIntervalSec=0"


def _service(spec: Spec, host: Host) -> Iterator[str]:
    program = _quoted(host.program)
    # Where the state is not beside the declaration, each command has to be told.
    place = "" if host.state == posixpath.join(host.directory, ".colonnade") else f" --state-dir {_quoted(host.state)}"
    yield "[Service]"
    yield "Type=exec"
    yield f"User={host.user}"
    yield f"WorkingDirectory={_escaped(host.directory)}"
    yield "# Variables that colonnade.toml names, such as that of a database's URL; only root needs to read the file."
    yield f"EnvironmentFile=-/etc/colonnade/{spec.system.name}.env"
    yield f"ExecStart={program} up --follow{place}"
    yield f"ExecReload={program} deploy{place}"
    yield f"ExecStop={program} down{place}"
    yield "# The viewer is all that systemd ends; what serves goes on without it, and is found again."
    yield "KillMode=process"
    yield "SendSIGKILL=no"
    yield "Restart=always"
    yield "RestartSec=2"
    yield f"TimeoutStopSec={STOP_S}"
    yield "# One process that ran out of memory is replaced by Colonnade; systemd would end all."
    yield "OOMPolicy=continue"


def _limits(spec: Spec) -> Iterator[str]:
    yield f"LimitNOFILE={NO_FILES}"
    yield f"TasksMax={TASKS_MAX}"
    yield "LimitCORE=0"
    yield "# Of all of it together; a tenth of the machine stays for the machine."
    yield "MemoryMax=90%"


def _sandbox(spec: Spec, host: Host) -> Iterator[str]:
    writable = dict.fromkeys([host.directory, host.state, *host.shared, *([host.backups] if host.backups else [])])
    yield "# It writes here and to /tmp, where its sockets are: with PrivateTmp `colonnade status` would not find them."
    yield "ProtectSystem=strict"
    yield f"ReadWritePaths={' '.join(_quoted(path) for path in _outermost(writable))} /tmp"
    # Homes are hidden, unless it lives in one.
    is_elsewhere = all(path.startswith(NO_HOMES) for path in (host.directory, host.program))
    yield f"ProtectHome={'yes' if is_elsewhere else 'read-only'}"
    port = parse_listen(spec.gateway.listen).port
    if port < PRIVILEGED_PORTS_END:
        yield f"# For port {port} and nothing else."
        yield "AmbientCapabilities=CAP_NET_BIND_SERVICE"
    yield f"CapabilityBoundingSet={'CAP_NET_BIND_SERVICE' if port < PRIVILEGED_PORTS_END else ''}"
    yield from (
        "NoNewPrivileges=yes",
        "PrivateDevices=yes",
        "ProtectClock=yes",
        "ProtectControlGroups=yes",
        "ProtectHostname=yes",
        "ProtectKernelLogs=yes",
        "ProtectKernelModules=yes",
        "ProtectKernelTunables=yes",
        "ProtectProc=invisible",
        "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6",
        "RestrictNamespaces=yes",
        "RestrictRealtime=yes",
        "RestrictSUIDSGID=yes",
        "LockPersonality=yes",
        "RemoveIPC=no",
        "SystemCallArchitectures=native",
        # The last is how a new keeper gets copies of the gateway's sockets. Whatever else is tried is refused.
        "SystemCallFilter=@system-service pidfd_getfd",
        "SystemCallErrorNumber=EPERM",
        "UMask=0027",
    )
    yield "# Not MemoryDenyWriteExecute: PostgreSQL compiles queries, and so do some libraries."


def _outermost(paths: Sequence[str] | dict[str, None]) -> list[str]:
    """Without those that lie in another of them."""
    return [path for path in paths if not any(path != other and path.startswith(other + "/") for other in paths)]


def _escaped(path: str) -> str:
    return posixpath.normpath(path).replace("%", "%%")


def _quoted(path: str) -> str:
    """One word for systemd."""
    text = _escaped(path)
    plain = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{plain}"' if any(char in text for char in " \t\"'\\;") else text
