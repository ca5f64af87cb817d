"""What shows the system must not keep a controller from looking after what serves already."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from colonnade.core.clock import SystemClock
from colonnade.core.errors import HostError
from colonnade.core.events import EventLog
from colonnade.core.ports import PortAllocator
from colonnade.spec.model import Spec
from colonnade.system.accepted import Accepted
from colonnade.system.assemble import _beside
from colonnade.system.keeper_link import KeeperLink, PortTaken
from colonnade.system.paths import StatePaths

SPEC = Spec.model_validate({"dashboard": {"listen": "127.0.0.1:9000"}})


class KeeperWithoutPorts:
    """Every port is another program's."""

    descriptors: dict[str, int] = {}  # noqa: RUF012 — nobody writes into it

    def lost_addresses(self) -> dict[str, tuple[str, int]]:
        return {}

    def listen(self, name: str, host: str, port: int, *, key: str = "") -> tuple[str, int]:
        raise PortTaken(f"port {port} is taken", subject=name, hint=key)


def beside(directory: Path, events: EventLog, *, was_running: bool) -> Any:
    accepted = Accepted(directory, "", was_running=was_running)
    keeper, ports = cast("KeeperLink", KeeperWithoutPorts()), PortAllocator("")
    paths = StatePaths(directory / "state")
    return asyncio.run(_beside(SPEC, accepted, paths, None, {}, keeper, ports, events, SystemClock()))


def test_a_first_start_is_refused_when_the_dashboard_gets_no_port(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="9000 is taken"):
        beside(tmp_path, EventLog(SystemClock()), was_running=False)


def test_a_system_that_serves_is_adopted_without_its_dashboard(tmp_path: Path) -> None:
    events = EventLog(SystemClock())
    assert beside(tmp_path, events, was_running=True) == (None, None)
    (event,) = events.recent()
    assert event.kind == "part_left_out"
    assert "9000 is taken" in event.message
