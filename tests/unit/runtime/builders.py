"""Replicas and plans for the tests of this folder, with only what a test is about spelled out."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from colonnade.runtime.launch import ServicePlan
from colonnade.runtime.state import ObservedReplica, ReplicaId, ReplicaPolicy, ReplicaState
from colonnade.spec.detect import Detected
from colonnade.spec.model import ServiceSpec

NOW = 1_000.0
ID = ReplicaId("backend", 3)
POLICY = ReplicaPolicy(start_timeout_s=60.0, drain_timeout_s=10.0, unhealthy_timeout_s=1.0)


def replica(state: ReplicaState, *, for_s: float = 0.0, **fields: Any) -> ObservedReplica:
    """A replica that has been in `state` for `for_s` seconds and started when it entered it."""
    pid = None if state is ReplicaState.WAITING else 4711
    seen = ObservedReplica(ID, state, NOW - for_s, pid=pid, port=15_000, started_at_s=NOW - for_s)
    return replace(seen, **fields)


def plan(run: Detected | list[str], *, env: dict[str, str] | None = None, **keys: Any) -> ServicePlan:
    """A plan for `backend`; `keys` are the service's, as in the file."""
    spec = ServiceSpec.model_validate({"app": "backend:app", **keys})
    return ServicePlan("backend", spec, run, Path("/srv/app"), env or {}, None, Path("/srv/logs"))
