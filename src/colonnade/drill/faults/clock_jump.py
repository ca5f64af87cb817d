"""Clock jump: not made. CLOCK_REALTIME belongs to the kernel: Linux has time namespaces for the monotonic clocks only.

Setting it takes root and moves the time of the whole machine, of everybody's programs and of the drill's own record.
A library put in front of the C library (libfaketime) moves it for single processes, but is no part of Colonnade and on
few machines. Deadlines and durations of a system are on the monotonic clock; tests of what does read wall time jump it
(`SimulatedClock.jump_wall`).
"""

from __future__ import annotations

from colonnade.drill.faults.fault import Fault, NotPossible, Surroundings
from colonnade.drill.scenario import PlannedFault


def clock_jump(_planned: PlannedFault, _around: Surroundings) -> Fault:
    raise NotPossible(
        "one_clock_for_all", "this machine's wall clock cannot be moved for one system alone, and is not moved for all"
    )
