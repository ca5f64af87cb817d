"""The picture as it changes: one line of JSON for each look, for as long as somebody looks.

A stream over an ordinary request, and not an EventSource, because that cannot send the header that proves who asks.
However many look, the controller is asked once a second and the picture made once.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from starlette.responses import JSONResponse, Response, StreamingResponse

from colonnade.dashboard.web.looks import Look, Looks
from colonnade.dashboard.web.picture import picture, without_controller
from colonnade.dashboard.web.recent import recent_ms

VIEWERS_MAX = 20
"""Streams at once. A page that nobody sees has none."""

STREAM_S_MAX = 600.0
"""Then the page asks again: a session that ended ends its stream."""

HEARTBEAT_S = 5.0
"""Without a new look for so long, the last one is sent again: the reader knows that we live."""

EVENTS_FIRST_MAX = 100
"""Of those before, at the beginning."""


class Live:
    """The newest picture, and those who are sent it."""

    def __init__(self, looks: Looks) -> None:
        self._looks = looks
        self._drawn: tuple[Look | None, dict[str, Any]] = (None, {})
        self._viewers = 0

    def picture(self) -> dict[str, Any]:
        """Made once for each look. While the controller is away, the last one, which says so."""
        look = self._looks.newest()
        if self._drawn[0] is not look:
            kept = self._looks.at_this_gateway()
            self._drawn = (look, picture(look, self._looks.earlier(), recent_ms(kept)))
        return without_controller(self._drawn[1]) if self._looks.is_away() else self._drawn[1]

    def stream(self, after_seq: int) -> Response:
        """Pictures, with the events after `after_seq`."""
        if self._viewers >= VIEWERS_MAX:
            return JSONResponse({"error": "too many look at once", "hint": "close a page"}, status_code=429)
        return StreamingResponse(self._lines(after_seq), media_type="application/x-ndjson")

    async def _lines(self, seen: int) -> AsyncIterator[bytes]:
        self._viewers += 1
        try:
            sent_s = 0.0
            while sent_s < STREAM_S_MAX:
                look = self._looks.newest()
                fresh = newer(look.events, seen)[-EVENTS_FIRST_MAX:]
                seen = fresh[-1]["seq"] if fresh else seen
                yield json.dumps({"picture": self.picture(), "events": fresh}, default=str).encode() + b"\n"
                before_s = look.at_s
                look = await self._looks.next(wait_s=HEARTBEAT_S)
                sent_s += max(1.0, look.at_s - before_s)
        finally:
            self._viewers -= 1


def newer(events: Sequence[Mapping[str, Any]], seq: int) -> list[Mapping[str, Any]]:
    return [event for event in events if event["seq"] > seq]
