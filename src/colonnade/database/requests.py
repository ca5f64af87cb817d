"""What people ask of the running cluster, each from the question to its answer.

A request lives in this process only: a controller that is replaced forgets it, and whoever asked is told so by the
connection that ends. The cluster is left in a state that the next controller takes up as it is.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from colonnade.core.clock import Clock
from colonnade.core.errors import DriverError, HostError, SpecError
from colonnade.database.config import CHECKED_BY_STANDBYS, check_parameters, settings_from_birth
from colonnade.database.driver import DatabaseDriver
from colonnade.database.state import NodeName, NodeState, Request, RollingRestart, Switchover, state_of
from colonnade.spec.model import DatabaseSpec

if TYPE_CHECKING:
    from colonnade.database.controller import DatabaseController

HANDOVER_S_MAX = 1.0
"""How long writers wait at the endpoint before a switchover is given up."""

REQUEST_S_MAX = 300.0
"""A rolling restart of nine nodes with a long recovery each."""

REPLAY_S_MAX = 30.0

LOOK_S = 0.02

FRESH_S = 0.2
"""After a wake-up, by then there was a look."""


class Requests:
    """One at a time. `current` is what `decide` sees."""

    def __init__(
        self, controller: DatabaseController, driver: DatabaseDriver, clock: Clock, spec: DatabaseSpec
    ) -> None:
        self.current: Request | None = None
        self._controller = controller
        self._driver = driver
        self._clock = clock
        self._spec = spec
        self._lock = asyncio.Lock()
        self._answer: asyncio.Future[str] | None = None

    async def switch_over(self, target: NodeName | None) -> str:
        """Make `target`, or the best standby, the primary; returns a sentence about it.

        Raises SpecError for a target that cannot be, HostError when the cluster stays as it was."""
        async with self._one_at_a_time():
            return await self._switch_over(target)

    async def restart(self, spec: DatabaseSpec) -> str:
        """Start every node anew with these settings, one after the other, the primary last by way of a switchover.

        Raises SpecError when the engine refuses the settings (nothing was done), HostError or DriverError when it
        stops half way: then nodes that were not reached yet run with the old settings."""
        async with self._one_at_a_time():
            check_parameters(spec.parameters)
            await self._driver.check_settings(spec)
            before, after = (settings_from_birth(each) for each in (self._spec, spec))
            goes_down = any(_is_less(after.get(name), before.get(name)) for name in CHECKED_BY_STANDBYS)
            self._driver.set_spec(spec)
            try:
                count = await self._restart_all(is_primary_first=goes_down)
            except BaseException:
                self._driver.set_spec(self._spec)
                raise
            self._spec = spec
            return f"{count} nodes were started anew"

    async def _restart_all(self, *, is_primary_first: bool) -> int:
        cluster = self._controller.cluster
        runs = {name: node.process_key for name, node in cluster.nodes.items() if node.is_running}
        primary = cluster.record.primary
        standbys = {name: key for name, key in runs.items() if name != primary}
        if is_primary_first or not cluster.others:
            await self._ask(RollingRestart({primary: runs[primary]}, is_primary_first=True))
            await self._move_redo_past_now(primary, list(standbys))
            await self._ask(RollingRestart(standbys))
            return len(runs)
        await self._ask(RollingRestart(standbys))
        await self._switch_over(None)
        await self._until_whole()
        return len(runs)

    async def _move_redo_past_now(self, primary: NodeName, standbys: list[NodeName]) -> None:
        """A standby that starts replays from its last restart point, and refuses WAL of a primary whose parameters were
        above its own: none of that may be left to replay."""
        await self._driver.checkpoint(primary)
        self._controller.wake()
        await self._clock.sleep(FRESH_S)
        reached = self._controller.cluster.primary.position
        deadline = self._clock.monotonic() + REPLAY_S_MAX
        while reached is not None and self._clock.monotonic() < deadline:
            nodes = self._controller.cluster.nodes
            if all((nodes[name].replay_lsn or 0) >= reached.lsn for name in standbys):
                break
            await self._clock.sleep(LOOK_S)
            self._controller.wake()
        for name in standbys:
            await self._driver.checkpoint(name)

    def end(self, message: str, *, is_done: bool) -> None:
        """The answer to the present request."""
        self.current = None
        if self._answer is not None and not self._answer.done():
            if is_done:
                self._answer.set_result(message)
            else:
                hint = "see `colonnade db status`, and try again when all members stream"
                self._answer.set_exception(HostError(message, subject="database", hint=hint))

    def _one_at_a_time(self) -> asyncio.Lock:
        if self._lock.locked():
            raise HostError(
                "another switchover or restart is under way",
                subject="database",
                hint="wait for its end, then ask again",
            )
        return self._lock

    async def _switch_over(self, target: NodeName | None) -> str:
        cluster = self._controller.cluster
        primary = cluster.primary
        names = [node.name for node in cluster.others]
        if target == primary.name:
            raise SpecError(
                f"{target} is the primary already", subject="database", hint=f"standbys: {', '.join(names)}"
            )
        if target is not None and target not in names:
            raise SpecError(f"there is no node {target!r}", subject="database", hint=f"standbys: {', '.join(names)}")
        if not names or state_of(primary, cluster.record) is not NodeState.PRIMARY:
            raise HostError("there is nobody to hand over to", subject="database", hint="see `colonnade db status`")
        # While clients still work: what it writes now need not be written while they wait.
        await self._driver.checkpoint(primary.name)
        return await self._ask(Switchover(primary.name, target, self._clock.monotonic() + HANDOVER_S_MAX))

    async def _ask(self, request: Request) -> str:
        self.current = request
        self._answer = asyncio.get_running_loop().create_future()
        self._controller.wake()
        try:
            async with asyncio.timeout(REQUEST_S_MAX):
                return await self._answer
        except TimeoutError as error:
            message = f"not done after {REQUEST_S_MAX:g} s"
            raise DriverError(message, subject="database", hint="see `colonnade db status`") from error
        finally:
            self.current = None

    async def _until_whole(self) -> None:
        """All members serve again."""
        deadline = self._clock.monotonic() + REQUEST_S_MAX
        while self._controller.view().reason != "all_well":
            if self._clock.monotonic() > deadline:
                raise DriverError(
                    "not all members came back", subject="database", hint="see `colonnade db status` and their logs"
                )
            await self._clock.sleep(LOOK_S)


def _is_less(after: object, before: object) -> bool:
    numbers = [value for value in (after, before) if isinstance(value, int | float)]
    # A parameter that is no longer declared goes back to PostgreSQL's default, which is never above what people set.
    return (after is None and before is not None) or (len(numbers) == 2 and numbers[0] < numbers[1])
