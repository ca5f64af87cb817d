"""A Prometheus that is on this machine as one more part: the exported configuration, an address and a bounded store of
its own. It watches the system through the dashboard, as one outside would; it may die, and nothing else notices."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from colonnade.core.clock import Clock
from colonnade.core.errors import HostError
from colonnade.core.events import EventLog
from colonnade.core.files import make_directory, read_json, write_durably, write_json_durably
from colonnade.core.ports import PortAllocator, is_free
from colonnade.core.processes import Command, Credentials
from colonnade.spec.model import PrometheusSpec, Spec
from colonnade.spec.syntax import ListenAddress, parse_listen
from colonnade.spec.units import duration_text
from colonnade.system.dashboard_part import DashboardPart
from colonnade.system.paths import StatePaths
from colonnade.system.side_process import SideProcess

NAME = "prometheus"

STOP_GRACE_S = 5.0
"""It writes what it has in memory into its log as it goes; ending it takes a second."""


class PrometheusPart:
    """One process and its successors; `run` keeps one going."""

    def __init__(self, process: SideProcess, url: str, *, has_new_text: bool) -> None:
        self._process = process
        self.url = url
        self._has_new_text = has_new_text

    def describe(self) -> dict[str, Any]:
        return self._process.describe(self.url)

    async def run(self) -> None:
        if self._has_new_text and (survivor := self._process.recorded()) is not None:
            survivor.send(signal.SIGHUP)  # it reads its configuration anew
            survivor.close()
        await self._process.run(self.url)

    async def stop(self) -> None:
        await self._process.stop(STOP_GRACE_S)


def find_prometheus(spec: PrometheusSpec, path: str | None = None) -> str:
    """The program. Raises HostError when there is none."""
    found = shutil.which(spec.binary or NAME, path=path)
    if found is None:
        raise HostError(
            f"there is no program {spec.binary!r}" if spec.binary else "no Prometheus was found on this machine",
            subject=NAME,
            hint="install it (Debian: `apt install prometheus`), or say where it is: --prometheus-binary PATH",
        )
    return os.path.abspath(found)


def assemble_prometheus(
    spec: Spec,
    dashboard: DashboardPart | None,
    paths: StatePaths,
    credentials: Credentials | None,
    env: Mapping[str, str],
    ports: PortAllocator,
    events: EventLog,
    clock: Clock,
) -> PrometheusPart | None:
    """None where none is wanted. Writes its configuration. Raises HostError when it cannot be run."""
    if not spec.prometheus.enabled or dashboard is None:
        return None
    binary = find_prometheus(spec.prometheus)
    # Here, so that a controller without one does not carry them and what writes YAML.
    from colonnade.observe.prometheus.config import CONFIG_FILE, RULES_FILE, Watched, config_text
    from colonnade.observe.prometheus.rules import rules_text

    root, store = paths.prometheus, paths.prometheus / "data"
    make_directory(root, mode=0o711 if credentials else 0o700)
    owner = (credentials.user_id, credentials.group_id) if credentials else None
    make_directory(store, mode=0o700, owner=owner)
    watched = Watched(spec.system.name, dashboard.url.removeprefix("http://"), spec.prometheus.interval_s)
    texts = {CONFIG_FILE: config_text(watched), RULES_FILE: rules_text()}
    has_new_text = [_write(root / name, text) for name, text in texts.items()]
    argv = [binary, f"--config.file={root / CONFIG_FILE}", *_storage(spec.prometheus, store), "--log.level=warn"]

    record = root / "process.json"
    address = listen_address(spec.prometheus, root, ports, is_running=record.exists())
    argv.append(f"--web.listen-address={address}")
    command = Command(argv, root, env, paths.logs / f"{NAME}.log", credentials)
    process = SideProcess(NAME, record, lambda: nullcontext(command), events, clock)
    return PrometheusPart(process, f"http://{address}", has_new_text=any(has_new_text))


def listen_address(spec: PrometheusSpec, root: Path, ports: PortAllocator, *, is_running: bool) -> ListenAddress:
    """As declared; else where it was before; else at a port of its own, which is then kept. Raises HostError when the
    declared one is another's."""
    if spec.listen is not None:
        declared = parse_listen(spec.listen)
        if not is_running and not is_free(declared.host, declared.port):
            raise HostError(
                f"port {declared.port} is taken by another program",
                subject=str(declared),
                hint=f"see which: `ss -ltnp 'sport = :{declared.port}'`; stop it, or set another [prometheus] listen",
            )
        return declared
    known = read_json(root / "address.json")
    if known is not None and (is_running or is_free(str(known["host"]), int(known["port"]))):
        return ListenAddress(str(known["host"]), int(known["port"]))
    chosen = ListenAddress("127.0.0.1", ports.take())
    write_json_durably(root / "address.json", {"host": chosen.host, "port": chosen.port})
    return chosen


def _storage(spec: PrometheusSpec, store: Path) -> list[str]:
    return [
        f"--storage.tsdb.path={store}",
        f"--storage.tsdb.retention.time={duration_text(spec.keep_s)}",
        f"--storage.tsdb.retention.size={spec.size_bytes_max}B",
    ]


def _write(path: Path, text: str) -> bool:
    """True when something else stood there."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    write_durably(path, text)
    return True
