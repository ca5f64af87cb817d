"""What one run of load is, decided before it starts. Plain data: it can be printed, stored and sent to a process.

Read next: `runner`, which carries it out.
"""

import json
from dataclasses import asdict, dataclass, field
from math import isfinite

from colonnade.core.errors import SpecError
from colonnade.drill.load.arrivals import Arrivals
from colonnade.drill.load.ledger import Kind
from colonnade.drill.load.workload import BLOG, Action, Headers, Workload

OPERATIONS_MAX = 2_000_000
"""The ledger stays in memory, at about 400 bytes an operation."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One run: how much, for how long, of what, and from which seed. Raises SpecError when it cannot be carried out."""

    url: str
    rate_per_s: float
    duration_s: float
    run_id: str
    """Unique among all runs against one system, or the check would find the writes of an earlier run."""
    write_share: float = 0.2
    session_share: float = 0.0
    """Of the operations, those of visitors who write and then look for what they wrote. Their writes are part of
    `write_share`, which bounds them: see `schedule`. Without effect for a workload that has no `read_own`."""
    seed: int = 1
    arrivals: Arrivals = Arrivals.POISSON
    shape: tuple[float, ...] = ()
    """Relative rate in equal parts of the run, 1.0 on average (see `trace`); empty: the same rate throughout."""
    workload: Workload = field(default=BLOG)
    timeout_s: float = 10.0
    """How long an operation may take from its start, retries included. Above the gateway's own waiting times, so
    that it is the system that gives up first; below what anyone would wait for a page."""
    in_flight_max: int = 2_000
    """Beyond this an operation is recorded as not sent, and the run cannot be judged. Bounds memory and sockets."""

    def __post_init__(self) -> None:
        for name in ("rate_per_s", "duration_s", "timeout_s", "in_flight_max"):
            value = getattr(self, name)
            if not (value > 0 and isfinite(value)):
                raise _refusal(name, f"must be above 0 and finite, got {value}")
        for name in ("write_share", "session_share"):
            if not 0 <= (share := getattr(self, name)) <= 1:
                raise _refusal(name, f"must be between 0 and 1, got {share}")
        if self.shape and not (min(self.shape) >= 0 and abs(sum(self.shape) / len(self.shape) - 1) < 1e-6):
            raise _refusal("shape", "must be relative rates of 0 or more, 1 on average")
        if self.rate_per_s * self.duration_s > OPERATIONS_MAX:
            raise _refusal(
                "duration_s", f"{self.rate_per_s:g}/s for {self.duration_s:g} s is over {OPERATIONS_MAX:,} operations"
            )
        if not self.run_id.isalnum() or not self.run_id.isascii():
            raise _refusal("run_id", f"must consist of letters and digits, got {self.run_id!r}")
        for kind, share in ((Kind.WRITE, self.write_share), (Kind.READ, 1 - self.write_share)):
            if share > 0 and not any(a.kind is kind and a.weight > 0 and not a.needs_id for a in self.workload.actions):
                raise _refusal("workload", f"has no {kind} that can be sent before any item is known")

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> "Plan":
        """Read back what `to_json` wrote. Raises ValueError, TypeError or KeyError for anything else."""
        fields = json.loads(text)
        workload = fields["workload"]
        for name in ("actions", "read_own"):
            workload[name] = tuple(_action(action) for action in workload[name])
        workload["headers"] = _headers(workload.get("headers", []))  # records of earlier versions have none
        fields["workload"] = Workload(**workload)
        fields["arrivals"] = Arrivals(fields["arrivals"])
        fields["shape"] = tuple(fields["shape"])
        return Plan(**fields)


def _action(fields: dict[str, object]) -> Action:
    kind = Kind(str(fields["kind"]))
    return Action(**{**fields, "kind": kind, "headers": _headers(fields["headers"])})  # type: ignore[arg-type]


def _headers(fields: object) -> Headers:
    if not isinstance(fields, list):
        raise TypeError(f"headers must be a list, got {fields!r}")
    return tuple((str(name), str(value)) for name, value in fields)


def _refusal(name: str, problem: str) -> SpecError:
    option = "--" + name.removesuffix("_s").removesuffix("_per").replace("_", "-")
    return SpecError(f"{name} {problem}", hint=f"give another value with {option}", subject="load plan")
