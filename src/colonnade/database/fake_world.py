"""Servers in memory: what they hold, what is on its way between them, and all that can happen to them.

A node's WAL is a list of records, each with the timeline it was written on; an LSN is a count of records. What a
primary has sent stays in a socket until it is received, and it can be received after the sender's death: that is what
makes elections hard. Time does not pass here: `FakeWorld.step` moves one thing that was under way, in an order that
the caller chooses.

What it leaves out: partial records, checkpoints, clients' sessions. Read next: `fake.py`, the driver on it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from colonnade.database.quorum import synchronous_names
from colonnade.database.state import Fork, NodeName, Position


@dataclass(frozen=True, slots=True)
class Write:
    """One record of the WAL: `number` is what a client wrote, or None for the mark of a promotion."""

    timeline: int
    number: int | None


@dataclass(frozen=True, slots=True)
class Quorum:
    """synchronous_standby_names: how many of whom."""

    acknowledgements: int
    names: tuple[NodeName, ...]

    def __str__(self) -> str:
        return synchronous_names(self.acknowledgements, self.names)


NO_QUORUM = Quorum(0, ())


@dataclass(slots=True)
class FakeNode:
    """One server with its directory. The directory (`exists`, `wal`, `forks`, `is_marked`) survives its death."""

    name: NodeName
    exists: bool = False
    wal: list[Write] = field(default_factory=list)
    forks: tuple[Fork, ...] = ()
    timeline: int = 1
    is_marked: bool = False
    """standby.signal is there."""
    is_running: bool = False
    run: int = 0
    """Counts its starts: the process's identity."""
    is_answering: bool = False
    in_recovery: bool = True
    upstream: NodeName | None = None
    socket: list[Write] = field(default_factory=list)
    socket_forks: tuple[tuple[Fork, ...], int] | None = None
    connected_to: NodeName | None = None
    """Where its WAL receiver is connected; outlives the order to follow nobody, and the primary's death, by a step."""
    connected_run: int = 0
    """To which run of it: the one that is started after a death knows nothing of the connection."""
    opening_lsn: int | None = None
    is_proved_dead: bool = False
    dead_since_s: float | None = None
    operation: str = ""
    source: NodeName = ""
    generation: int = 0
    restored_generation: int = 0
    failures: int = 0
    answered: bool = False
    came_up_with: int = 0
    """How much WAL it had when it left recovery, or was started outside of it: visible whether or not anybody else
    has it, for no COMMIT waits there any more."""
    is_frozen: bool = False
    """Stopped by a signal: it neither answers, sends nor receives, and goes on when it is thawed."""
    is_visibly_frozen: bool = False
    quorum: Quorum = NO_QUORUM
    """What its configuration says."""
    walsender_quorum: Quorum = NO_QUORUM
    """Of its connection to its source: what the walsender there goes by. A reload reaches it a step later."""

    @property
    def is_serving(self) -> bool:
        """Answers, sends and takes writes or reads."""
        return self.is_running and self.is_answering and not self.is_frozen

    @property
    def position(self) -> Position:
        return Position(self.timeline, len(self.wal), self.forks)

    def numbers(self) -> list[int]:
        return [write.number for write in self.wal if write.number is not None]


