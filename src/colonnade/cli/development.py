"""The terminal of `colonnade up --reload`: what the application prints, its tracebacks among it, and what matters of
what the system does about it."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import Any

from colonnade.cli.follow import POLL_S, LogFollower, is_gone, print_event
from colonnade.cli.messages import out
from colonnade.core.errors import DriverUnavailable
from colonnade.system.client import ControlClient, NotRunning
from colonnade.system.target import Target

QUIET = (
    *("replica_started", "replica_ready", "replica_draining", "replica_stopping", "replica_stopped", "replica_adopted"),
    *("replacement_", "rollout_", "gateway_", "routes_published", "service_scaled"),
)
"""Beginnings of kinds that say how a change is carried out; here it matters that it was."""


NOISE = "Configuration allows spawning up to"
"""Granian's remark at each start about `threads`, which wait rather than compute; nobody needs it at each save."""


class DevelopmentTerminal:
    """Output of services and events, interleaved as they come. Made before anything starts: what is in the logs then
    is old."""

    def __init__(self, target: Target, services: Collection[str]) -> None:
        self._target = target
        self._logs = LogFollower(target.paths.logs, lambda label: is_of_services(label, services), without=NOISE)
        self._logs.show_last(0)
        self._seen = 0

    def show(self, event: Mapping[str, Any]) -> None:
        """An event, after what was printed before it: the traceback, then what comes of it."""
        self._logs.show_new()
        self._seen = max(self._seen, event["seq"])
        # The one beside tries the new code: that it failed, and what now, `reload_failed` says.
        is_beside = event["kind"].startswith("replica_") and not event["subject"].endswith("/1")
        if not is_beside and not event["kind"].startswith(QUIET):
            print_event(event)

    def follow(self) -> None:
        """Until the system is down."""
        out.print("output follows; save a file and its service starts anew; Ctrl-C takes the system down")
        with ControlClient(self._target.paths) as client:
            while True:
                try:
                    for event in client.events(after_seq=self._seen):
                        self.show(event)
                except DriverUnavailable:
                    pass
                except NotRunning:
                    if is_gone(self._target):
                        return
                self._logs.show_new()
                time.sleep(POLL_S)


def is_of_services(label: str, services: Collection[str]) -> bool:
    """A replica's log, or that of a release step."""
    return label.rpartition("/")[0] in services or label.removesuffix("-release") in services
