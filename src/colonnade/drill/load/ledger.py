"""What is written down about every operation, and what its outcome is called.

Three outcomes, because two would lie: a write that was sent and not answered may or may not have happened, and
whoever counts it as failed will later call its effect a phantom, or its absence a loss.
All times are seconds of the machine's monotonic clock, comparable between processes of one machine.
Never touches a clock or a socket. Read next: `summary` for statistics, `check` for judging writes.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Whether an operation is meant to change what the system holds."""

    READ = "read"
    WRITE = "write"


class Outcome(StrEnum):
    """What is known about an operation once it is over."""

    OK = "ok"
    """Answered as the workload expects. An acknowledged write must never be lost."""
    FAILED = "failed"
    """Certainly without effect: never sent, or refused by the application. Reads without an answer count here."""
    UNKNOWN = "unknown"
    """A write that was sent and whose fate is not known: both present and absent are right."""


class ErrorKind(StrEnum):
    """Why there was no usable answer. Answers with an unexpected status are called `http_<status>` instead."""

    GENERATOR_SATURATED = "generator_saturated"
    """Our own limit of operations in flight was reached; the system was never asked."""
    GENERATOR_OUT_OF_FILES = "generator_out_of_files"
    """Our own limit of open files or local ports was reached; the system was never asked."""
    CONNECT_REFUSED = "connect_refused"
    CONNECT_FAILED = "connect_failed"
    CONNECT_TIMEOUT = "connect_timeout"
    CLOSED_ON_REUSE = "closed_on_reuse"
    """A kept-alive connection ended under the request before a single byte of reply: the ordinary race."""
    CLOSED_BEFORE_REPLY = "closed_before_reply"
    """A connection opened for this request ended before a single byte of reply."""
    REPLY_CUT = "reply_cut"
    REPLY_MALFORMED = "reply_malformed"
    REPLY_TIMEOUT = "reply_timeout"


OWN_ERRORS = frozenset({ErrorKind.GENERATOR_SATURATED, ErrorKind.GENERATOR_OUT_OF_FILES})
"""Failures of the generator itself: they say nothing about the system."""

UNCERTAIN_CLIENT_ERRORS = frozenset({408, 409})
"""Refusals that can hide an effect: a gateway that repeats a keyed write gets 409 from the second server while the
first is still committing, and 408 may be sent for a request whose first copy went through."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One request as intended, sent and answered. Written once, when it is over."""

    id: int
    kind: Kind
    action: str
    """Name of the workload's action that it came from."""
    token: str | None
    """Unique mark that a write carries into the system; None for reads."""
    intended_at: float
    started_at: float
    """When the generator turned to it. The generator's own lag ends here; waiting for a connection comes after,
    because a slow accept is the system's doing."""
    sent_at: float | None
    """When its bytes were handed to the socket; None if that never happened."""
    first_byte_at: float | None
    done_at: float
    outcome: Outcome
    status: int | None = None
    error: str | None = None
    served_by: str | None = None
    """The replica that answered, by its own word (`X-Served-By`)."""
    bytes_received: int = 0
    retries: int = 0
    """How often it was sent again. Only what is safe to repeat ever is."""
    on_reused_connection: bool = False
    item_id: str | None = None
    """What the system calls the item that a write made, by the JSON of its answer."""
    session: int | None = None
    """The visitor who sent it; None for a passer-by, who sends one request and is never seen again."""
    found: bool | None = None
    """Of a visitor's look at their own item: whether it was there. None where the answer could not say."""

    @property
    def latency_s(self) -> float:
        """From the intended time, so that waiting behind a stalled system is part of it."""
        return self.done_at - self.intended_at

    @property
    def lag_s(self) -> float:
        """How late the generator was, before the system had any part in it."""
        return self.started_at - self.intended_at


def classify(kind: Kind, *, was_sent: bool, is_expected: bool, status: int | None) -> Outcome:
    """Name the outcome of a finished operation.

    `status` is None unless the whole reply was read: half an acknowledgement acknowledges nothing. A 5xx on a write is
    unknown, whoever sent it: a gateway answers 502 and 504 for writes that were committed, and from outside a
    503 for a full queue looks like a 503 for a reply that was lost.
    """
    if status is not None and is_expected:
        return Outcome.OK
    if kind is Kind.READ or not was_sent:
        return Outcome.FAILED
    if status is not None and 400 <= status < 500 and status not in UNCERTAIN_CLIENT_ERRORS:
        return Outcome.FAILED
    return Outcome.UNKNOWN


def to_line(operation: Operation) -> str:
    """One JSON line, without the line end."""
    return json.dumps(asdict(operation), separators=(",", ":"))


def from_lines(lines: Iterable[str]) -> Iterator[Operation]:
    """Read back what `to_line` wrote. Raises ValueError, TypeError or KeyError for anything else."""
    for line in lines:
        fields = json.loads(line)
        fields["kind"] = Kind(fields["kind"])
        fields["outcome"] = Outcome(fields["outcome"])
        yield Operation(**fields)
