"""The order in which a system goes down, so that nothing is lost that could be finished: no new requests, those in
flight end, replicas stop, then the database's clients and the database. Nothing is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable
from dataclasses import replace

from colonnade.core import processes
from colonnade.core.errors import ColonnadeError, HostError
from colonnade.core.events import EventLog
from colonnade.system.accepted import read_accepted, write_accepted
from colonnade.system.drill_runs import DrillRuns
from colonnade.system.paths import StatePaths
from colonnade.system.scaling_record import forget_pins
from colonnade.system.system import System


async def take_down(
    system: System | None, drills: DrillRuns, paths: StatePaths, keeper_pid: int, events: EventLog
) -> None:
    """Stop everything that runs. A part that resists is told and does not keep the others from stopping."""
    # Beside the rest: it takes a system of its own down.
    ending_drill = asyncio.create_task(_quietly(drills.stop(), "drill", events))
    if system is not None:
        await system.end_loops()
        # The public side stops taking requests and finishes what it has; services still reach each other.
        await _quietly(system.gateway.stop(), "gateway", events)
        await _quietly(system.runtime.stop(), "services", events)
        if system.database is not None:
            await _quietly(system.database.stop(), "database", events)
        if system.prometheus is not None:
            await _quietly(system.prometheus.stop(), "prometheus", events)
        if system.dashboard is not None:
            await _quietly(system.dashboard.stop(), "dashboard", events)
    await ending_drill
    await _end_stragglers(paths, keeper_pid, events)
    # A disk that refuses to be told must not keep the system from going down: the next `up` sees that nothing runs.
    with contextlib.suppress(HostError):
        accepted = read_accepted(paths)
        if accepted is not None:
            write_accepted(paths, replace(accepted, was_running=False, applications={}))
    for name in ("listeners.json", "replicas.json", "deployment.json"):
        (paths.root / name).unlink(missing_ok=True)
    forget_pins(paths)


async def _quietly(work: Awaitable[None], subject: str, events: EventLog) -> None:
    try:
        await work
    except ColonnadeError as error:
        events.emit("stop_failed", subject, reason=type(error).__name__, message=str(error), data={"hint": error.hint})


async def _end_stragglers(paths: StatePaths, keeper_pid: int, events: EventLog) -> None:
    """Kill what carries our mark and should be gone; finding any is a fault worth an event."""
    left = [pid for pid in processes.marked_processes(paths.mark) if pid != keeper_pid]
    if not left:
        return
    events.emit(
        "stragglers_killed", "system", reason="still_running", message=f"killed {len(left)} left processes: {left}"
    )
    for pid in left:
        ticks = processes.start_ticks_of(pid)
        process = processes.adopt(processes.ProcessId(pid, ticks)) if ticks is not None else None
        if process is not None:
            process.send(signal.SIGKILL)
            process.close()
    await asyncio.sleep(0.05)
