"""The loop: observe, decide, apply, emit.

Everything that matters is in the record on disk and in the nodes themselves, so a controller may be killed between
any two lines of this file; its successor looks and goes on. What each action does is the driver's; which one is next
is `decide`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import assert_never

from colonnade.core.clock import Clock
from colonnade.core.decision import Decision
from colonnade.core.errors import ColonnadeError, DriverError, DriverUnavailable, HostError, SpecError
from colonnade.core.events import EventLog
from colonnade.database import actions as act
from colonnade.database.actions import Action, goals_of
from colonnade.database.config import acknowledgements_of, check_parameters
from colonnade.database.decide import Cluster, decide
from colonnade.database.driver import DatabaseDriver, Endpoints
from colonnade.database.failover import FailoverStopwatch
from colonnade.database.record import RecordStore
from colonnade.database.state import (
    NODE_NAMES,
    ClusterRecord,
    DatabaseView,
    NodeName,
    NodeState,
    ObservedNode,
    Promotion,
    PromotionPhase,
    Routes,
    Routing,
    Stage,
    Standing,
    state_of,
)
from colonnade.database.transitions import transition
from colonnade.database.view import view_of
from colonnade.spec.model import DatabaseSpec

START_S_MAX = 300.0
"""How long `start` waits for a primary that takes writes; crash recovery of a busy database takes minutes."""

START_FAILURES_MAX = 3
"""A primary that died this often before it answered is reported with its own words."""

STOP_GRACE_S = 10.0
"""For a last checkpoint; then the servers are killed, and recover at the next start."""

RETRY_S = 0.25
"""After an engine did not answer or refused."""


class DatabaseController:
    """Keeps one primary that takes writes and its standbys streaming. Create it, `start`, then `run`."""

    def __init__(
        self,
        spec: DatabaseSpec,
        driver: DatabaseDriver,
        endpoints: Endpoints,
        events: EventLog,
        clock: Clock,
        *,
        store: RecordStore,
    ) -> None:
        check_parameters(spec.parameters)
        self._spec = spec
        self._driver = driver
        self._endpoints = endpoints
        self._events = events
        self._clock = clock
        self._store = store
        self._record = _new_record(spec)
        self._published: Routing | None = None
        self._cluster = Cluster(self._record, {name: ObservedNode(name) for name in self._record.members})
        self._decision: Decision[Action] = Decision((), "not_started", "the database was not started yet")
        self._woken = asyncio.Event()
        self._woken_at_s: float | None = None
        self._stopwatch: FailoverStopwatch | None = None
        driver.set_waker(self.wake)

    # What the composition root calls.

    async def start(self) -> None:
        """Create, start or adopt the cluster; returns when clients are led to a primary that takes writes.

        Raises SpecError, HostError or DriverError with a hint when that cannot be."""
        await self.open()
        deadline = self._clock.monotonic() + START_S_MAX
        while self._published is None or self._published.primary is None:
            decision = await self.tick()
            self._give_up_if_hopeless(decision, deadline)
            await self._pause(decision.recheck_after_s)

    async def open(self) -> None:
        """The part of `start` before the first tick: look at the machine, adopt what runs, read the record."""
        await self._driver.open()
        stored = self._store.load()
        if stored is not None:
            self._record = stored
            _check_unchanged(stored, self._spec)
        else:
            await self._check_nothing_is_lost()
            self._store.save(self._record)

    async def run(self) -> None:
        """Tick at our own pace until cancelled."""
        while True:
            try:
                pause_s = (await self.tick()).recheck_after_s
            except ColonnadeError as error:
                self._emit("decision_failed", "database", error_reason(error), str(error))
                pause_s = RETRY_S
            except Exception as error:  # noqa: BLE001 - the outermost loop: a bug here must not end the watch
                self._emit("decision_failed", "database", "bug", f"{type(error).__name__}: {error}")
                pause_s = RETRY_S
            await self._pause(pause_s)

    async def stop(self) -> None:
        """Stop all servers, the primary first so that the standbys get its last WAL. Bounded; nothing is left."""
        with contextlib.suppress(ColonnadeError):  # the gateway may be stopped already
            await self._publish(Routing(None, ()))
        await self._driver.stop(self._record.primary, grace_period_s=STOP_GRACE_S)
        others = [name for name in self._record.members if name != self._record.primary]
        await asyncio.gather(*(self._driver.stop(name, grace_period_s=STOP_GRACE_S) for name in others))
        await self._driver.close()
        self._emit("database_stopped", "database", "stop_requested", "all nodes are stopped")

    async def abandon(self) -> None:
        """Let go of everything and leave the servers running, for a successor to adopt."""
        await self._driver.close()

    def view(self) -> DatabaseView:
        """The last look, for `status`; before the first one, nodes of which nothing is known."""
        cluster = replace(self._cluster, record=self._record, published=self._published)
        return view_of(cluster, self._decision, self._stopwatch.report() if self._stopwatch else None)

    def wake(self) -> None:
        """Tick at once: something ended."""
        if self._woken_at_s is None:
            self._woken_at_s = self._clock.monotonic()
        self._woken.set()

    # One tick.

    async def tick(self) -> Decision[Action]:
        """Look, decide, act. Raises what an action raised; the next tick looks again."""
        self._woken.clear()
        nodes = await self._driver.observe()
        cluster = Cluster(self._record, nodes, self._published)
        decision = decide(cluster, self._clock.monotonic())
        if decision.reason != self._decision.reason:
            self._emit("database_assessed", "database", decision.reason, decision.message)
        self._tell_exits(cluster)
        self._cluster, self._decision = cluster, decision
        self._measure(decision)
        self._woken_at_s = None
        states = {name: state_of(node, self._record) for name, node in nodes.items()}
        for action in decision.actions:
            _check(action, states)
            await self._apply(action)
            self._note(action, decision)
        return decision

    async def _apply(self, action: Action) -> None:
        driver = self._driver
        match action:
            case act.CreateCluster():
                system_id = await driver.create()
                self._save(replace(self._record, system_id=system_id, stage=Stage.PREPARED))
            case act.PrepareDatabase(node):
                await driver.prepare(node)
                self._save(replace(self._record, stage=Stage.READY))
            case act.StartPrimary(node):
                await driver.start_primary(node)
            case act.StartStandby(node, upstream):
                await driver.start_standby(node, upstream)
            case act.Fence(node):
                await driver.fence(node)
            case act.Quiesce(nodes):
                for node in nodes:
                    await driver.quiesce(node)
            case act.EndSessions(node):
                await driver.end_sessions(node)
            case act.Follow(node, upstream):
                await driver.follow(node, upstream)
            case act.IntendPromotion():
                self._save(_intended(self._record, action))
            case act.Promote(node):
                await driver.promote(node)
            case act.KeepHistory(node):
                await driver.keep_history(node)
            case act.OpenFor(_, process_key):
                self._save(_opened(self._record, process_key))
            case act.Publish(routing):
                await self._publish_if_possible(routing)
            case act.Disqualify(node):
                self._save(self._record.with_standing(node, Standing.FENCED))
            case act.Admit(node):
                self._admit(node)
            case act.Rejoin(node, upstream, generation):
                driver.rejoin(node, upstream, generation)
            case act.Clone(node, upstream, generation):
                driver.clone(node, upstream, generation)
            case _:
                assert_never(action)

    def _admit(self, node: NodeName) -> None:
        admitted = self._record.with_standing(node, Standing.VOTER)
        if self._record.standing[node] is Standing.VOTER:
            # Only that it was found on the primary's history is new: forgetting that costs a second look, and a
            # failover does not wait for the disk. The next save takes it along.
            self._record = admitted
        else:
            self._save(admitted)

    def _save(self, record: ClusterRecord) -> None:
        """Durable first, believed second: a decision that cannot be recorded is not taken."""
        self._store.save(record)
        self._record = record

    async def _publish_if_possible(self, routing: Routing) -> None:
        """A gateway that does not answer is tried again at the next tick; it must not hold up a failover."""
        try:
            await self._publish(routing)
        except DriverUnavailable as error:
            self._emit("endpoints_unavailable", "database", "gateway_does_not_answer", str(error))

    async def _publish(self, routing: Routing) -> None:
        addresses = {name: node.address for name, node in self._cluster.nodes.items() if node.address is not None}
        routes = Routes(
            primary=addresses.get(routing.primary) if routing.primary else None,
            standbys=tuple((name, addresses[name]) for name in routing.standbys if name in addresses),
            nodes=tuple((name, addresses[name]) for name in self._record.members if name in addresses),
            primary_name=routing.primary,
        )
        await self._endpoints.publish(routes)
        self._published = routing

    async def _pause(self, duration_s: float | None) -> None:
        if self._woken.is_set():
            return
        if not duration_s:
            await asyncio.sleep(0)
            return
        sleeper = asyncio.ensure_future(self._clock.sleep(duration_s))
        waker = asyncio.ensure_future(self._woken.wait())
        try:
            await asyncio.wait({sleeper, waker}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeper.cancel()
            waker.cancel()

    # Starting.

    async def _check_nothing_is_lost(self) -> None:
        """Data without a record is somebody's: it is never taken for an empty place."""
        nodes = await self._driver.observe()
        if found := [name for name, node in nodes.items() if node.exists]:
            raise HostError(
                f"there is data of {', '.join(found)} and no record of what it is",
                subject="database",
                hint="put record.json back beside nodes/, or move nodes/ away to begin anew",
            )

    def _give_up_if_hopeless(self, decision: Decision[Action], deadline: float) -> None:
        primary = self._cluster.primary
        if primary.failures >= START_FAILURES_MAX and not primary.is_running:
            raise DriverError(
                f"died {primary.failures} times before it answered",
                subject=f"database/{primary.name}",
                hint=f"read its log, db-{primary.name}.log; are all [database.parameters] right?",
            )
        if decision.reason == "data_lost_and_no_quorum":
            raise HostError(
                decision.message, subject="database", hint="restore a backup, or put the data directory back"
            )
        if self._clock.monotonic() > deadline:
            raise DriverUnavailable(
                f"no primary takes writes after {START_S_MAX:g} s: {decision.message}",
                subject="database",
                hint="read the nodes' logs; a long crash recovery goes on meanwhile",
            )

    # Telling.

    def _note(self, action: Action, decision: Decision[Action]) -> None:
        kind = act.EVENT_KINDS.get(type(action))
        if kind is not None:
            node = getattr(action, "node", None)
            self._emit(kind, f"database/{node}" if node else "database", decision.reason, decision.message)
        now = self._clock.monotonic()
        if self._stopwatch is not None:
            if isinstance(action, act.Fence) and self._stopwatch.phase == "fence":
                self._stopwatch.enter("elect", now)
            elif isinstance(action, act.Promote):
                self._stopwatch.enter("reroute", now)
                self._stopwatch.new_primary = action.node
            elif isinstance(action, act.Publish) and action.routing.primary is not None:
                self._stopwatch.enter("rejoin", now)

    def _tell_exits(self, cluster: Cluster) -> None:
        for name, node in cluster.nodes.items():
            before = self._cluster.nodes[name]
            if before.is_running and not node.is_running and not node.is_proved_dead:
                again = f", for the {node.failures}. time before it answered" if node.failures else ""
                message = f"the server {before.pid} ended{again}; its last words are in db-{name}.log"
                self._emit("node_exited", f"database/{name}", "process_ended", message)

    def _measure(self, decision: Decision[Action]) -> None:
        now = self._clock.monotonic()
        watch = self._stopwatch
        if decision.reason == "primary_died" and (watch is None or watch.is_finished or watch.phase == "rejoin"):
            began_s = self._woken_at_s if self._woken_at_s is not None else now
            self._stopwatch = FailoverStopwatch(self._clock.wall(), self._record.primary, began_s)
            self._stopwatch.enter("fence", now)
        if self._stopwatch is None or self._stopwatch.is_finished:
            return
        if decision.reason == "candidate_elected":
            self._stopwatch.enter("promote", now)
        elif decision.reason == "all_well":
            self._stopwatch.finish(now)
            report = self._stopwatch.report()
            split = ", ".join(f"{phase} {seconds * 1000:.0f} ms" for phase, seconds in report.phases_s.items())
            message = f"{report.old_primary} → {report.new_primary} in {report.total_s:.2f} s ({split})"
            self._emit("failover_finished", "database", "all_members_stream", message)

    def _emit(self, kind: str, subject: str, reason: str, message: str) -> None:
        self._events.emit(kind, subject, reason=reason, message=message)


