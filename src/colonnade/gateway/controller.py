"""Keeps one HAProxy process as desired: observe, decide, apply, emit.

`apply` is for the rest of the system, `run` is the loop that restarts a dead process at once, looks twice a second,
corrects what drifted and fails open. Both act under one lock. HAProxy outlives this object: `detach` lets go of it,
`stop` ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from colonnade.core import processes
from colonnade.core.clock import Clock
from colonnade.core.decision import Decision
from colonnade.core.errors import Bug, ColonnadeError, DriverError, DriverUnavailable
from colonnade.core.events import EventLog
from colonnade.gateway import process as process_module
from colonnade.gateway.actions import Action, Reload, Restart, Settle, ShutdownSessions, SlotAction, commands_for
from colonnade.gateway.decide import decide
from colonnade.gateway.health import HealthWatch
from colonnade.gateway.process import GatewayPaths, Launcher, Running, structure_of
from colonnade.gateway.runtime_api import RuntimeApi
from colonnade.gateway.state import GatewayView, Membership, ObservedGateway
from colonnade.gateway.stopping import stop_gracefully
from colonnade.gateway.view import came_up, pool_views, went_down

Render = Callable[[Membership, Mapping[str, int]], str]
"""The text for a membership and the listeners' descriptors. Pure."""

LOOK_EVERY_S = 0.5
"""At 0.2 s looking cost 1.3 % of a core, at 0.5 s 0.45 %; deaths are seen by pidfd and by HAProxy, not by this."""

DRAIN_LOOK_EVERY_S = 0.05

QUICK_DEATH_S = 5.0
"""A process that ended sooner probably ends again: the next start waits."""

QUICK_DEATHS_FREE = 5
"""As many in a row are answered at once: somebody may be testing us, and a start costs 30 ms."""

RESTART_DELAY_S = 0.1
RESTART_DELAY_S_MAX = 5.0

ATTEMPTS_MAX = 3
"""To bring HAProxy up to date in one `apply`; it may die or be reloaded in the middle of one."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a controller is given by whoever assembles the system. `env` is complete: HAProxy inherits nothing else."""

    paths: GatewayPaths
    env: Mapping[str, str]
    events: EventLog
    clock: Clock


