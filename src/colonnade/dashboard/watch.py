"""Looks at the system once a second and hands the look to everybody who wants it.

A controller that does not answer is no error here: the last look stays, `is_fresh` says how old it is, and the next
second brings another try.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from colonnade.core.clock import Clock
from colonnade.core.errors import DriverError
from colonnade.core.strangers import Strangers
from colonnade.core.usage import usage_of_trees
from colonnade.dashboard.control import Control
from colonnade.dashboard.look import Look
from colonnade.observe.collect import collect
from colonnade.observe.decisions import DecisionCounts
from colonnade.observe.parts import parts_of, usage_samples
from colonnade.observe.sample import Sample, Sight

LOOK_EVERY_S = 1.0

BEHIND_S = 0.03
"""After the controller's own looks, which are at whole half seconds of the same clock (`core/clock.py`): what it says
then is as new as can be, and the processor is woken once for both."""

PAUSE_S_MIN = 0.1
"""A wait may end a little early; that is no second look in the same moment."""

PROCESSES_EVERY_S = 5.0
"""Between two passes over all processes of the machine, each of which takes some milliseconds."""

FRESH_FOR_S = 5.0
"""A look that is older is not shown as the present."""

Source = Callable[[Look], Iterable[Sample]]
Consumer = Callable[[Look], None]


class Watch:
    """The loop. `sources` add samples of their own to each sight (objectives, say); `consumers` get each look, in the
    event loop: what takes longer than a millisecond belongs into a thread."""

    def __init__(self, control: Control, clock: Clock) -> None:
        self._control = control
        self._clock = clock
        self.sources: list[Source] = []
        self.consumers: list[Consumer] = []
        self.look: Look | None = None
        self.trouble = ""
        """Why the last try did not succeed; empty when it did."""
        self._looked_at_s = 0.0
        self._last_seq: int | None = None
        self._decisions = DecisionCounts()
        self._usage: list[Sample] = []
        self._usage_at_s = float("-inf")
        self._strangers = Strangers()

    def is_fresh(self) -> bool:
        return self.look is not None and self._clock.monotonic() - self._looked_at_s <= FRESH_FOR_S

    async def run(self) -> None:
        while True:
            try:
                await self._look()
                self.trouble = ""
            except DriverError as error:
                self.trouble = str(error)
            await self._clock.sleep(pause_s(self._clock.monotonic()))

    async def _look(self) -> None:
        answer = await self._control.ask("GET", f"/measurements?after_seq={self._last_seq or 0}")
        events = answer["events"]
        if self._last_seq is not None:
            self._decisions.add(events)  # what was before our time is in nobody's rate
        # As the controller counts: after a full disk it may have begun again at a smaller number.
        self._last_seq = answer["last_seq"]
        self.take(answer["status"], answer["measurements"], events)

    def take(self, status: dict[str, Any], measurements: dict[str, Any], events: list[dict[str, Any]]) -> None:
        """Make a look of what was said, and hand it on."""
        now_s = self._clock.monotonic()
        if now_s - self._usage_at_s >= PROCESSES_EVERY_S:
            self._usage = list(usage_samples(usage_of_trees(parts_of(status), self._strangers)))
            self._usage_at_s = now_s
        samples = [*collect(status, measurements), *self._decisions.samples(), *self._usage]
        at_s = self._clock.wall()
        look = Look(at_s, status, measurements, events, Sight(at_s, tuple(samples)))
        added = [sample for source in self.sources for sample in source(look)]
        if added:
            look = Look(at_s, status, measurements, events, Sight(at_s, (*samples, *added)))
        self.look, self._looked_at_s = look, now_s
        for consumer in self.consumers:
            consumer(look)


def pause_s(now: float) -> float:
    """Until the next look, which is BEHIND_S after a whole multiple of LOOK_EVERY_S."""
    left_s = LOOK_EVERY_S - (now - BEHIND_S) % LOOK_EVERY_S
    return left_s if left_s >= PAUSE_S_MIN else left_s + LOOK_EVERY_S
