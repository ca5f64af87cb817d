"""The few things that go on as long as the system does and belong to no subsystem: telling one what the other saw."""

from __future__ import annotations

import asyncio
from functools import partial

from colonnade.core.errors import ColonnadeError, DriverError, HostError
from colonnade.core.files import rotate_log
from colonnade.runtime.state import ReplicaId, ReplicaState
from colonnade.runtime.traffic import Traffic
from colonnade.system.mapping import answers_of, traffic_of
from colonnade.system.sickness import watch_sickness
from colonnade.system.system import System

LOG_ROTATION_INTERVAL_S = 20.0
MEMBERSHIP_RETRY_S = 0.2


async def keep_membership(system: System) -> None:
    """Whenever a replica changes, tell the gateway; whenever one drains, watch it until nothing is in flight."""
    draining: dict[ReplicaId, asyncio.Task[None]] = {}
    told = ""
    while True:
        await system.changed.wait()
        system.changed.clear()
        try:
            await system.apply_membership()
        except (DriverError, HostError) as error:
            # The gateway restarts itself with the membership it has; ours goes in as soon as it answers, or as soon
            # as the disk takes its text.
            if str(error) != told:
                system.say("membership_refused", "gateway", "driver_error", f"{error}; trying again")
            told = str(error)
            await asyncio.sleep(MEMBERSHIP_RETRY_S)
            system.changed.set()
            continue
        told = ""
        for replica in system.runtime.view().replicas:
            if replica.state is ReplicaState.DRAINING and replica.id not in draining:
                task = asyncio.create_task(_watch_drain(system, replica.id))
                draining[replica.id] = task
                task.add_done_callback(partial(_forget_drain, draining, replica.id))


def _forget_drain(draining: dict[ReplicaId, asyncio.Task[None]], replica: ReplicaId, _: asyncio.Task[None]) -> None:
    draining.pop(replica, None)


async def _watch_drain(system: System, replica: ReplicaId) -> None:
    service = system.services[replica.service]
    is_drained = await system.gateway.wait_drained(replica.service, replica.number, service.stop_timeout_s)
    if is_drained:
        system.runtime.observe_traffic(replica, Traffic(in_flight=0))


async def observe_traffic(system: System) -> None:
    """Tell the runtime what the gateway sees of each replica, at each of its looks."""
    while True:
        view = await system.gateway.next_view()
        runtime = system.runtime.view()
        ready = {replica.id for replica in runtime.replicas if replica.state is ReplicaState.READY}
        for replica, seen in traffic_of(view, runtime.replicas).items():
            if replica in ready:
                system.runtime.observe_traffic(replica, seen)
        for service in runtime.rollouts.keys() & view.pools.keys():
            system.runtime.observe_answers(service, answers_of(view.pools[service]))


async def rotate_logs(system: System) -> None:
    """Keep every log within its bound."""
    while True:
        for path in sorted(system.paths.logs.glob("*.log")):
            try:
                rotate_log(path)
            except ColonnadeError as error:
                system.say("log_not_rotated", path.name, "host_refused", str(error))
        await asyncio.sleep(LOG_ROTATION_INTERVAL_S)


def begin_loops(system: System) -> None:
    """Start them all, and the runtime's own: replicas must be looked after from the first one on."""
    system.spawn(system.runtime.run(), "runtime")
    system.spawn(keep_membership(system), "membership")
    system.spawn(observe_traffic(system), "traffic")
    system.spawn(rotate_logs(system), "logs")
    system.spawn(system.autoscaler.run(), "scaling")
    if system.accepted.is_reloading:
        from colonnade.system.reloading import reload_changed  # only a developer's system needs the sentences it tells

        # One replica each, whose slowness is the developer's own: nobody to be compared with.
        system.spawn(reload_changed(system), "reload")
    else:
        system.spawn(watch_sickness(system), "sickness")
