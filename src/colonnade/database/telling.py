"""What the database controller tells people: an event for everything done, and the time that a failover took."""

from __future__ import annotations

from colonnade.core.clock import Clock
from colonnade.core.decision import Decision
from colonnade.core.events import EventLog
from colonnade.database import actions as act
from colonnade.database.actions import Action
from colonnade.database.cluster import Cluster
from colonnade.database.failover import FailoverStopwatch
from colonnade.database.state import FailoverReport, NodeName, Routing

FAILOVERS_BEGIN = frozenset(
    {
        "primary_died",
        "primary_frozen",
        "primary_disk_stuck",
        "primary_cut_off",
        "primary_data_gone",
        "switchover_closes_endpoint",
    }
)
"""Reasons of decisions after which another node becomes primary, unless it is thought better of."""


class Teller:
    """Remembers what was told last, and measures the failover that is going on."""

    def __init__(self, events: EventLog, clock: Clock) -> None:
        self._events = events
        self._clock = clock
        self._reason = ""
        self._watch: FailoverStopwatch | None = None

    def emit(self, kind: str, subject: str, reason: str, message: str) -> None:
        self._events.emit(kind, subject, reason=reason, message=message)

    def report(self) -> FailoverReport | None:
        return self._watch.report() if self._watch else None

    def assessed(self, before: Cluster, cluster: Cluster, decision: Decision[Action], noticed_at_s: float) -> None:
        """A look and what was decided from it. `noticed_at_s`: when we were woken for it."""
        if decision.reason != self._reason:
            self.emit("database_assessed", "database", decision.reason, decision.message)
        self._reason = decision.reason
        self._tell_exits(before, cluster)
        self._measure(cluster, decision, noticed_at_s)

    def done(self, action: Action, decision: Decision[Action]) -> None:
        kind = act.EVENT_KINDS.get(type(action))
        if kind is not None:
            node = getattr(action, "node", None)
            self.emit(kind, f"database/{node}" if node else "database", decision.reason, decision.message)
        if self._watch is None:
            return
        now = self._clock.monotonic()
        if isinstance(action, act.Fence) and self._watch.phase == "fence":
            self._watch.enter("elect", now)
        elif isinstance(action, act.Promote):
            self._watch.enter("reroute", now)
            self._watch.new_primary = action.node

    def published(self, routing: Routing) -> None:
        """The endpoints lead there now."""
        to = f"writers to {routing.primary}" if routing.primary else "writers wait"
        readers = f"readers to {', '.join(routing.standbys)}" if routing.standbys else "no standby has readers"
        self.emit("routes_published", "database", "routes_changed", f"{to}, {readers}")
        if self._watch is not None and routing.primary is not None:
            self._watch.enter("rejoin", self._clock.monotonic())

    def _tell_exits(self, before: Cluster, cluster: Cluster) -> None:
        for name, node in cluster.nodes.items():
            old = before.nodes.get(name)
            if old is not None and old.is_running and not node.is_running and not node.is_proved_dead:
                again = f", for the {node.failures}. time before it answered" if node.failures else ""
                message = f"the server {old.pid} ended{again}; its last words are in db-{name}.log"
                self.emit("node_exited", f"database/{name}", "process_ended", message)

    def _measure(self, cluster: Cluster, decision: Decision[Action], noticed_at_s: float) -> None:
        now, watch = self._clock.monotonic(), self._watch
        is_free = watch is None or watch.is_finished or watch.phase == "rejoin"
        if decision.reason in FAILOVERS_BEGIN and is_free:
            watch = self._watch = self._begin(cluster.record.primary, noticed_at_s)
            watch.enter("fence", now)
        if watch is None or watch.is_finished:
            return
        if decision.reason == "switchover_aborted":
            self._watch = None
        elif decision.reason == "candidate_elected":
            watch.enter("promote", now)
        elif decision.reason == "all_well":
            watch.finish(now)
            report = watch.report()
            split = ", ".join(f"{phase} {seconds * 1000:.0f} ms" for phase, seconds in report.phases_s.items())
            message = f"{report.old_primary} → {report.new_primary} in {report.total_s:.2f} s ({split})"
            data = {
                "began_at_s": report.at_s,
                "old_primary": report.old_primary,
                "new_primary": report.new_primary,
                "phases_s": dict(report.phases_s),
            }
            reason = "all_members_stream"
            self._events.emit("failover_finished", "database", reason=reason, message=message, data=data)

    def _begin(self, old_primary: NodeName, noticed_at_s: float) -> FailoverStopwatch:
        return FailoverStopwatch(self._clock.wall(), old_primary, noticed_at_s)
