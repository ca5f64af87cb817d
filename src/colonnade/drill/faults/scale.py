"""Scale: a service gets fewer replicas for a while, or more, as `colonnade scale` does it; then as many as before.

Nothing is broken by it, and nobody should notice: who leaves has to finish what it was asked first. Where the load is
never in the middle of something, that is not put to the test: let it wait, behind a slow link say.
"""

from __future__ import annotations

import asyncio

from colonnade.core.errors import DriverError
from colonnade.drill.faults.fault import NotPossible, Surroundings
from colonnade.drill.faults.settings import numbers
from colonnade.drill.faults.targets import service_meant
from colonnade.drill.scenario import PlannedFault
from colonnade.spec.model import REPLICAS_MAX
from colonnade.system.client import ControlClient, NotRunning

ASK_S_MAX = 10.0
"""A controller that died is back within two seconds, and takes over what runs in as many more."""

POLL_S = 0.1


class Scale:
    """`factor`: of the replicas that there are, those that there will be; rounded down, and one at least."""

    def __init__(self, planned: PlannedFault, around: Surroundings) -> None:
        factor = numbers(planned, factor=0.5)["factor"]
        self._paths = around.instance.paths
        self._clock = around.clock
        self._service = service_meant(planned.aim, around)
        status = next(one for one in around.status["services"] if one["name"] == self._service)
        before, scaling = int(status["desired"]), status["scaling"]
        least, most = max(1, scaling.get("min", 1)), scaling.get("max", REPLICAS_MAX)
        self._after = min(max(int(before * factor), least), most)
        if self._after == before:
            raise NotPossible("nothing_to_scale", f"{self._service} has {before} replicas and stays with them")
        # Left to its load again where it was, which then decides how many are wanted.
        self._back = None if scaling["mode"] == "auto" else before
        self._is_asked = False
        self.subjects = (self._service,)
        self.message = f"scaled {self._service} from {before} to {self._after} replicas"

    async def inject(self) -> None:
        self._is_asked = True
        await self._scale(self._after)

    async def heal(self) -> None:
        if self._is_asked:
            await self._scale(self._back)
            self._is_asked = False

    async def _scale(self, replicas: int | None) -> None:
        """Raises NotRunning or DriverError when nobody does it in time, such as for a number that is out of bounds."""
        deadline = self._clock.monotonic() + ASK_S_MAX
        while True:
            try:
                await asyncio.to_thread(self._ask, replicas)
            except (NotRunning, DriverError):  # a controller that is being replaced, or not ready yet
                if self._clock.monotonic() >= deadline:
                    raise
                await self._clock.sleep(POLL_S)
            else:
                return

    def _ask(self, replicas: int | None) -> None:
        with ControlClient(self._paths) as client:
            client.scale(self._service, replicas)
