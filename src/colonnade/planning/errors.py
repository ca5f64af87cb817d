"""What cannot be planned: a load that no queue holds, an objective that no server reaches. Both say by how much.

Plain slips of a caller (a negative rate) are ValueError; these two are answers, and people read them.
"""

from __future__ import annotations

from colonnade.core.errors import SpecError


class Unstable(SpecError):
    """More work comes than can be done: the queue grows for as long as this lasts."""

    def __init__(
        self, utilization: float, *, arrival_rate: float | None = None, capacity: float | None = None, subject: str = ""
    ) -> None:
        message = f"unstable: the servers would have to be busy {utilization:.0%} of the time"
        if arrival_rate is not None and capacity is not None:
            message = (
                f"unstable: {arrival_rate:.4g}/s come and at most {capacity:.4g}/s can be served "
                f"(ρ = {utilization:.3g}), so the queue grows by {arrival_rate - capacity:.4g} requests every second"
            )
        super().__init__(message, hint="more servers, a shorter service time, or a lower rate", subject=subject)
        self.utilization = utilization


class Impossible(SpecError):
    """An objective that more servers do not reach, because the service alone takes longer."""

    def __init__(self, message: str, *, hint: str, subject: str = "") -> None:
        super().__init__(message, hint=hint, subject=subject)
