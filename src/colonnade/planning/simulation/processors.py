"""Work that shares processors: the threads of a replica share what it may use, the replicas the machine. By events.

All that compute in one replica get equal parts of its cores (processor sharing; one core for the threads of a CPython
process), and if all replicas together could use more than the machine has, all are slowed down alike. So each replica
has a clock of *its* progress, the work that each of its requests has got so far, and the machine has one of its own,
which runs slower than time while it is overbooked. A request ends when its replica's clock has moved by its work: the
order of ends never changes when others come, only the moments do, and just the next one has to be known.
"""

from __future__ import annotations

import math
from heapq import heappop, heappush

from colonnade.planning.simulation.timeline import Happening, Timeline


class Processors:
    """The machine: its cores, and the replicas that compute on them."""

    def __init__(self, timeline: Timeline, cores: float) -> None:
        self._timeline = timeline
        self._cores = cores
        self._wanted = 0.0
        """Cores that the replicas could use now."""
        self._speed = 1.0
        """Of the machine's clock."""
        self._clock_s = 0.0
        self._looked_s = 0.0
        self._ends: list[tuple[float, int, Cores, int]] = []
        """(by the machine's clock, number, replica, its plan): the next end of each replica, and outdated ones."""
        self._number = 0
        self._plan = 0

    def clock_s(self) -> float:
        """Of the machine, now."""
        now_s = self._timeline.now_s
        self._clock_s += (now_s - self._looked_s) * self._speed
        self._looked_s = now_s
        return self._clock_s

    def expect(self, cores: Cores, end_s: float, *, wanted_more: float) -> None:
        """The replica's next end by the machine's clock (infinite: it has nothing to do), and by how many cores its
        wants have changed."""
        self.clock_s()
        self._wanted += wanted_more
        self._speed = min(1.0, self._cores / self._wanted) if self._wanted > 1e-9 else 1.0
        if end_s < math.inf:
            self._number += 1
            heappush(self._ends, (end_s, self._number, cores, cores.plan))
        self._plan_next()

    def _plan_next(self) -> None:
        while self._ends and self._ends[0][2].plan != self._ends[0][3]:
            heappop(self._ends)
        self._plan += 1
        if self._ends:
            delay_s = max(0.0, self._ends[0][0] - self._clock_s) / self._speed
            self._timeline.after(delay_s, self._end, self._plan)

    def _end(self, plan: int) -> None:
        if plan == self._plan:
            self.clock_s()
            _, _, cores, _ = heappop(self._ends)
            cores.end_next()


class Cores:
    """What one replica may compute on."""

    def __init__(self, processors: Processors, cores: float) -> None:
        self.plan = 0
        """Grows with each change: what was expected before is outdated."""
        self._processors = processors
        self._cores = cores
        self._progress_s = 0.0
        """Seconds of work that each of those who compute has got since the beginning."""
        self._looked_s = 0.0
        self._working: list[tuple[float, int, Happening, object]] = []
        self._number = 0

    def work(self, seconds: float, then: Happening, subject: object) -> None:
        """So many seconds of a core; `then(subject)` when they are done."""
        before = self._used()
        self._advance()
        self._number += 1
        heappush(self._working, (self._progress_s + seconds, self._number, then, subject))
        self._expect(before)

    def end_next(self) -> None:
        """The one that is due is done."""
        before = self._used()
        self._advance()
        done_s, _, then, subject = heappop(self._working)
        # Not what the clocks say, which is off by some rounding: else the next one might be due in the past.
        self._progress_s = done_s
        self._expect(before)
        then(subject)

    def drop_all(self) -> None:
        """Nobody computes here any more."""
        before = self._used()
        self._advance()
        self._working.clear()
        self._expect(before)

    def _used(self) -> float:
        return min(float(len(self._working)), self._cores)

    def _advance(self) -> None:
        clock_s = self._processors.clock_s()
        if self._working:
            self._progress_s += (clock_s - self._looked_s) * self._used() / len(self._working)
        self._looked_s = clock_s

    def _expect(self, used_before: float) -> None:
        self.plan += 1
        end_s = math.inf
        if self._working:
            end_s = self._looked_s + (self._working[0][0] - self._progress_s) * len(self._working) / self._used()
        self._processors.expect(self, end_s, wanted_more=self._used() - used_before)
