"""The life of a replica as a table: every edge there is, with what it means.

`decide.py` picks edges, the controller follows them through `core/transitions.py`, and a test proves that each goal
that `decide` can set has an edge here. None stands for "no such replica".
"""

from __future__ import annotations

from collections.abc import Mapping

from colonnade.runtime.state import ReplicaState

S = ReplicaState

TRANSITIONS: Mapping[tuple[ReplicaState | None, ReplicaState | None], str] = {
    (None, S.STARTING): "wanted and not there: start it",
    (S.STARTING, S.READY): "it answered its readiness probe: into rotation",
    (S.STARTING, S.WAITING): "it ended, or was killed for not getting ready: start again after the back-off",
    (S.STARTING, S.STOPPING): "no longer wanted before it ever served: nothing to drain",
    (S.READY, S.WAITING): "it died, or was killed for being stuck: start again after the back-off",
    (S.READY, S.DRAINING): "no longer wanted, or to be held: out of rotation, let it finish",
    (S.DRAINING, S.STOPPING): "nothing in flight, or its time is up: SIGTERM",
    (S.DRAINING, S.READY): "wanted again before it stopped: back into rotation",
    (S.DRAINING, None): "it ended by itself while draining",
    (S.STOPPING, None): "nothing of its group runs any more",
    (S.WAITING, S.STARTING): "its back-off is over",
    (S.WAITING, None): "no longer wanted while it waited",
}
