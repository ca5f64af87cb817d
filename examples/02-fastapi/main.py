"""ASGI: plain requests, a stream of server-sent events and a WebSocket, each in a few lines."""

import asyncio
import os
from collections.abc import AsyncIterator

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse

EVENTS_MAX = 1_000

app = FastAPI(title="Colonnade example")

REPLICA = os.environ.get("COLONNADE_REPLICA", "no replica")


@app.get("/")
async def hello() -> dict[str, str | int]:
    return {"replica": REPLICA, "process": os.getpid()}


@app.get("/livez")
@app.get("/readyz")
async def healthy() -> dict[str, str]:
    return {"status": "ok"}


@app.get("/events")
async def events(count: int = 10, interval_ms: int = 1000) -> StreamingResponse:
    """`count` server-sent events, one each `interval_ms`."""

    async def stream() -> AsyncIterator[str]:
        for number in range(min(count, EVENTS_MAX)):
            yield f"id: {number}\ndata: event {number} from {REPLICA}\n\n"
            await asyncio.sleep(interval_ms / 1000)

    return StreamingResponse(stream(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


@app.websocket("/ws")
async def echo(socket: WebSocket) -> None:
    """Send back what comes in, until the other side leaves."""
    await socket.accept()
    try:
        while True:
            await socket.send_text(f"{REPLICA}: {await socket.receive_text()}")
    except WebSocketDisconnect:
        return