def error_reason(error: ColonnadeError) -> str:
    return "try_again" if error.retry_after_s is not None else "refused"


def _check(action: Action, states: dict[NodeName, NodeState]) -> None:
    """Raises IllegalTransition before anything is done that the table does not know."""
    for name, goal in goals_of(action):
        transition(states[name], goal)
        states[name] = goal


def _new_record(spec: DatabaseSpec) -> ClusterRecord:
    members = tuple(NODE_NAMES[: 1 + spec.standbys])
    return ClusterRecord(
        members=members,
        primary=members[0],
        standing=dict.fromkeys(members, Standing.VOTER),
        acknowledgements=acknowledgements_of(spec),
        joined=dict.fromkeys(members, 1),
    )


def _check_unchanged(record: ClusterRecord, spec: DatabaseSpec) -> None:
    """Who votes, and how many must, cannot be changed by editing the declaration: elections rest on it."""
    if len(record.members) != 1 + spec.standbys:
        raise SpecError(
            f"this database has {len(record.members) - 1} standbys, the declaration says {spec.standbys}",
            subject="database.standbys",
            hint=f"set standbys = {len(record.members) - 1}; changing the number is not possible yet",
        )
    if record.acknowledgements != acknowledgements_of(spec):
        raise SpecError(
            f"commits of this database wait for {record.acknowledgements} standbys, "
            f"the declaration says {acknowledgements_of(spec)}",
            subject="database.durability",
            hint="set durability and quorum_size back; changing them is not possible yet",
        )


def _intended(record: ClusterRecord, action: act.IntendPromotion) -> ClusterRecord:
    """The node becomes the record's primary in a new generation, and whom it replaces loses its standing."""
    promotion = Promotion(action.node, action.replaces, PromotionPhase.INTENDED, dict(action.positions))
    generation = record.generation + 1
    return replace(
        record,
        primary=action.node,
        standing={**record.standing, action.replaces: Standing.FENCED},
        generation=generation,
        joined={**record.joined, action.node: generation},
        promotion=promotion,
        opened_for="",
    )


def _opened(record: ClusterRecord, process_key: str) -> ClusterRecord:
    promotion = record.promotion
    if promotion is not None:
        promotion = replace(promotion, phase=PromotionPhase.CONFIRMED, positions={})
    return replace(record, opened_for=process_key, promotion=promotion)