class GatewayController:
    """One HAProxy process. Start it, then let `run` go on beside everything else."""

    def __init__(
        self,
        name: str,
        render: Render,
        listeners: Mapping[str, int],
        surroundings: Surroundings,
        *,
        look_every_s: float = LOOK_EVERY_S,
        closes_first: str = "",
    ) -> None:
        self._look_every_s = look_every_s
        self._closes_first = closes_first
        self._name = name
        self._render = render
        self._listeners = dict(listeners)
        self._events = surroundings.events
        self._clock = surroundings.clock
        self._api = RuntimeApi(surroundings.paths.socket)
        self._launcher = Launcher(surroundings.paths, surroundings.env, surroundings.clock)
        self._health = HealthWatch()
        self._lock = asyncio.Lock()
        self._wake = asyncio.Event()
        self._running: Running | None = None
        self._desired = Membership()
        self._settled: Membership | None = None
        self._view = GatewayView()
        self._started_at_s = 0.0
        self._quick_deaths = 0
        self._is_stopping = False
        self._noted_death_of: int | None = None
        self._trouble = ""
        self._structure_known: tuple[Membership, Membership, str] | None = None
        """Of which membership, and that without its servers; rendering it at each look took half of a look's time."""
        self._last_decision: tuple[object, Decision[Action]] | None = None
        """And what it was made of: at rest two looks are the same, and to see that takes a tenth of deciding anew."""
        self._looked = asyncio.Event()

    # For the rest of the system

    async def start(self, membership: Membership) -> None:
        """Adopt the process of an earlier controller, or start one; returns when HAProxy has `membership`."""
        async with self._lock:
            self._desired = membership
            self._is_stopping = False
            adopted = await self._launcher.adopt()
            if adopted is not None:
                self._take(adopted)
                self._emit("adopted", "still_running", f"pid {adopted.process.pid} is taken over as it runs")
            await self._bring_up_to_date()

    async def apply(self, membership: Membership) -> None:
        """Make HAProxy send to exactly this; returns when it does. Serialised; of several waiting, the last wins.
        Raises DriverError when HAProxy refuses or keeps dying."""
        self._desired = membership
        async with self._lock:
            if self._settled is not self._desired:
                await self._bring_up_to_date()

    async def reconfigure(self, render: Render, listeners: Mapping[str, int], membership: Membership) -> None:
        """Another set of services, nodes or listeners: a reload, if the text differs in more than its servers."""
        async with self._lock:
            self._render = render
            self._listeners = dict(listeners)
            self._desired = membership
            self._settled = None
            self._structure_known = None
            await self._bring_up_to_date()

    async def renew(self) -> bool:
        """A successor by the HAProxy that is installed now; False when that one runs already. Loses nothing: a reload.
        Raises DriverError when the new one does not start; the old one then goes on."""
        async with self._lock:
            if self._running is None or self._launcher.is_installed_one(self._running.process):
                return False
            await self._apply([Reload()])
            self._emit("changed", "installed_anew", "another HAProxy is installed: it takes over")
            await self._bring_up_to_date()
            return True

    def has_survivor(self) -> bool:
        """An earlier controller's HAProxy runs, to be adopted by `start`."""
        return self._launcher.has_survivor()

    def view(self) -> GatewayView:
        """The last look, at most half a second old while `run` runs."""
        return self._view

    async def next_view(self) -> GatewayView:
        """The next look, once it is there: whoever goes by what the gateway sees needs no pace of its own."""
        await self._looked.wait()
        return self._view

    async def look(self) -> GatewayView:
        """A look of this moment. Raises DriverUnavailable while HAProxy does not answer."""
        async with self._lock:
            self._see(await self._look())
        return self._view

    async def wait_drained(self, pool: str, slot: int, timeout_s: float) -> bool:
        """True when this slot has nothing in flight, streams included; False when it still has at the deadline."""
        where = self._desired.pool(pool)
        if where is None:
            raise Bug("is no pool of this gateway", subject=pool)
        deadline = self._clock.monotonic() + timeout_s
        while True:
            if not self._has_predecessors():
                with contextlib.suppress(DriverUnavailable):
                    counts = [
                        await self._api.sessions_of(place.backend, f"{place.prefix}{slot}") for place in where.where()
                    ]
                    if not any(counts):
                        return True
            if self._clock.monotonic() >= deadline:
                return False
            await self._clock.sleep(DRAIN_LOOK_EVERY_S)

    async def stop(self, grace_period_s: float = 5.0) -> None:
        """Let HAProxy finish what is in flight, at most for this long, then make sure that nothing of it is left."""
        self._is_stopping = True
        self._wake.set()
        async with self._lock:
            if self._running is None:
                return
            is_graceful = await stop_gracefully(
                self._running, self._api, self._clock, grace_period_s, closes_first=self._closes_first
            )
            await process_module.kill(self._running)
            self._running = None
            self._view = GatewayView()
            reason = "finished" if is_graceful else "grace_period_over"
            self._emit("stopped", reason, "nothing was in flight" if is_graceful else "what was in flight was cut off")

    def detach(self) -> None:
        """Let go of HAProxy without ending it: the next controller adopts it."""
        self._is_stopping = True
        self._wake.set()
        if self._running is not None:
            process_module.close(self._running)
            self._running = None

    async def run(self) -> None:
        """Until `stop` or `detach`: restart at once what died, look, correct, fail open."""
        while not self._is_stopping:
            await self._clock.wait(self._wake, self._look_every_s)
            self._wake.clear()
            if self._is_stopping:
                return
            try:
                if self._is_dead():
                    self._note_death()
                    await self._clock.sleep(restart_delay_s(self._quick_deaths))
                async with self._lock:
                    await self._tick()
                self._trouble = ""
            except ColonnadeError as error:
                self._say_trouble(f"{error} ({error.hint})")

    # Under the lock

    async def _tick(self) -> None:
        if self._is_stopping:
            return
        if self._is_dead():
            await self._bring_up_to_date()
            return
        self._forget_ended_predecessors()
        observed = await self._look()
        self._see(observed)
        if self._decide(observed).actions:
            await self._bring_up_to_date()
        await self._fail_open(observed)

    async def _bring_up_to_date(self) -> None:
        for _ in range(ATTEMPTS_MAX):
            desired = self._desired
            observed = await self._observe()
            decision = self._decide(observed)
            if not decision.actions:
                if observed is not None:
                    self._see(observed)
                self._settled = desired
                return
            with contextlib.suppress(DriverUnavailable):
                await self._apply(decision.actions)
                self._emit("changed", decision.reason, decision.message)
        raise DriverError(
            f"is not as desired after {ATTEMPTS_MAX} attempts: {self._decide(await self._observe()).message}",
            subject=self._name,
            hint=f"see `colonnade logs {self._name}`",
        )

    async def _observe(self) -> ObservedGateway | None:
        """A look; None when no process runs. One that runs and does not answer is killed: nothing else helps it."""
        if self._running is None or self._is_dead():
            return None
        for _ in range(ATTEMPTS_MAX):
            with contextlib.suppress(DriverUnavailable):
                observed = await self._look()
                if observed.pid == self._running.process.pid:
                    return observed
            if self._is_dead():
                return None
            await self._clock.sleep(DRAIN_LOOK_EVERY_S)
        self._emit("killed", "does_not_answer", f"pid {self._running.process.pid} did not answer {ATTEMPTS_MAX} times")
        await processes.kill(self._running.process)
        return None

    async def _look(self) -> ObservedGateway:
        return await self._api.observe([pool.name for pool in self._desired.pools if pool.counts_latency])

    def _decide(self, observed: ObservedGateway | None) -> Decision[Action]:
        loaded, structure = self._running.structure if self._running is not None else "", self._structure()
        grounds = observed.servers if observed is not None else None, self._desired, loaded, structure
        if self._last_decision is None or self._last_decision[0] != grounds:
            decision = decide(observed, self._desired, loaded_structure=loaded, structure=structure)
            self._last_decision = grounds, decision
        return self._last_decision[1]

    async def _apply(self, actions: Sequence[Action]) -> None:
        slot_actions: list[SlotAction] = []
        for action in actions:
            match action:
                case Restart():
                    self._note_death()
                    await self._launch()
                case Reload():
                    await self._launch()
                    self._view = replace(self._view, reloads_count=self._view.reloads_count + 1)
                case Settle():
                    await self._set(slot_actions)
                    slot_actions = []
                    await self._clock.sleep(action.duration_s)
                case _:
                    slot_actions.append(action)
        await self._set(slot_actions)

    async def _set(self, actions: Sequence[SlotAction]) -> None:
        if not actions:
            return
        if any(isinstance(action, ShutdownSessions) for action in actions):
            # What a predecessor still serves is out of the Runtime API's reach, and must be cut off too.
            await self._kill_predecessors()
        # The text first: should HAProxy die in between, it comes up as desired.
        await asyncio.to_thread(self._launcher.write_text, self._text())
        await self._api.command(commands_for(actions, self._desired))

    async def _launch(self) -> None:
        fds = tuple(self._listeners.values())
        self._take(await self._launcher.launch(self._text(), self._structure(), fds, self._running))

    def _take(self, running: Running) -> None:
        self._running = running
        self._started_at_s = self._clock.monotonic()
        running.process.on_exit(self._wake.set)

    def _text(self) -> str:
        return self._render(self._desired, self._listeners)

    def _structure(self) -> str:
        known = self._structure_known
        if known is not None and known[0] is self._desired:
            return known[2]
        empty = self._desired.without_servers()
        if known is not None and known[1] == empty:
            structure = known[2]
        else:
            # Descriptors have other numbers in each controller; they are no reason for a reload.
            names = {name: index for index, name in enumerate(sorted(self._listeners))}
            structure = structure_of(self._render(empty, names))
        self._structure_known = (self._desired, empty, structure)
        return structure

    async def _fail_open(self, observed: ObservedGateway) -> None:
        decisions = await self._health.decide(observed, self._desired, self._clock.monotonic())
        for decision in decisions:
            if decision.actions:
                await self._api.command(commands_for(decision.actions, self._desired))
                self._emit("health_overruled", decision.reason, decision.message)

    # Small things

    def _is_dead(self) -> bool:
        return self._running is None or self._running.process.has_exited()

    def _note_death(self) -> None:
        if self._running is None or self._noted_death_of == self._running.process.pid:
            return
        process = self._running.process
        self._noted_death_of = process.pid
        lived_s = self._clock.monotonic() - self._started_at_s
        self._quick_deaths = self._quick_deaths + 1 if lived_s < QUICK_DEATH_S else 0
        how = "" if process.exit_code is None else f" with {process.exit_code}"
        message = f"pid {process.pid} ended{how} after {lived_s:.1f} s: {self._launcher.last_words(process)}"
        self._emit("exited", "process_ended", message)
        self._view = replace(self._view, pid=None, restarts_count=self._view.restarts_count + 1)

    def _has_predecessors(self) -> bool:
        self._forget_ended_predecessors()
        return self._running is not None and bool(self._running.predecessors)

    async def _kill_predecessors(self) -> None:
        self._forget_ended_predecessors()
        for old in self._running.predecessors if self._running is not None else []:
            await processes.kill(old)
        self._forget_ended_predecessors()

    def _forget_ended_predecessors(self) -> None:
        if self._running is None:
            return
        for old in [old for old in self._running.predecessors if old.has_exited()]:
            self._running.predecessors.remove(old)
            old.close()

    def _see(self, observed: ObservedGateway) -> None:
        self._health.note(observed, self._desired, self._clock.monotonic())
        before = self._view
        self._view = replace(
            before,
            pid=observed.pid,
            uptime_s=observed.uptime_s,
            observed_at_s=self._clock.monotonic(),
            pools=pool_views(observed, self._desired, self._health.failing_since),
            frontends=observed.frontends,
            connections=observed.connections,
            connections_max=observed.connections_max,
        )
        self._looked.set()
        self._looked = asyncio.Event()
        for pool, slot in went_down(before, self._view):
            status = self._view.pools[pool].servers[slot].check_status
            self._emit("server_down", "check_failed", f"{pool}/{slot} is out of rotation: {status or 'no check yet'}")
        for pool, slot in came_up(before, self._view):
            self._emit("server_up", "check_passed", f"{pool}/{slot} is in rotation again")

    def _say_trouble(self, message: str) -> None:
        # Once, not twice a second for as long as it lasts.
        if message != self._trouble:
            self._trouble = message
            self._emit("not_as_desired", "driver_error", message)

    def _emit(self, what: str, reason: str, message: str) -> None:
        self._events.emit(f"gateway_{what}", self._name, reason=reason, message=message)


def restart_delay_s(quick_deaths: int) -> float:
    """Nothing at first, then doubling: a process that keeps dying must not keep a core busy."""
    if quick_deaths <= QUICK_DEATHS_FREE:
        return 0.0
    return min(RESTART_DELAY_S_MAX, RESTART_DELAY_S * 2.0 ** (quick_deaths - QUICK_DEATHS_FREE - 1))
