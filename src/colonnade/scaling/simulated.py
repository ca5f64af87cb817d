"""The decisions as they run in a system, for a simulated service: what planning, benches and tests ask "what if" with.

Never decides anything itself. Read next: `decide.py`; `planning/simulation/scenario.py` (`Scaling`), which is given it.
"""

from __future__ import annotations

from colonnade.planning.simulation.scenario import Observation
from colonnade.scaling.decide import step
from colonnade.scaling.state import Look, Memory, ScalingPolicy


class SimulatedScaling:
    """What the simulator calls at each tick: it is told what a gateway tells, and answers with a number of replicas, or
    None to leave it."""

    def __init__(self, policy: ScalingPolicy, startup_s: float = 1.0) -> None:
        self._policy = policy
        self._startup_s = startup_s
        self._memory = Memory()

    def __call__(self, seen: Observation) -> int | None:
        look = Look(
            at_s=seen.at_s,
            arrived_total=seen.arrived_total,
            in_service=seen.in_service,
            queued=seen.queued,
            service_time_s=seen.service_time_s,
            desired=seen.desired,
            ready=seen.ready,
            startup_s=self._startup_s,
            ready_in_s=seen.ready_in_s,
        )
        self._memory, decision = step(self._memory, look, self._policy)
        return decision.actions[0].count if decision.actions else None
