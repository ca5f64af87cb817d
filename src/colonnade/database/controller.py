"""The loop: observe, decide, apply, emit.

Everything that matters is in the record on disk and in the nodes themselves, so a controller may be killed between
any two lines of this file; its successor looks and goes on. What each action does is the driver's; which one is next
is `decide`'s.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import assert_never

from colonnade.core.clock import Clock
from colonnade.core.decision import Decision
from colonnade.core.errors import ColonnadeError, DriverError, DriverUnavailable, HostError
from colonnade.core.events import EventLog
from colonnade.core.transitions import edge
from colonnade.database import actions as act
from colonnade.database import recording
from colonnade.database.actions import Action, goals_of
from colonnade.database.cluster import Cluster
from colonnade.database.config import acknowledgements_of, check_parameters
from colonnade.database.decide import decide
from colonnade.database.driver import DatabaseDriver, Endpoints
from colonnade.database.publisher import Publisher
from colonnade.database.record import RecordStore
from colonnade.database.requests import Requests
from colonnade.database.state import (
    ClusterRecord,
    DatabaseView,
    NodeName,
    NodeState,
    ObservedNode,
    Routes,
    Routing,
    Stage,
    Standing,
    Wanted,
    state_of,
)
from colonnade.database.symptoms import Symptoms, note
from colonnade.database.telling import Teller
from colonnade.database.transitions import TRANSITIONS
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

CLOSE_S_MAX = 2.0
"""For the endpoints to let go of clients when everything stops."""


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
        self._driver = driver
        self._clock = clock
        self._store = store
        self._teller = Teller(events, clock)
        self._publisher = Publisher(endpoints, events, clock, self._published)
        self._record = recording.new_record(spec)
        self._wanted = Wanted(spec.standbys, acknowledgements_of(spec))
        self._symptoms = Symptoms()
        self.requests = Requests(self, driver, clock, spec)
        self._cluster = Cluster(self._record, {name: ObservedNode(name) for name in self._record.members})
        self._decision: Decision[Action] = Decision((), "not_started", "the database was not started yet")
        self._woken = asyncio.Event()
        self._woken_at_s: float | None = None
        driver.set_waker(self.wake)

    # What the composition root calls.

    async def start(self) -> None:
        """Create, start or adopt the cluster; returns when clients are led to a primary that takes writes.

        Raises SpecError, HostError or DriverError with a hint when that cannot be."""
        await self.open()
        deadline = self._clock.monotonic() + START_S_MAX
        while self._publisher.published is None or self._publisher.published.primary is None:
            decision = await self.tick()
            self._give_up_if_hopeless(decision, deadline)
            await self._pause(decision.recheck_after_s)

    async def open(self) -> None:
        """The part of `start` before the first tick: look at the machine, adopt what runs, read the record."""
        stored = self._store.load()
        if stored is not None:
            self._record = stored
        self._driver.configure(self._record)
        await self._driver.open()
        if stored is None:
            await self._check_nothing_is_lost()
            self._store.save(self._record)
        self._publisher.open()

    async def run(self) -> None:
        """Tick at our own pace until cancelled."""
        while True:
            try:
                pause_s = (await self.tick()).recheck_after_s
            except ColonnadeError as error:
                self._teller.emit("decision_failed", "database", error_reason(error), str(error))
                pause_s = RETRY_S
            except Exception as error:  # noqa: BLE001 - the outermost loop: a bug here must not end the watch
                self._teller.emit("decision_failed", "database", "bug", f"{type(error).__name__}: {error}")
                pause_s = RETRY_S
            await self._pause(pause_s)

    async def stop(self) -> None:
        """Stop all servers, the primary first so that the standbys get its last WAL. Bounded; nothing is left."""
        self._publish(Routing(None, ()))
        await self._publisher.settle(CLOSE_S_MAX)  # the gateway may be stopped already
        await self._publisher.close()
        await self._driver.stop(self._record.primary, grace_period_s=STOP_GRACE_S)
        others = [name for name in self._record.members if name != self._record.primary]
        await asyncio.gather(*(self._driver.stop(name, grace_period_s=STOP_GRACE_S) for name in others))
        await self._driver.close()
        self._teller.emit("database_stopped", "database", "stop_requested", "all nodes are stopped")

    async def abandon(self) -> None:
        """Let go of everything and leave the servers running, for a successor to adopt."""
        await self._publisher.close()
        await self._driver.close()

    def view(self) -> DatabaseView:
        """The last look, for `status`; before the first one, nodes of which nothing is known."""
        nodes = {name: self._cluster.nodes.get(name, ObservedNode(name)) for name in self._record.members}
        cluster = replace(self._cluster, record=self._record, nodes=nodes, published=self._publisher.published)
        return view_of(cluster, self._decision, self._teller.report())

    def wake(self) -> None:
        """Tick at once: something ended."""
        if self._woken_at_s is None:
            self._woken_at_s = self._clock.monotonic()
        self._woken.set()

    @property
    def cluster(self) -> Cluster:
        """The last look, for whoever asks something of it."""
        return self._cluster

    def want(self, spec: DatabaseSpec) -> None:
        """From now on these members and this quorum are worked towards. Raises SpecError when that cannot be."""
        self._wanted = Wanted(spec.standbys, acknowledgements_of(spec))
        self.wake()

    # One tick.

    async def tick(self) -> Decision[Action]:
        """Look, decide, act. Raises what an action raised; the next tick looks again."""
        self._woken.clear()
        nodes = await self._driver.observe()
        now = self._clock.monotonic()
        self._symptoms = note(self._symptoms, self._record, nodes, now)
        cluster = Cluster(
            self._record,
            nodes,
            self._publisher.published,
            self._symptoms,
            self._wanted,
            self.requests.current,
            self._driver.disk(),
        )
        decision = decide(cluster, now)
        before, self._cluster, self._decision = self._cluster, cluster, decision
        noticed_at_s = self._woken_at_s if self._woken_at_s is not None else now
        self._teller.assessed(before, cluster, decision, noticed_at_s)
        self._woken_at_s = None
        states = {name: state_of(node, self._record) for name, node in nodes.items()}
        for action in decision.actions:
            _check(action, states)
            await self._apply(action, decision)
            self._teller.done(action, decision)
        await self._publisher.settle()
        return self._slowed(decision)

    def _slowed(self, decision: Decision[Action]) -> Decision[Action]:
        """When all that is left to do is waiting for the endpoints, their end wakes us."""
        is_waiting = decision.actions and all(isinstance(action, act.Publish) for action in decision.actions)
        published = self._publisher.published
        if is_waiting and decision.actions[-1] != act.Publish(published or Routing(None, ())):
            return replace(decision, recheck_after_s=max(decision.recheck_after_s or 0.0, RETRY_S))
        return decision

    async def _apply(self, action: Action, decision: Decision[Action]) -> None:
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
                self._save(recording.intended(self._record, action))
            case act.Promote(node):
                await driver.promote(node)
            case act.KeepHistory(node):
                await driver.keep_history(node)
            case act.OpenFor(_, process_key):
                self._save(recording.opened(self._record, process_key))
            case act.Publish(routing):
                self._publish(routing)
            case act.Disqualify(node):
                self._save(self._record.with_standing(node, Standing.FENCED))
            case act.Admit(node):
                self._admit(node)
            case act.Rejoin(node, upstream, generation):
                driver.rejoin(node, upstream, generation)
            case act.Clone(node, upstream, generation):
                driver.clone(node, upstream, generation)
            case act.EndRequest(is_done):
                self.requests.end(decision.message, is_done=is_done)
            case act.NoteCause(symptom, node):
                self._symptoms = self._symptoms.acted(symptom, node, self._clock.monotonic())
            case act.ReleaseBallast() | act.RefillBallast():
                await driver.set_ballast(is_there=isinstance(action, act.RefillBallast))
            case act.ProbeLinks():
                await driver.probe_links()
            case (
                act.AddMember()
                | act.Leave()
                | act.Forget()
                | act.SetAcknowledgements()
                | act.Reconfigure()
                | act.RestartWalsenders()
            ):
                await self._change_members(action)
            case _:
                assert_never(action)

    async def _change_members(
        self,
        action: act.AddMember
        | act.Leave
        | act.Forget
        | act.SetAcknowledgements
        | act.Reconfigure
        | act.RestartWalsenders,
    ) -> None:
        """Recorded first: what an election counts on is never behind what the servers do."""
        record = self._record
        match action:
            case act.AddMember(node):
                self._save(recording.added(record, node))
            case act.Leave(node):
                self._save(record.with_standing(node, Standing.LEAVING))
            case act.Forget(node):
                self._save(recording.forgotten(record, node))
                await self._driver.remove(node)
            case act.SetAcknowledgements(waits_for, acknowledgements):
                self._save(replace(record, waits_for=waits_for, acknowledgements=acknowledgements))
            case act.Reconfigure(node):
                await self._driver.reconfigure(node)
            case act.RestartWalsenders(node):
                await self._driver.restart_walsenders(node)

    def _admit(self, node: NodeName) -> None:
        record = self._record
        if record.standing[node] is Standing.LEAVING:
            self._record = replace(record, joined={**record.joined, node: record.generation})
            return
        admitted = record.with_standing(node, Standing.VOTER)
        if record.standing[node] is Standing.VOTER and not record.opened_for:
            # Only that it was found on the primary's history is new. No client is there yet, so forgetting that costs a
            # second look, and a failover does not wait for the disk. Opening the endpoint writes it down.
            self._record = admitted
        else:
            self._save(admitted)

    def _save(self, record: ClusterRecord) -> None:
        """Durable first, believed second: a decision that cannot be recorded is not taken."""
        self._store.save(record)
        self._record = record
        self._driver.configure(record)

    def _publish(self, routing: Routing) -> None:
        addresses = {name: node.address for name, node in self._cluster.nodes.items() if node.address is not None}
        routes = Routes(
            primary=addresses.get(routing.primary) if routing.primary else None,
            standbys=tuple((name, addresses[name]) for name in routing.standbys if name in addresses),
            nodes=tuple((name, addresses[name]) for name in self._record.members if name in addresses),
            primary_name=routing.primary,
        )
        self._publisher.begin(routing, routes)

    def _published(self, routing: Routing) -> None:
        self._teller.published(routing)
        self._woken.set()

    async def _pause(self, duration_s: float | None) -> None:
        if self._woken.is_set():
            return
        if not duration_s:
            await asyncio.sleep(0)
            return
        await self._clock.wait(self._woken, duration_s)

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
        if decision.reason == "disk_full":
            raise HostError(decision.message, subject="database", hint="free some room; `df -h` tells where")
        if self._clock.monotonic() > deadline:
            raise DriverUnavailable(
                f"no primary takes writes after {START_S_MAX:g} s: {decision.message}",
                subject="database",
                hint="read the nodes' logs; a long crash recovery goes on meanwhile",
            )


def error_reason(error: ColonnadeError) -> str:
    return "try_again" if error.retry_after_s is not None else "refused"


def _check(action: Action, states: dict[NodeName, NodeState]) -> None:
    """Raises IllegalTransition before anything is done that the table does not know."""
    for name, goal in goals_of(action):
        edge(TRANSITIONS, states[name], goal, subject=name)
        states[name] = goal