class FakeWorld:
    """All nodes, the clients' writes, and what the outside can do to them. It outlives controllers."""

    def __init__(self, members: Sequence[NodeName], acknowledgements: int) -> None:
        self.nodes = {name: FakeNode(name) for name in members}
        self.quorum = Quorum(acknowledgements, tuple(members))
        """What every configuration written from now on says."""
        self.cut: set[tuple[NodeName, NodeName]] = set()
        """(standby, source): that standby does not reach that source."""
        self.late: list[tuple[NodeName, int, Callable[[], None]]] = []
        """(who, in which run, what): asked for, and not done by the time that somebody stopped waiting."""
        self.failing_starts: dict[NodeName, int] = {}
        """How many of its next starts end before it has answered."""
        self.free_bytes = 10**10
        self.has_ballast = True
        self.acknowledged: dict[int, int] = {}
        """Number → at which LSN it was acknowledged."""
        self.kept_histories: dict[int, tuple[Fork, ...]] = {}
        self.written = 0

    # Clients.

    def write_own(self, name: NodeName) -> None:
        """What a primary writes for itself: checkpoints, which transactions run."""
        node = self.nodes[name]
        if node.is_serving and not node.in_recovery:
            node.wal.append(Write(node.timeline, None))

    def write(self, name: NodeName) -> int | None:
        """A client's COMMIT on this node; acknowledged once enough followers have it. None: it takes no writes."""
        node = self.nodes[name]
        if not node.is_serving or node.in_recovery:
            return None
        self.written += 1
        node.wal.append(Write(node.timeline, self.written))
        self._acknowledge()
        return self.written

    def _acknowledge(self) -> None:
        """Each walsender releases waiting COMMITs by the quorum that it knows; without one nobody waits."""
        for node in self.nodes.values():
            if not node.is_running or node.in_recovery or node.is_frozen:
                continue
            followers = self.followers_of(node.name)
            quorums = {follower.walsender_quorum for follower in followers} | ({node.quorum} - {NO_QUORUM})
            if not node.quorum.acknowledgements:
                quorums = {node.quorum}
            reached = max((_released(quorum, node, followers) for quorum in quorums), default=0)
            for lsn, write in enumerate(node.wal[:reached], start=1):
                if write.number is not None and write.timeline == node.timeline:
                    self.acknowledged.setdefault(write.number, lsn)

    def followers_of(self, name: NodeName) -> list[FakeNode]:
        """Standbys that this node counts in its quorum."""
        run = self.nodes[name].run
        return [f for f in self.nodes.values() if f.is_running and (f.connected_to, f.connected_run) == (name, run)]

    # Faults.

    def kill(self, name: NodeName) -> None:
        node = self.nodes[name]
        node.is_running = node.is_answering = node.is_frozen = node.is_visibly_frozen = False
        node.opening_lsn = node.connected_to = None
        # What was on its way to the dead is lost; what it sent to others is still on its way.
        node.socket.clear()

    def freeze(self, name: NodeName, *, is_visible: bool = True) -> None:
        """`is_visible`: by a signal, which the kernel shows; otherwise it only does not answer any more."""
        self.nodes[name].is_frozen = self.nodes[name].is_running
        self.nodes[name].is_visibly_frozen = is_visible and self.nodes[name].is_running

    def thaw(self, name: NodeName) -> None:
        self.nodes[name].is_frozen = self.nodes[name].is_visibly_frozen = False
        self._acknowledge()

    def let_late_happen(self) -> None:
        """What was asked for and timed out happens after all, if whoever was asked still runs."""
        late, self.late = self.late, []
        for name, run, effect in late:
            if self.nodes[name].run == run and self.nodes[name].is_serving:
                effect()

    def lose_data(self, name: NodeName) -> None:
        """The node dies and its directory with it."""
        self.kill(name)
        node = self.nodes[name]
        node.exists, node.wal, node.forks, node.timeline = False, [], (), 1

    # Things that take time: each call moves one of them.

    def step(self, name: NodeName, what: str) -> None:
        """`answer`: it has started. `send`, `receive`: replication. `part`: its connection ends, if it has to.
        `finish`: a clone or rewind ends. `reload`: the walsender that serves it learns of a new quorum."""
        node = self.nodes[name]
        if node.is_frozen:
            return
        match what:
            case "answer":
                if not node.is_running or node.is_answering:
                    return
                if self.failing_starts.get(name, 0) > 0:
                    self.failing_starts[name] -= 1
                    self.kill(name)
                    node.failures += 1
                    return
                node.is_answering = node.answered = True
                node.failures = 0
            case "send":
                self._send(node)
            case "receive":
                if node.is_running and node.connected_to is not None and node.socket:
                    node.wal.append(node.socket.pop(0))
                    if node.socket_forks is not None:
                        node.forks, node.timeline = _cut(node, node.socket_forks)
                    self._acknowledge()
            case "part":
                if node.connected_to is not None and not self._is_wanted(node):
                    node.connected_to = None
                    node.socket.clear()
            case "finish":
                self._finish(node)
            case "reload":
                if node.connected_to is not None:
                    node.walsender_quorum = self.nodes[node.connected_to].quorum
            case _:
                raise ValueError(what)

    def _is_wanted(self, node: FakeNode) -> bool:
        """A connection stays while it is the ordered one, and its source lives or has left something to read."""
        source = self.nodes[node.connected_to or ""]
        is_cut = (node.name, source.name) in self.cut
        lives = source.is_running and source.run == node.connected_run and not source.in_recovery and not is_cut
        return node.connected_to == node.upstream and (lives or bool(node.socket))

    def _send(self, node: FakeNode) -> None:
        source = self.nodes.get(node.upstream or "")
        if not (node.is_running and node.is_answering and node.in_recovery and source is not None):
            return
        if not source.is_serving or source.in_recovery or (node.name, source.name) in self.cut:
            return
        if node.connected_to is None:
            if not _serves_from(source, node):
                return
            node.connected_to, node.connected_run, node.socket = source.name, source.run, []
            node.socket_forks = (source.forks, source.timeline)
            node.walsender_quorum = source.quorum
            node.forks, node.timeline = _cut(node, node.socket_forks)
            self._acknowledge()
        if (node.connected_to, node.connected_run) != (source.name, source.run):
            return
        next_lsn = len(node.wal) + len(node.socket)
        if next_lsn < len(source.wal):
            node.socket.append(source.wal[next_lsn])

    def _finish(self, node: FakeNode) -> None:
        if not node.operation:
            return
        source = self.nodes[node.source]
        usable = source.is_serving and not source.in_recovery
        if usable:
            node.exists, node.is_marked = True, True
            # "No rewind required": the program compares timelines by their numbers alone.
            if node.operation == "clone" or node.timeline != source.timeline:
                node.wal, node.forks, node.timeline = list(source.wal), source.forks, source.timeline
            node.restored_generation, node.failures = node.generation, 0
        else:
            node.failures += 1
        node.operation = ""

    def fail_operation(self, name: NodeName) -> None:
        """A clone or rewind ends without success; a rewind may have left the directory half way."""
        node = self.nodes[name]
        if node.operation:
            node.failures += 1
            node.operation = ""

    def visible(self, name: NodeName) -> set[int]:
        """What a client reads on a primary: what it came up with, and of its own what was acknowledged."""
        node = self.nodes[name]
        return {w.number for w in node.wal[: node.came_up_with] if w.number is not None} | {
            number for number in self.acknowledged if number in node.numbers()
        }

    def settle(self) -> None:
        """Let everything that is under way come to its end."""
        before = None
        for _ in range(4 + 2 * max((len(node.wal) for node in self.nodes.values()), default=0)):
            for name in self.nodes:
                for what in ("answer", "finish", "part", "reload", "send", "receive"):
                    self.step(name, what)
            # A round in which nothing moved is followed by nothing else.
            now = (len(self.acknowledged), *map(_progress, self.nodes.values()))
            if now == before:
                return
            before = now


