"""One seed, one story: the real controller on the cluster in memory, while everything that can go wrong does.

After every step: one primary at most, nothing acknowledged is missing where clients are led, no state without an edge,
no decision without a reason. At the end the faults stop, and within a bound all is well again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from random import Random

from tests.simulation.clients import Gateway, Sessions

from colonnade.core.clock import SimulatedClock
from colonnade.core.errors import Bug, ColonnadeError, DriverUnavailable, HostError
from colonnade.core.events import EventLog
from colonnade.database.controller import DatabaseController
from colonnade.database.disk import MIB
from colonnade.database.fake import FakeDriver, FakeStore
from colonnade.database.fake_world import FakeWorld
from colonnade.database.state import NODE_NAMES, NodeName
from colonnade.spec.model import DatabaseSpec

STEPS = 120
TICK_S = 0.05
HEAL_TICKS_MAX = 400
HEAL_TICK_S = 0.25
"""Together 100 s in which all has to be well again: a copy, a frozen standby and a minute between two takeovers."""


class ControllerKilled(BaseException):
    """kill -9: not an Exception, so nobody may catch it."""


class Violation(AssertionError):
    """A promise was broken. The message has the seed and what happened."""


@dataclass(frozen=True)
class Size:
    standbys: int
    quorum_size: int


SIZES = (Size(1, 1), Size(2, 1), Size(2, 2), Size(3, 1), Size(3, 2), Size(4, 2))

Happening = Callable[["Story", NodeName], None]


@dataclass
class Story:
    """A world, its controllers one after the other, and what happens."""

    seed: int
    size: Size
    loses_data: bool = False
    emphasis: Mapping[str, int] = field(default_factory=dict)
    """Weights of happenings that are to be more frequent than usual."""
    scene: Callable[[Story], Awaitable[None]] | None = None
    """How it begins, once all is well."""
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        self.spec = DatabaseSpec(standbys=self.size.standbys, quorum_size=self.size.quorum_size)
        self.world = FakeWorld(NODE_NAMES[: 1 + self.size.standbys], self.size.quorum_size)
        self.store, self.clock = FakeStore(), SimulatedClock()
        self.gateway = Gateway()
        self.sessions = Sessions(self.world, self.gateway)
        self.data_losses_left = 1 if self.loses_data else 0
        self.crash_in: int | None = None
        self.fail_in: int | None = None
        self.refusals_left = 0
        self.read: set[int] = set()
        """What clients were shown by a primary: it may not vanish."""
        self.is_promotion_doomed = False
        self.tasks: list[asyncio.Task[str]] = []
        self.controller = self._new_controller()

    # The controller and what interrupts it.

    def _new_controller(self) -> DatabaseController:
        self.driver = FakeDriver(self.world, self.clock)
        self.driver.before = self._before
        self.driver.after = self._after
        self.store.before = self._before_save
        return DatabaseController(
            self.spec, self.driver, self.gateway, EventLog(self.clock), self.clock, store=self.store
        )

    def _before(self, method: str, node: NodeName) -> None:
        self._maybe_crash(f"{method} {node}")

    def _after(self, method: str, node: NodeName) -> None:
        self.check_one_primary()
        if method == "promote" and self.is_promotion_doomed:
            self.is_promotion_doomed = False
            for _ in range(self.random.randrange(3)):
                self.world.write_own(node)
            self.world.kill(node)
            self.world.failing_starts[node] = self.random.randrange(5)
            self.log.append(f"{node} dies as it is promoted; {self.world.failing_starts[node]} starts fail")
        if self.fail_in is not None:
            self.fail_in -= 1
            if self.fail_in < 0:
                self.fail_in = None
                self.log.append(f"the reply of {method} {node} is lost")
                raise DriverUnavailable("the reply is lost", subject=node, hint="it is looked at again")
        self._maybe_crash(f"after {method} {node}")

    def _before_save(self) -> None:
        if self.refusals_left > 0:
            self.refusals_left -= 1
            raise HostError("no space left on device", subject="record", hint="free some")
        self._maybe_crash("save")

    def _maybe_crash(self, where: str) -> None:
        self.check_one_primary()
        if self.crash_in is not None:
            self.crash_in -= 1
            if self.crash_in < 0:
                self.crash_in = None
                raise ControllerKilled(where)

    async def tick(self) -> None:
        try:
            decision = await self.controller.tick()
            if not decision.reason.isidentifier() or len(decision.message) < 5:
                raise Violation(f"does not explain itself: {decision}")
        except ControllerKilled as killed:
            self.log.append(f"controller killed at {killed}")
            await self.replace_controller()
        except Bug as bug:
            raise Violation(f"{type(bug).__name__}: {bug}") from bug
        except ColonnadeError as error:
            self.log.append(f"refused: {error}")
        await asyncio.sleep(0)
        self.clock.advance(TICK_S)
        self.check()

    async def replace_controller(self) -> None:
        self.crash_in = self.fail_in = None
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.tasks.clear()
        mood, self.gateway.mood = self.gateway.mood, self.gateway.mood
        await self.controller.abandon()
        self.gateway.mood = mood
        while True:
            self.controller = self._new_controller()
            with contextlib.suppress(ColonnadeError):  # the disk refuses: it is started again
                await self.controller.open()
                return

    def ask(self, target: NodeName | None, *, restart: bool) -> None:
        requests = self.controller.requests
        work = requests.restart(self.spec) if restart else requests.switch_over(target)
        task = asyncio.create_task(work)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # a refusal is an answer
        self.tasks.append(task)

    # The promises.

    def check(self) -> None:
        self.check_one_primary()
        primary = self.gateway.primary
        node = self.world.nodes.get(primary) if primary is not None else None
        if node is None or not node.is_serving or node.in_recovery:
            return
        there = set(node.numbers())
        if lost := self.world.acknowledged.keys() - there:
            raise Violation(f"{node.name} serves and lost {sorted(lost)[:5]} of {len(self.world.acknowledged)}")
        if vanished := self.read - there:
            raise Violation(f"{node.name} serves and lacks {sorted(vanished)[:5]}, which clients have read")
        self.read |= self.world.visible(node.name)
        for name in self.gateway.standbys:
            standby = self.world.nodes.get(name)
            is_read = standby is not None and standby.is_serving and standby.in_recovery
            if standby is not None and is_read and (phantoms := set(standby.numbers()) - there):
                raise Violation(f"readers are led to {name}, which has {sorted(phantoms)[:5]} that {primary} has not")

    def check_one_primary(self) -> None:
        primaries = [node.name for node in self.world.nodes.values() if node.is_running and not node.in_recovery]
        if len(primaries) > 1:
            raise Violation(f"two primaries: {primaries}")

    # The course of it.

    async def run(self) -> None:
        from tests.simulation.happenings import happen

        await self.controller.open()
        await self.heal()
        if self.scene is not None:
            await self.scene(self)
        for _ in range(STEPS):
            await happen(self)
        await self.heal()
        await self.replace_controller()
        await self.heal()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.controller.abandon()

    async def heal(self) -> None:
        """No more faults: all is well within the bound."""
        self.crash_in = self.fail_in = None
        self.refusals_left = 0
        self.world.cut.clear()
        self.world.failing_starts.clear()
        self.world.free_bytes = 10**10
        self.gateway.recover()
        for name in self.world.nodes:
            self.world.thaw(name)
        for _ in range(HEAL_TICKS_MAX):
            await self.tick()
            self.world.settle()
            self.clock.advance(HEAL_TICK_S)
            if self.is_well():
                return
        if not self.loses_data:
            decision = self.controller.view()
            raise Violation(f"not well again: {decision.reason}: {decision.message}")

    def is_well(self) -> bool:
        view = self.controller.view()
        wanted = 1 + self.spec.standbys
        return (
            view.reason == "all_well"
            and view.is_writable
            and len(view.nodes) == wanted
            and self.gateway.primary == view.primary
            and self.controller.requests.current is None
        )

    def low_disk(self) -> None:
        self.world.free_bytes = self.random.choice((0, 20 * MIB, 50 * MIB, 10**10))


def tell(
    seed: int,
    size: Size,
    *,
    loses_data: bool = False,
    emphasis: Mapping[str, int] | None = None,
    scene: Callable[[Story], Awaitable[None]] | None = None,
) -> Story:
    """Run one story. Raises Violation with all that is needed to run it again."""
    story = Story(seed, size, loses_data, emphasis or {}, scene)
    try:
        asyncio.run(story.run())
    except AssertionError as error:
        happened = "\n".join(story.log)
        raise Violation(f"{error}\nseed {seed}, {size}, loses data: {loses_data}\n{happened}") from error
    return story
