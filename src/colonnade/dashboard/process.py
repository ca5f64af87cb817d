"""The dashboard's process: looks once a second, answers on the keeper's socket, ends on SIGTERM.

    python -m colonnade.dashboard --listener FD --control SOCKET --data DIR --state DIR --tokens FD
                                                                                         (started by the controller)

Whoever wants to see each look, or to answer under a path of their own, hangs in at `build_dashboard`.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import signal
import socket
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from starlette.applications import Starlette
from starlette.routing import BaseRoute

from colonnade.core.clock import Clock, SystemClock
from colonnade.dashboard.control import Control
from colonnade.dashboard.metrics_routes import metrics_routes
from colonnade.dashboard.notify import Notifier
from colonnade.dashboard.recorder import Recorder
from colonnade.dashboard.standing import Standing
from colonnade.dashboard.undelivered import UNDELIVERED_FILE, Undelivered
from colonnade.dashboard.watch import Watch
from colonnade.dashboard.web.app import Given, build_app
from colonnade.dashboard.web.asking import SocketAsker
from colonnade.dashboard.web.looks import Looks
from colonnade.observe.history.levels import HISTORY_FILE
from colonnade.system.dashboard_tokens import Tokens, tokens_from
from colonnade.system.serving import serve


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What this process was given: the socket on which it asks the controller, a directory of its own, and whose
    system it shows (its state directory, most of which it may not read where it runs as another user)."""

    control: Path
    data: Path
    state: Path
    clock: Clock
    tokens: Tokens


Loop = Callable[[], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Dashboard:
    """What `run` runs: `loops` until the end, and `app` answers meanwhile."""

    watch: Watch
    recorder: Recorder
    standing: Standing
    notifier: Notifier
    loops: Sequence[Loop]
    app: Starlette


def build_dashboard(around: Surroundings) -> Dashboard:
    """Everything that is fed by a look, and everything that is answered: a line for each."""
    watch = Watch(Control(around.control), around.clock)
    recorder = Recorder(around.data / HISTORY_FILE, around.clock)
    kept = Undelivered(around.data / UNDELIVERED_FILE, around.clock)
    notifier = Notifier(Control(around.control), kept, around.clock, Random(os.getpid()))  # noqa: S311 — spreads retries
    standing = Standing(recorder, around.clock, notifier.on_change)
    watch.sources += [standing.source, notifier.samples]
    watch.consumers += [recorder.take, notifier.take]
    routes: list[BaseRoute] = [*metrics_routes(watch)]
    loops = (watch.run, recorder.run, notifier.run)
    looks = Looks(lambda: not watch.is_fresh())
    watch.consumers.append(lambda look: looks.take(look.at_s, look.status, look.events, look.measurements))
    given = Given(
        tokens=around.tokens,
        looks=looks,
        asker=SocketAsker(around.control),
        clock=around.clock,
        history=recorder.path,
        promised=lambda: {"objectives": standing.slo, "alerts": standing.alerts},
        mark=str(around.state),
    )
    return Dashboard(watch, recorder, standing, notifier, loops, build_app(given, routes))


async def run(around: Surroundings, listener: socket.socket) -> None:
    """Until SIGTERM or SIGINT."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    dashboard = build_dashboard(around)
    # What is there now stays: a collection that went through all of it would hold up a scrape for tens of milliseconds.
    gc.freeze()
    async with serve(dashboard.app, listener):
        running = [asyncio.create_task(loop()) for loop in dashboard.loops]
        ending = asyncio.create_task(ended.wait())
        await asyncio.wait({*running, ending}, return_when=asyncio.FIRST_COMPLETED)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        ending.cancel()
        for task in running:
            if not task.cancelled():
                task.result()  # raises: a loop ends by a bug only, and the next process begins with a clean slate


def main() -> None:
    parser = argparse.ArgumentParser(prog="colonnade-dashboard")
    parser.add_argument("--listener", type=int, required=True)
    parser.add_argument("--control", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--tokens", type=int, required=True)
    options = parser.parse_args()
    os.set_inheritable(options.listener, False)
    listener = socket.socket(fileno=options.listener)
    tokens = tokens_from(options.tokens)
    around = Surroundings(options.control, options.data, options.state, SystemClock(), tokens)
    asyncio.run(run(around, listener))
