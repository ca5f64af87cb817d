"""What stands between clients and nodes in a story: endpoints with moods, and sessions that outlive a change."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from colonnade.core.errors import DriverUnavailable
from colonnade.database.fake_world import FakeWorld
from colonnade.database.state import NodeName, Routes


@dataclass
class Gateway:
    """`Endpoints` that outlive controllers. What they lead to is what clients get, whatever the controller wished."""

    primary: NodeName | None = None
    standbys: tuple[NodeName, ...] = ()
    mood: str = "well"
    """`well`; `refuses`: raises; `hangs`: answers when it is well again, and does what it was asked only then."""
    shut: list[NodeName | None] = field(default_factory=list)
    """Primaries whose sessions are to be ended."""
    _recovered: asyncio.Event = field(default_factory=asyncio.Event)

    async def publish(self, routes: Routes) -> None:
        if self.mood == "refuses":
            raise DriverUnavailable("does not answer", subject="dbgate", hint="it is asked again")
        while self.mood == "hangs":
            self._recovered.clear()
            await self._recovered.wait()
        if routes.primary_name != self.primary:
            self.shut.append(self.primary)
        self.primary = routes.primary_name
        self.standbys = tuple(name for name, _ in routes.standbys)

    def lead_nowhere(self) -> bool:
        return False

    def recover(self) -> None:
        self.mood = "well"
        self._recovered.set()


@dataclass
class Sessions:
    """Clients that are connected: to a run of a node, not to whoever is primary."""

    world: FakeWorld
    gateway: Gateway
    open: list[tuple[NodeName, int]] = field(default_factory=list)

    def write(self, choice: int) -> None:
        """Somebody commits: on a session that is there, or on a new one."""
        self._end_shut()
        if (not self.open or choice % 3 == 0) and (name := self.gateway.primary) is not None:
            self.open = [*self.open[-3:], (name, self.world.nodes[name].run)]
        if self.open:
            name, run = self.open[choice % len(self.open)]
            node = self.world.nodes.get(name)
            if node is not None and node.run == run:
                self.world.write(name)

    def _end_shut(self) -> None:
        shut, self.gateway.shut = self.gateway.shut, []
        self.open = [(name, run) for name, run in self.open if name not in shut]
