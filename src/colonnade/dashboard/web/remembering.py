"""What the page shows of times before now: charts out of the history, and how the objectives stand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from colonnade.core.clock import Clock
from colonnade.dashboard.web.charts import draw_all
from colonnade.dashboard.web.offers import Asked, Nothing, Offer
from colonnade.observe.history.reader import read_history

SPAN_S_MAX = 35 * 86_400
"""As far as the history goes back."""

Promised = Callable[[], Mapping[str, Any]]
"""{"objectives": […], "alerts": […]}, as `colonnade slo` has them."""


class Span(Asked):
    span_s: Annotated[int, Field(ge=60, le=SPAN_S_MAX)] = 600


def remembering_offers(history: Path, promised: Promised, clock: Clock) -> list[Offer]:
    one_at_a_time = asyncio.Lock()

    async def charts(_: Request, asked: Span) -> Response:
        until_s = clock.wall()
        # A month of a large system is a second of a processor: whoever else asks waits.
        async with one_at_a_time:
            found = await asyncio.to_thread(_drawn, history, until_s - asked.span_s, until_s)
        return JSONResponse(found)

    async def objectives(_: Request, __: Nothing) -> Response:
        return JSONResponse(dict(promised()))

    return [
        Offer("GET", "/api/history", "Charts of the time up to now", charts, Span),
        Offer("GET", "/api/objectives", "What was promised and kept, and alerts", objectives),
    ]


def _drawn(history: Path, since_s: float, until_s: float) -> dict[str, Any]:
    with read_history(history) as reader:
        if reader is None:
            return {"since_s": since_s, "until_s": until_s, "step_s": 1, "charts": []}
        return draw_all(reader, since_s=since_s, until_s=until_s)
