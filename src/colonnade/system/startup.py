"""The order in which a system comes up, and what ends its start.

Gateway first (it answers 503 meanwhile), database and the look at the applications side by side. Then all services at
once: one that uses the database waits for it and runs its release command first; services do not wait for each other,
because their addresses are there from the beginning and the imports of one fill the processor while another waits. One
that cannot live without another yet may fail and is started again; its failures count from the moment on when all
that it uses is ready. An adoption takes the same way, but runs no release and imports nobody's code again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from pathlib import Path

from colonnade.core.errors import AppError
from colonnade.core.events import Event
from colonnade.core.files import tail_lines
from colonnade.runtime.launch import REPLICA_MARK, VERSION_VARIABLE, ServicePlan, log_path
from colonnade.runtime.state import ReplicaId, ReplicaState
from colonnade.spec.derive import DATABASE, replica_groups
from colonnade.spec.detect import Detected
from colonnade.spec.syntax import command_words
from colonnade.system.application import probe_application, run_release
from colonnade.system.system import System

LOG_TAIL_LINES = 30

ADOPTION_READY_S = 5.0
"""An adopted system counts as running after this even if a replica is not ready: it may be crash looping for long."""


async def bring_up(system: System, *, is_adopting: bool) -> None:
    """Everything up, or the first error that ends the start. What was found out is written down."""
    await system.gateway.start(system.membership())
    system.spawn(system.gateway.run(), "gateway")
    ready: dict[str, asyncio.Event] = {name: asyncio.Event() for name in (*system.services, DATABASE)}
    async with asyncio.TaskGroup() as starts:
        starts.create_task(_start_database(system, ready[DATABASE]))
        services = [
            starts.create_task(_start_service(system, name, ready, is_adopting=is_adopting)) for name in system.services
        ]
    applications = {name: found for task in services for name, found in task.result().items()}
    await system.apply_membership()
    if not is_adopting:
        system.note_applications(system.version, applications)
    system.accept(was_running=True)


async def _start_database(system: System, ready: asyncio.Event) -> None:
    if system.database is not None:
        system.say("database_starting", "database", "declared", "the database comes up")
        await system.database.start(system.spawn)
    ready.set()


async def _start_service(
    system: System, name: str, ready: Mapping[str, asyncio.Event], *, is_adopting: bool
) -> dict[str, Detected]:
    """Bring one service up; returns what stands behind its import string, if it has one."""
    service = system.services[name]
    version = system.version_of(name)
    async with asyncio.TaskGroup() as preparations:
        probe = preparations.create_task(look_at(system, name, version))
        preparations.create_task(_prepare(system, name, ready[DATABASE], is_adopting=is_adopting))
    plan = system.plan(name, version, probe.result())
    for other in system.registry.versions_of(name) - {version}:
        system.runtime.add_plan(system.plan(name, other, await look_at(system, name, other)))
    count = system.registry.desired.get(name) if is_adopting else None
    declared = sum(group.count for group in replica_groups(service))
    system.runtime.add_service(plan, count if count is not None else declared)
    needed = [ready[used] for used in service.uses]
    if is_adopting:
        # All was ready once: what cannot be ready now is healed later, and nobody waits long for it.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ADOPTION_READY_S):
                await until_ready(system, plan, needed, may_fail=True)
    else:
        await until_ready(system, plan, needed, may_fail=False)
    ready[name].set()
    return {} if plan.application is None else {name: plan.application}


async def look_at(system: System, name: str, version: int) -> Detected | None:
    """What stands behind the import string of a service; None for one by `command`. Asked once for each version."""
    service = system.declaration(version).spec.services[name]
    known = system.accepted.application(version, name)
    if not service.app or known is not None:
        return known
    plan = system.plan(name, version, None)
    # An application may read these at import; the look at it is replica 0, on a port that nobody serves.
    env = {**plan.env, "PORT": "0", REPLICA_MARK: str(ReplicaId(name, 0)), VERSION_VARIABLE: str(version)}
    return await probe_application(name, service.app, service.kind, plan.directory, env, system.credentials)


async def _prepare(system: System, name: str, database_ready: asyncio.Event, *, is_adopting: bool) -> None:
    """The database, if the service uses it, and its release command."""
    service = system.services[name]
    if is_adopting:
        return  # replicas that run are looked after at once, whatever the database is doing
    if DATABASE in service.uses:
        await database_ready.wait()
    if service.release:
        await release(system, system.plan(name, system.version, None))


async def release(system: System, plan: ServicePlan) -> None:
    """Run the release command of a version. Raises AppError when it fails."""
    argv = command_words(plan.spec.release)
    system.say("release_started", plan.name, "declared", f"{plan.name}: {' '.join(argv)}")
    await run_release(
        plan.name,
        argv,
        plan.directory,
        # By this mark a next controller finds and ends what this one left half done: it runs the release anew.
        {**plan.env, REPLICA_MARK: f"{plan.name}/release", VERSION_VARIABLE: str(plan.version)},
        plan.credentials,
        _release_log(system, plan.name),
        plan.spec.release_timeout_s,
    )
    system.say("release_finished", plan.name, "exit_code_zero", f"{plan.name}: the release command is done")


def _release_log(system: System, service: str) -> Path:
    return system.paths.logs / f"{service}-release.log"


async def until_ready(system: System, plan: ServicePlan, needed: list[asyncio.Event], *, may_fail: bool) -> None:
    """Wait until every wanted replica is ready. Raises AppError when one cannot get there although all that is
    `needed` was ready before it failed."""
    failures: list[Event] = []
    changed = asyncio.Event()

    def look(event: Event) -> None:
        is_ours = event.subject.rpartition("/")[0] == plan.name
        has_failed = event.kind == "replica_crash_looping" or event.reason in ("start_timeout", "host_refused")
        if is_ours and has_failed and all(used.is_set() for used in needed):
            failures.append(event)
        changed.set()

    unsubscribe = system.events.subscribe(look)
    try:
        while not _all_ready(system, plan.name):
            if failures and not may_fail:
                raise _start_error(system, plan, failures[0])
            await changed.wait()
            changed.clear()
    finally:
        unsubscribe()


def _all_ready(system: System, service: str) -> bool:
    view = system.runtime.view()
    there = {replica.id for replica in view.replicas if replica.state is ReplicaState.READY or replica.is_held}
    return there >= {ReplicaId(service, number) for number in range(1, view.desired[service] + 1)}


def _start_error(system: System, plan: ServicePlan, event: Event) -> AppError:
    service, _, number = event.subject.rpartition("/")
    log = log_path(plan.log_directory, ReplicaId(service, int(number)))
    if event.kind == "replica_start_failed":
        hint = str(event.data["hint"])
    elif event.reason == "start_timeout":
        hint = f"does it listen on $HOST:$PORT and answer {plan.spec.health.path}? Its log is {log}"
    else:
        hint = f"see what it says: its log is {log}"
    return AppError(
        event.message, subject=f"services.{service}", hint=hint, detail="\n".join(tail_lines(log, LOG_TAIL_LINES))
    )
