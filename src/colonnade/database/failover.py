"""Where the time of a failover goes, phase by phase. Pure bookkeeping: it decides nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

from colonnade.database.state import FailoverReport, NodeName

PHASES = ("detect", "fence", "elect", "promote", "reroute", "rejoin")
"""From the process's end to: noticed, proved dead, positions compared, out of recovery, clients let in, and the old
primary streaming again."""


@dataclass(slots=True)
class FailoverStopwatch:
    """One failover being measured. Phases are entered in their order; entering a later one ends the earlier."""

    at_s: float
    old_primary: NodeName
    began_s: float
    new_primary: NodeName = ""
    phase: str = "detect"
    phases_s: dict[str, float] = field(default_factory=dict)
    is_finished: bool = False

    def enter(self, phase: str, now: float) -> None:
        """The present phase ends now; entering the phase that is running, or an earlier one, changes nothing."""
        if self.is_finished or PHASES.index(phase) <= PHASES.index(self.phase):
            return
        self._close(now)
        self.phase = phase

    def finish(self, now: float) -> None:
        if not self.is_finished:
            self._close(now)
            self.is_finished = True

    def _close(self, now: float) -> None:
        self.phases_s[self.phase] = now - self.began_s
        self.began_s = now

    def report(self) -> FailoverReport:
        return FailoverReport(
            self.at_s, self.old_primary, self.new_primary, dict(self.phases_s), is_finished=self.is_finished
        )