def _progress(node: FakeNode) -> tuple[object, ...]:
    """All that `settle` moves in a node."""
    life = (node.is_running, node.is_answering, node.exists, node.operation, node.failures, node.run)
    return (*life, len(node.wal), len(node.socket), node.connected_to, node.timeline, node.walsender_quorum)


def _released(quorum: Quorum, node: FakeNode, followers: Sequence[FakeNode]) -> int:
    """Up to where COMMITs are released by this quorum."""
    if not quorum.acknowledgements:
        return len(node.wal)
    flushed = sorted((len(f.wal) for f in followers if f.name in quorum.names), reverse=True)
    return flushed[quorum.acknowledgements - 1] if len(flushed) >= quorum.acknowledgements else 0


def _serves_from(source: FakeNode, node: FakeNode) -> bool:
    """Whether a server sends its WAL from where that standby is. It goes by the timelines' numbers and by where its own
    history left them: who forked elsewhere under the same number is not noticed."""
    ends = {fork.timeline: fork.ends_at for fork in source.forks} | {source.timeline: len(source.wal)}
    return node.timeline in ends and len(node.wal) <= ends[node.timeline]


def _cut(node: FakeNode, history: tuple[tuple[Fork, ...], int]) -> tuple[tuple[Fork, ...], int]:
    """The part of a history that leads to where this node is: a timeline counts once something of it was received."""
    forks, timeline = history
    passed = tuple(fork for fork in forks if fork.ends_at < len(node.wal))
    return passed, timeline if len(passed) == len(forks) else forks[len(passed)].timeline
