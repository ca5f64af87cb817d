"""Where a request belongs to: the W3C trace context, as it comes in a header and goes on in the next one.

Needs nothing but the standard library. Without OpenTelemetry a context is passed on unchanged, as the recommendation
asks of those who take no part in a trace; `tracing.py` has the part that records.
Source: W3C Trace Context, level 1 (2021), sections 3.2 and 3.3.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass

TRACEPARENT = "traceparent"
TRACESTATE = "tracestate"

STATE_CHARACTERS_MAX = 512
"""What everybody must pass on (section 3.3.1.5); a longer one is dropped whole."""

_PARENT = re.compile(r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})")
_STATE = re.compile(r"[\x20-\x7e]*")


@dataclass(frozen=True, slots=True)
class TraceContext:
    """The trace that a request is part of, and the span that it comes from."""

    trace_id: str
    """32 hexadecimal digits, not all 0."""
    span_id: str
    """16 of them: of the caller."""
    is_sampled: bool
    """Whether the caller records this trace."""
    state: str = ""
    """What systems of tracing tell each other."""

    @classmethod
    def parse(cls, traceparent: str | None, tracestate: str | None = None) -> TraceContext | None:
        """None for none, and for one that is not as it should be: then a new trace begins."""
        text = (traceparent or "").strip(" \t")
        match = _PARENT.match(text)
        if match is None or match["version"] == "ff" or not match["trace"].strip("0") or not match["span"].strip("0"):
            return None
        rest = text[match.end() :]
        if rest and (match["version"] == "00" or not rest.startswith("-")):
            return None
        state = tracestate or ""
        if len(state) > STATE_CHARACTERS_MAX or not _STATE.fullmatch(state):
            state = ""
        return cls(match["trace"], match["span"], bool(int(match["flags"], 16) & 1), state)

    @property
    def traceparent(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{self.is_sampled:02x}"

    def headers(self) -> dict[str, str]:
        """For the next request."""
        return {TRACEPARENT: self.traceparent} | ({TRACESTATE: self.state} if self.state else {})


_current: ContextVar[TraceContext | None] = ContextVar("colonnade_trace_context", default=None)


def current_context() -> TraceContext | None:
    """Of the request that is being answered here; None outside of one, or where it came without."""
    return _current.get()


@contextmanager
def within(context: TraceContext | None) -> Iterator[None]:
    """Answer a request that came with this context."""
    token = _current.set(context)
    try:
        yield
    finally:
        # An answer that its server forgot is ended by the garbage collector, in whatever context that runs: what was
        # set has gone with its own context, and there is nothing to put back.
        with suppress(ValueError):
            _current.reset(token)


def context_of(headers: Mapping[str, str]) -> TraceContext | None:
    """Of a request's headers; keys in lower case. Several of one name are none: they arrive joined by commas."""
    return TraceContext.parse(headers.get(TRACEPARENT), headers.get(TRACESTATE))
