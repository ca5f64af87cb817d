"""GET /metrics: all metrics in Prometheus' text format. GET /sd: the replicas, for its HTTP service discovery."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from colonnade.dashboard.discovery import Discovery
from colonnade.dashboard.exposition import CONTENT_TYPE, exposition
from colonnade.dashboard.watch import Watch


def metrics_routes(watch: Watch) -> list[Route]:
    discovery = Discovery()

    async def metrics(_: Request) -> Response:
        if watch.look is None or not watch.is_fresh():
            # Old numbers would look like a system that stands still: a scrape that fails says what is so.
            return Response(f"the controller does not answer: {watch.trouble}\n", 503, media_type="text/plain")
        text = await asyncio.to_thread(exposition, watch.look.sight.samples)
        return Response(text, headers={"Content-Type": CONTENT_TYPE})

    async def service_discovery(_: Request) -> Response:
        return JSONResponse(await discovery.targets(watch.look.status if watch.look is not None else {}))

    async def health(_: Request) -> Response:
        return Response("ok\n", media_type="text/plain")

    return [Route("/metrics", metrics), Route("/sd", service_discovery), Route("/healthz", health)]
