"""The dashboard's process: looks once a second, answers on the keeper's socket, ends on SIGTERM.

    python -m colonnade.dashboard --listener FD --control SOCKET --data DIR --state DIR   (started by the controller)

Whoever wants to see each look, or to answer under a path of their own, hangs in at `build_dashboard`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import socket
from dataclasses import dataclass
from pathlib import Path

from starlette.applications import Starlette
from starlette.routing import BaseRoute

from colonnade.core.clock import Clock, SystemClock
from colonnade.dashboard.control import Control
from colonnade.dashboard.metrics_routes import metrics_routes
from colonnade.dashboard.watch import Watch
from colonnade.system.serving import serve


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What this process was given: the socket on which it asks the controller, a directory of its own, and whose
    system it shows (its state directory, most of which it may not read where it runs as another user)."""

    control: Path
    data: Path
    state: Path
    clock: Clock


def build_dashboard(around: Surroundings) -> tuple[Watch, Starlette]:
    """Everything that is fed by a look, and everything that is answered: a line for each."""
    watch = Watch(Control(around.control), around.clock)
    routes: list[BaseRoute] = [*metrics_routes(watch)]
    return watch, Starlette(routes=routes)


async def run(around: Surroundings, listener: socket.socket) -> None:
    """Until SIGTERM or SIGINT."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    watch, app = build_dashboard(around)
    async with serve(app, listener):
        watching = asyncio.create_task(watch.run(), name="watch")
        ending = asyncio.create_task(ended.wait())
        await asyncio.wait({watching, ending}, return_when=asyncio.FIRST_COMPLETED)
        if watching.done():
            watching.result()  # raises: the loop ends by a bug only, and the next process begins with a clean slate
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching


def main() -> None:
    parser = argparse.ArgumentParser(prog="colonnade-dashboard")
    parser.add_argument("--listener", type=int, required=True)
    parser.add_argument("--control", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--state", type=Path, required=True)
    options = parser.parse_args()
    os.set_inheritable(options.listener, False)
    around = Surroundings(options.control, options.data, options.state, SystemClock())
    asyncio.run(run(around, socket.socket(fileno=options.listener)))
