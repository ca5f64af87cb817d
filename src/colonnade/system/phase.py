"""Where the whole system is in its life, and the table of ways between."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum


class Phase(Enum):
    STARTING = "starting"
    """Parts come up in order; a failure now ends the start and takes everything down again."""
    ADOPTING = "adopting"
    """A new controller finds its predecessor's parts running; a failure now ends only this controller."""
    RUNNING = "running"
    """Everything declared was up once; from here on failures are healed, never fatal."""
    STOPPING = "stopping"
    """Asked to end, or the start failed."""


EDGES: Mapping[tuple[Phase, Phase], str] = {
    (Phase.STARTING, Phase.RUNNING): "every service has all its replicas ready for the first time",
    (Phase.ADOPTING, Phase.RUNNING): "everything that was running has been found again",
    (Phase.STARTING, Phase.STOPPING): "the start failed, or was interrupted",
    (Phase.ADOPTING, Phase.STOPPING): "`down` while adopting",
    (Phase.RUNNING, Phase.STOPPING): "`down`, Ctrl-C in the viewer, or SIGTERM to the keeper",
}
