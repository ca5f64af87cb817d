"""The smallest useful application: it says which replica answered, and whether it is alive and ready."""

import os
import time

from flask import Flask, request

SLOW_MS_MAX = 10_000

app = Flask(__name__)


@app.get("/")
def hello() -> str:
    replica = os.environ.get("COLONNADE_REPLICA", "no replica")
    return f"Hello from {replica} (process {os.getpid()})\n"


@app.get("/livez")
def alive() -> str:
    """The process answers at all."""
    return "ok\n"


@app.get("/readyz")
def ready() -> str:
    """This replica may get requests. It never asks what replicas share: all would go away at once."""
    return "ok\n"


@app.get("/slow")
def slow() -> str:
    """Answer after `?ms=` milliseconds, as a slow query would."""
    duration_ms = min(max(request.args.get("ms", default=100, type=int), 0), SLOW_MS_MAX)
    time.sleep(duration_ms / 1000)
    return f"waited {duration_ms} ms\n"
