"""The driver and the record store in memory: they pass the contract suite of the real ones, and can misbehave."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from colonnade.core.clock import Clock
from colonnade.core.errors import DriverError, DriverUnavailable
from colonnade.database.fake_world import FakeNode, FakeWorld, Quorum, Write
from colonnade.database.record import record_from_json, record_to_json
from colonnade.database.state import Address, ClusterRecord, Disk, Follower, Fork, NodeName, ObservedNode
from colonnade.spec.model import DatabaseSpec

FIRST_PORT = 15_001


def _sync_state(follower: FakeNode) -> str:
    return "quorum" if follower.name in follower.walsender_quorum.names else "async"


class FakeDriver:
    """`DatabaseDriver` on a `FakeWorld`. Make a new one for each controller; the world is what survives.

    `before` and `after` are called with each method's name and node around its effect: raising there is a crash of
    the controller or an engine that refuses."""

    def __init__(self, world: FakeWorld, clock: Clock) -> None:
        self.world = world
        self.before: Callable[[str, NodeName], None] = lambda method, node: None
        self.after: Callable[[str, NodeName], None] = lambda method, node: None
        self.is_promotion_late = False
        """The next promotion times out, and happens later."""
        self._clock = clock
        self._members: tuple[NodeName, ...] = tuple(world.nodes)
        self._reached: dict[NodeName, frozenset[NodeName]] = {}

    def configure(self, record: ClusterRecord) -> None:
        self._members = record.members
        self.world.quorum = Quorum(record.waits_for, record.quorum_names)
        for name in record.members:
            self.world.nodes.setdefault(name, FakeNode(name))

    def set_spec(self, spec: DatabaseSpec) -> None:
        """Settings make no difference in memory."""

    async def check_settings(self, spec: DatabaseSpec) -> None:
        """Whatever is declared would start."""

    def disk(self) -> Disk | None:
        return Disk(self.world.free_bytes, self.world.has_ballast)

    async def set_ballast(self, *, is_there: bool) -> None:
        self.world.has_ballast = is_there

    def set_waker(self, wake: Callable[[], None]) -> None:
        """Nobody is woken: time stands still between ticks."""

    async def open(self) -> None:
        for node in self.world.nodes.values():
            # What an earlier controller's driver remembered is gone, and its tools are killed.
            node.is_proved_dead, node.operation, node.restored_generation = False, "", 0
            node.dead_since_s, node.failures, node.answered = None, 0, node.is_answering

    async def observe(self) -> Mapping[NodeName, ObservedNode]:
        return {name: self._observe(self.world.nodes[name]) for name in self._members}

    def _observe(self, node: FakeNode) -> ObservedNode:
        answers = node.is_serving
        if node.is_running:
            node.dead_since_s = None
        elif node.dead_since_s is None:
            node.dead_since_s = self._clock.monotonic()
        if answers and not node.in_recovery and node.opening_lsn is None:
            node.opening_lsn = len(node.wal)
        followers = [
            Follower(f.name, "streaming", _sync_state(f), len(f.wal), len(f.wal), f.walsender_quorum == node.quorum)
            for f in self.world.followers_of(node.name)
        ]
        return ObservedNode(
            name=node.name,
            exists=node.exists,
            is_running=node.is_running,
            is_proved_dead=node.is_proved_dead,
            dead_since_s=node.dead_since_s,
            operation=node.operation,
            restored_generation=node.restored_generation,
            answered_before=node.answered,
            in_recovery=node.in_recovery if answers else None,
            position=node.position if answers else None,
            replay_lsn=len(node.wal) if answers and node.in_recovery else None,
            upstream=node.upstream if answers and node.in_recovery else None,
            is_quiet=answers and node.in_recovery and node.upstream is None and node.connected_to is None,
            is_streaming=answers and node.connected_to is not None and self.world.nodes[node.connected_to].is_running,
            is_history_kept=not answers or node.in_recovery or self._is_kept(node),
            opening_lsn=node.opening_lsn if answers and not node.in_recovery else None,
            followers=tuple(followers) if answers else (),
            address=Address("127.0.0.1", FIRST_PORT + list(self.world.nodes).index(node.name)),
            pid=1000 + node.run if node.is_running else None,
            process_key=f"{node.name}.{node.run}" if node.is_running else "",
            failures=node.failures,
            is_stopped=node.is_visibly_frozen,
            quorum=str(node.quorum) if answers else None,
            reached_from=self._reached.get(node.name),
        )

    def _is_kept(self, node: FakeNode) -> bool:
        return node.timeline == 1 or node.timeline in self.world.kept_histories

    async def create(self) -> str:
        self.before("create", "")
        for name in self._members:
            node = self.world.nodes[name]
            self.world.kill(name)
            node.exists, node.wal, node.forks, node.timeline = True, [Write(1, None)], (), 1
        self.after("create", "")
        return "7000000000000000001"

    async def prepare(self, node: NodeName) -> None:
        self._effect("prepare", node, lambda: None)

    async def start_primary(self, node: NodeName) -> None:
        self._effect("start_primary", node, lambda: self._start(node, None, in_recovery=False))

    async def start_standby(self, node: NodeName, upstream: NodeName | None) -> None:
        self._effect("start_standby", node, lambda: self._start(node, upstream, in_recovery=True))

    def _start(self, name: NodeName, upstream: NodeName | None, *, in_recovery: bool) -> None:
        node = self.world.nodes[name]
        if node.is_running:
            return
        if not node.exists:
            raise DriverError("has no data directory", subject=name, hint="clone it")
        node.is_running, node.is_answering, node.connected_to = True, False, None
        node.run += 1
        node.quorum = self.world.quorum
        node.came_up_with = len(node.wal)
        node.is_marked = node.in_recovery = in_recovery
        node.upstream, node.socket, node.opening_lsn = upstream, [], None
        node.is_proved_dead, node.answered, node.restored_generation = False, False, 0

    async def fence(self, node: NodeName) -> None:
        def effect() -> None:
            self.world.kill(node)
            handle = self.world.nodes[node]
            handle.is_marked = handle.is_proved_dead = True
            if handle.exists and handle.timeline > 1:
                self.world.kept_histories.setdefault(handle.timeline, handle.forks)

        self._effect("fence", node, effect)

    async def quiesce(self, node: NodeName) -> None:
        def effect() -> None:
            self.world.nodes[node].upstream = None

        self._effect("quiesce", node, effect)

    async def end_sessions(self, node: NodeName) -> None:
        self._effect("end_sessions", node, lambda: None)

    async def follow(self, node: NodeName, upstream: NodeName) -> None:
        def effect() -> None:
            self.world.nodes[node].upstream = upstream

        self._effect("follow", node, effect)

    async def promote(self, node: NodeName) -> None:
        def effect() -> None:
            handle = self.world.nodes[node]
            if not handle.is_running or not handle.is_answering:
                raise DriverUnavailable("does not answer", subject=node, hint="it is looked at again")
            if handle.in_recovery:
                known = {handle.timeline, *self.world.kept_histories}
                handle.forks = (*handle.forks, Fork(handle.timeline, len(handle.wal)))
                handle.timeline = max(known) + 1
                handle.in_recovery = handle.is_marked = False
                handle.upstream = handle.connected_to = handle.opening_lsn = None
                handle.socket.clear()
                handle.wal.append(Write(handle.timeline, None))
                handle.came_up_with = len(handle.wal)

        if self.is_promotion_late:
            self.is_promotion_late = False
            self.world.late.append((node, self.world.nodes[node].run, effect))
            raise DriverUnavailable("was not promoted in time; it may still be", subject=node, hint="it is fenced")
        self._effect("promote", node, effect)

    async def reconfigure(self, node: NodeName) -> None:
        def effect() -> None:
            self.world.nodes[node].quorum = self.world.quorum

        self._effect("reconfigure", node, effect)

    async def restart_walsenders(self, node: NodeName) -> None:
        def effect() -> None:
            for follower in self.world.followers_of(node):
                follower.connected_to = None
                follower.socket.clear()

        self._effect("restart_walsenders", node, effect)

    async def probe_links(self) -> None:
        serving = [node.name for node in self.world.nodes.values() if node.is_serving]
        self._reached = {
            to: frozenset(name for name in serving if name != to and (name, to) not in self.world.cut) for to in serving
        }

    async def checkpoint(self, node: NodeName) -> None:
        """Costs nothing here."""

    async def remove(self, node: NodeName) -> None:
        def effect() -> None:
            self.world.lose_data(node)
            self.world.nodes[node].operation = ""

        self._effect("remove", node, effect)

    async def keep_history(self, node: NodeName) -> None:
        handle = self.world.nodes[node]
        self._effect("keep_history", node, lambda: self.world.kept_histories.update({handle.timeline: handle.forks}))

    def rejoin(self, node: NodeName, upstream: NodeName, generation: int) -> None:
        self._effect("rejoin", node, lambda: self._begin("rewind", node, upstream, generation))

    def clone(self, node: NodeName, upstream: NodeName, generation: int) -> None:
        self._effect("clone", node, lambda: self._begin("clone", node, upstream, generation))

    def _begin(self, operation: str, name: NodeName, upstream: NodeName, generation: int) -> None:
        node = self.world.nodes[name]
        if not node.operation:
            self.world.kill(name)
            node.operation, node.source, node.generation = operation, upstream, generation

    async def stop(self, node: NodeName, *, grace_period_s: float) -> None:
        self._effect("stop", node, lambda: self.world.kill(node))

    async def close(self) -> None:
        for node in self.world.nodes.values():
            node.operation = ""

    def _effect(self, method: str, node: NodeName, effect: Callable[[], None]) -> None:
        self.before(method, node)
        effect()
        self.after(method, node)


class FakeStore:
    """`RecordStore` in memory, by way of JSON like the real one. `fail` makes the disk refuse."""

    def __init__(self) -> None:
        self._value: dict[str, object] | None = None
        self.before: Callable[[], None] = lambda: None

    def load(self) -> ClusterRecord | None:
        return None if self._value is None else record_from_json(self._value)

    def save(self, record: ClusterRecord) -> None:
        record.check()
        self.before()
        self._value = record_to_json(record)
