"""Carries deployments out: looks at the new version, runs its release commands, rolls service by service, switches,
or undoes it all. One at a time; the next step is on disk before it is taken (`deployment.py`), so a next controller
goes on where this one was.

How one service rolls, and when its new version is bad, is the runtime's to decide (`runtime/rollout.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from colonnade.core.errors import AppError, Bug, ColonnadeError, HostError, SpecError
from colonnade.core.files import tail_lines
from colonnade.runtime.launch import ServicePlan, log_path
from colonnade.runtime.state import ReplicaId
from colonnade.runtime.wanted import Rollout, Stage
from colonnade.spec.derive import replica_groups
from colonnade.spec.effects import Effect
from colonnade.spec.load import LoadedSpec, load_spec, spec_for_app
from colonnade.system.accepted import as_accepted
from colonnade.system.changes import Changes
from colonnade.system.deployment import (
    Deployment,
    DeployStage,
    in_order,
    meanwhile,
    read_deployment,
    write_deployment,
)
from colonnade.system.gateway_part import used_by_others
from colonnade.system.startup import LOG_TAIL_LINES, look_at, release, until_ready
from colonnade.system.system import System

NOT_BY_DEPLOYING = (Effect.DATABASE_RESTART, Effect.DATABASE_STANDBYS, Effect.DOWN_AND_UP)
"""Keys that take effect in another way, each said with its name."""

END: Mapping[DeployStage, str] = {
    DeployStage.DONE: "everything is as declared",
    DeployStage.UNDONE: "undone, the old version runs",
    DeployStage.REFUSED: "refused, nothing was changed",
}

LIVES_MAX = 3
"""Controllers that may end in the middle of one deployment. Chosen by feel: somebody may kill one or two for a test."""

TROUBLE_RETRY_S = 2.0
"""Between two tries of what must not be given up any more: the last step of a deployment, or of undoing one."""

T = TypeVar("T")


class Deployer:
    def __init__(self, system: System) -> None:
        self._system = system
        self._last = read_deployment(system.paths)
        self._wake = asyncio.Event()
        self._asking = asyncio.Lock()

    # What one may ask

    def describe(self) -> dict[str, Any] | None:
        """The last one, for `status` and for whoever waits for its end."""
        return self._last.as_json() if self._last is not None else None

    async def deploy(self, services: Sequence[str]) -> dict[str, Any]:
        """Take what stands in the declaration's directory now as a new version, and go there. `services` are rolled
        even if nothing of them changed. Raises what reading a declaration raises, and SpecError for a change that this
        is not the way for. Returns the deployment's number, or None when there is nothing to do."""
        async with self._asking:
            self._refuse_if_open()
            system = self._system
            loaded, text = await asyncio.to_thread(_declared, system)
            self._refuse_unknown(services, loaded)
            pending = await asyncio.to_thread(
                system.store.pending, system.version, loaded, text, database=system.accepted.database
            )
            _refuse_others(pending)
            version = await asyncio.to_thread(system.store.take, loaded, text)
            for warning in version.warnings:
                system.say("version_warning", "deployment", "not_versioned", warning)
            return await self._begin("deploy", version.number, services)

    async def roll_back(self, version: int | None) -> dict[str, Any]:
        """Go to a version that is kept; to the newest before the present one, if none is named."""
        async with self._asking:
            self._refuse_if_open()
            store, present = self._system.store, self._system.version
            number = version
            if number is None:
                earlier = [one for one in await asyncio.to_thread(store.numbers) if one < present]
                if not earlier:
                    raise SpecError(
                        f"there is no version before {present}", subject="rollback", hint="see `colonnade versions`"
                    )
                number = earlier[-1]
            await asyncio.to_thread(store.get, number)
            _refuse_others(await asyncio.to_thread(store.changes, present, number))
            return await self._begin("rollback", number, ())

    def _refuse_if_open(self) -> None:
        if self._last is not None and self._last.is_open:
            raise HostError(
                f"a {self._last.kind} to version {self._last.new} is {self._last.stage.value}",
                subject="deployment",
                hint="wait for its end; `colonnade status` shows how far it is",
            )

    def _refuse_unknown(self, services: Sequence[str], loaded: LoadedSpec) -> None:
        for name in services:
            if name not in loaded.spec.services:
                known = ", ".join(loaded.spec.services)
                raise SpecError(f"there is no service {name!r}", subject="deploy", hint=f"services: {known}")

    async def _begin(self, kind: str, new: int, forced: Sequence[str]) -> dict[str, Any]:
        system = self._system
        old = system.version
        system.declarations[new] = as_accepted(await asyncio.to_thread(system.store.load, new), system.accepted)
        changes = await asyncio.to_thread(system.store.changes, old, new)
        if changes.is_empty and not forced:
            return {"deployment": None, "message": f"nothing to do: version {old} runs as it stands here"}
        rolled = {*changes.rollout, *changes.spec.added, *forced}
        order = [name for name in in_order(system.declaration(new).spec) if name in rolled]
        number = 1 if self._last is None else self._last.number + 1
        message = f"version {old} → {new}: {changes.sentence()}"
        for name in system.runtime.view().desired:
            system.runtime.forget_ended_rollout(name)
        code = {name: system.version_of(name) for name in system.declaration(old).spec.services}
        deployment = Deployment(number, kind, old, new, tuple(order), code, message=message)
        self._keep(deployment)
        system.target = new
        system.say("deployment_started", "deployment", kind, message)
        self._wake.set()
        return {"deployment": number, "message": message}

    # The loop

    async def run(self) -> None:
        """Until cancelled; begins with what an earlier controller left open."""
        if self._last is not None and self._last.is_open:
            self._go_on(self._last)
        while True:
            while self._last is not None and self._last.is_open:
                await self._take_step(self._last)
            self._wake.clear()
            await self._wake.wait()

    def _go_on(self, deployment: Deployment) -> None:
        """Where an earlier controller was. One that ended again and again in the middle of this is no accident: it may
        be what is deployed that ends it, so from then on it is taken back."""
        deployment = replace(deployment, lives=deployment.lives + 1)
        message = f"{deployment.lives} controllers ended during this deployment (limit {LIVES_MAX})"
        if deployment.lives > LIVES_MAX and deployment.stage is DeployStage.RELEASING:
            self._end(deployment.entering(DeployStage.REFUSED, message), "controllers_ended")
        elif deployment.lives > LIVES_MAX and deployment.stage is DeployStage.ROLLING:
            self._system.say("deployment_failed", "deployment", "controllers_ended", message)
            self._keep(deployment.entering(DeployStage.UNDOING, message))
        else:
            self._keep(deployment)

    async def _take_step(self, deployment: Deployment) -> None:
        match deployment.stage:
            case DeployStage.RELEASING:
                await self._releasing(deployment)
            case DeployStage.ROLLING:
                await self._rolling(deployment)
            case DeployStage.SWITCHING:
                await self._insist(self._switching, deployment)
            case DeployStage.UNDOING:
                await self._insist(self._undoing, deployment)
            case DeployStage.DONE | DeployStage.UNDONE | DeployStage.REFUSED:
                raise Bug("has ended", subject="deployment")

    async def _releasing(self, deployment: Deployment) -> None:
        system, new = self._system, deployment.new
        try:
            system.reach(self._used(deployment.old, new))
            found = {name: await look_at(system, name, new) for name in deployment.services}
            system.note_applications(new, {name: app for name, app in found.items() if app is not None})
            for name in deployment.services:
                if system.declaration(new).spec.services[name].release and deployment.kind != "rollback":
                    await release(system, system.plan(name, new, None))
        except ColonnadeError as error:
            message = f"nothing was changed: {error}"
            self._end(deployment.entering(DeployStage.REFUSED, _with_detail(message, error)), type(error).__name__)
            return
        self._keep(deployment.entering(DeployStage.ROLLING))

    async def _rolling(self, deployment: Deployment) -> None:
        system = self._system
        left = [name for name in deployment.services if name not in deployment.done]
        try:
            if left:
                name = left[0]
                deployment = replace(deployment, at=name)
                self._keep(deployment)
                await self._go_by(deployment)
                await self._become_new(name, deployment)
                self._keep(replace(deployment, at="", done=(*deployment.done, name)))
                system.runtime.forget_ended_rollout(name)
                return
            # The text of the end is tried before anything is final.
            switching = deployment.entering(DeployStage.SWITCHING)
            await self._go_by(switching)
        except ColonnadeError as error:
            message = f"{deployment.at}: {error.message}" if deployment.at else str(error)
            system.say("deployment_failed", "deployment", type(error).__name__, message)
            self._keep(deployment.entering(DeployStage.UNDOING, _with_detail(message, error)))
            return
        self._keep(switching)

    async def _become_new(self, name: str, deployment: Deployment) -> None:
        """One service to the new version. Raises AppError when it is undone, with the reason."""
        system, new = self._system, deployment.new
        plan = system.plan(name, new, system.accepted.application(new, name))
        if name not in system.declaration(deployment.old).spec.services:
            if name not in system.runtime.view().desired:
                count = sum(group.count for group in replica_groups(plan.spec))
                system.runtime.add_service(plan, count)
            await until_ready(system, plan, [], may_fail=False)
            return
        is_judged = deployment.kind == "deploy" and await self._has_changed(name, deployment)
        rollout = await self._rolled(name, plan.version, is_judged=is_judged)
        if rollout.stage is Stage.UNDONE:
            raise AppError(
                rollout.message,
                subject=f"services.{name}",
                hint=f"see `colonnade logs {name}`",
                detail=_last_words(plan, rollout),
            )

    async def _has_changed(self, name: str, deployment: Deployment) -> bool:
        """Whether its new replicas run anything else than the old ones; who was only asked for by name may not."""
        changes = await asyncio.to_thread(self._system.store.changes, deployment.code[name], deployment.new)
        return name in changes.rollout

    async def _rolled(self, name: str, version: int, *, is_judged: bool) -> Rollout:
        """How the rollout of this service ended, once it has; begun here if an earlier controller has not."""
        system = self._system
        if (ended := self._ended(name, version)) is not None:
            return ended
        system.runtime.add_plan(system.plan(name, version, system.accepted.application(version, name)))
        message = f"{name} goes from version {system.version_of(name)} to {version}"
        await self._until(
            lambda: (
                self._is_under_way(name, version)
                or system.runtime.roll(name, version, reason="deployment", message=message, is_judged=is_judged)
            )
        )
        return await self._until(lambda: self._ended(name, version))

    def _is_under_way(self, name: str, version: int) -> bool:
        rollout = self._system.runtime.view().rollouts.get(name)
        return rollout is not None and rollout.new == version and rollout.numbers is None

    def _ended(self, name: str, version: int) -> Rollout | None:
        rollout = self._system.runtime.ended_rollout(name)
        is_ours = rollout is not None and rollout.new == version and rollout.numbers is None
        return rollout if is_ours else None

    async def _switching(self, deployment: Deployment) -> None:
        """The new version counts from here on. Everything here may be done again."""
        system, new = self._system, deployment.new
        before, after = (system.declaration(number).spec.services for number in (deployment.old, new))
        await asyncio.to_thread(system.store.set_current, new)
        system.version, system.target = new, None
        await self._go_by(deployment)
        for name, service in after.items():
            current = system.version_of(name)
            system.runtime.add_plan(system.plan(name, current, await look_at(system, name, current)))
            if name in before and (before[name].replicas, before[name].weights) != (service.replicas, service.weights):
                self._follow_count(name, sum(group.count for group in replica_groups(service)))
        for name in [name for name in before if name not in after]:
            await self._remove(name)
        await self._until(self._are_within_slots)
        await system.go_by(system.declaration(new))
        system.close_listeners()
        await self._forget_versions()
        self._end(deployment.entering(DeployStage.DONE), "as_declared")

    def _follow_count(self, name: str, declared: int) -> None:
        spec = self._system.declaration(self._system.version).spec.services[name]
        count = self._system.runtime.view().desired[name]
        wanted = declared if spec.replicas.fixed else min(max(count, spec.replicas.min), spec.replicas.max)
        if wanted != count:
            message = f"{name} goes from {count} to {wanted} replicas, as declared"
            self._system.runtime.scale(name, wanted, reason="declared", message=message)

    def _are_within_slots(self) -> bool:
        system = self._system
        view = system.runtime.view()
        return all(replica.id.number <= view.desired.get(replica.id.service, 0) for replica in view.replicas)

    async def _remove(self, name: str) -> None:
        """End a service that is no longer declared: its replicas drain, then its pool goes."""
        system = self._system
        if name not in system.runtime.view().desired:
            return
        system.runtime.scale(name, 0, reason="removed", message=f"{name} is no longer declared: its replicas end")
        await self._until(lambda: all(seen.id.service != name for seen in system.runtime.view().replicas))
        system.runtime.remove_service(name)
        services = {key: service for key, service in system.services.items() if key != name}
        spec = system.loaded.spec.model_copy(update={"services": services})
        await system.go_by(replace(system.loaded, spec=spec), self._used(system.version))

    async def _forget_versions(self) -> None:
        """Versions that nothing runs and that are too many."""
        system = self._system
        view = system.runtime.view()
        in_use = {*view.versions.values(), *(seen.version for seen in view.replicas), system.version}
        system.runtime.drop_plans(keep=in_use)
        known = system.accepted.applications
        system.accept(applications={number: found for number, found in known.items() if number in in_use})
        keep = system.declaration(system.version).spec.system.versions_kept
        await asyncio.to_thread(system.store.prune, keep, in_use)
        for number in [number for number in system.declarations if number not in in_use]:
            del system.declarations[number]

    async def _undoing(self, deployment: Deployment) -> None:
        """One service back, the latest first; or the end. Everything here may be done again."""
        system = self._system
        name = deployment.at
        if name:
            await self._go_by(deployment)
            await self._become_old(name, deployment)
            self._keep(replace(deployment, at=""))
        elif deployment.done:
            self._keep(replace(deployment, at=deployment.done[-1], done=deployment.done[:-1]))
        else:
            await system.go_by(system.declaration(deployment.old))
            system.close_listeners()
            system.target = None
            await self._forget_versions()
            self._end(deployment.entering(DeployStage.UNDONE), "undone")

    async def _become_old(self, name: str, deployment: Deployment) -> None:
        system = self._system
        if name not in system.declaration(deployment.old).spec.services:
            await self._remove(name)
            return
        await self._until(lambda: name not in system.runtime.view().rollouts)
        code = deployment.code[name]
        if system.version_of(name) != code:
            rollout = await self._rolled(name, code, is_judged=False)
            if rollout.stage is Stage.UNDONE:
                # Nothing better is known: what runs goes on, and whoever looks is told.
                message = f"{name} could not go back to version {code}: {rollout.message}"
                system.say("deployment_not_undone", name, rollout.reason, message)
        system.runtime.forget_ended_rollout(name)

    # Small things

    async def _go_by(self, deployment: Deployment) -> None:
        system = self._system
        old, new = (system.declaration(number) for number in (deployment.old, deployment.new))
        await system.go_by(meanwhile(old, new, deployment), self._used(deployment.old, deployment.new))

    def _used(self, *versions: int) -> set[str]:
        return {name for version in versions for name in used_by_others(self._system.declaration(version))}

    def _keep(self, deployment: Deployment) -> None:
        write_deployment(self._system.paths, deployment)
        self._last = deployment

    def _end(self, deployment: Deployment, reason: str) -> None:
        self._keep(deployment)
        self._system.target = None
        kind = f"deployment_{deployment.stage.value}"
        self._system.say(
            kind, "deployment", reason, f"version {deployment.old} → {deployment.new}: {END[deployment.stage]}"
        )

    async def _insist(self, work: Callable[[Deployment], Awaitable[None]], deployment: Deployment) -> None:
        """What cannot be given up is tried again until it succeeds."""
        try:
            await work(deployment)
        except ColonnadeError as error:
            self._system.say("deployment_delayed", "deployment", type(error).__name__, f"{error}; trying again")
            await self._system.clock.sleep(TROUBLE_RETRY_S)

    async def _until(self, condition: Callable[[], T | None]) -> T:
        """The first true value; looked at after each event."""
        changed = asyncio.Event()
        unsubscribe = self._system.events.subscribe(lambda _: changed.set())
        try:
            while not (found := condition()):
                await changed.wait()
                changed.clear()
            return found
        finally:
            unsubscribe()


def _declared(system: System) -> tuple[LoadedSpec, str]:
    """What stands in the directory that the system came from, and the file's text."""
    accepted = system.accepted
    if accepted.app:
        return spec_for_app(accepted.app, directory=accepted.directory), ""
    file = Path(accepted.source)
    loaded = load_spec(file)
    return loaded, file.read_text(encoding="utf-8")


def _refuse_others(changes: Changes) -> None:
    """Raises SpecError when a key has changed that does not take effect by deploying."""
    keys = [key for effect in NOT_BY_DEPLOYING for key in changes.spec.with_effect(effect)]
    if keys:
        told = "; ".join(f"{key} takes effect {key.effect.value}" for key in keys)
        raise SpecError(
            f"cannot be deployed: {told}",
            subject="deploy",
            hint="take these changes back, or make them in that way first",
        )


def _last_words(plan: ServicePlan, rollout: Rollout) -> str:
    """The end of the log of a replica that could not live; empty when the version was worse in another way."""
    if rollout.reason not in ("crash_loop", "keeps_dying", "start_timeout"):
        return ""
    logs = [log_path(plan.log_directory, ReplicaId(rollout.service, number)) for number in rollout.moved]
    newest = max((log for log in logs if log.exists()), key=lambda log: log.stat().st_mtime, default=None)
    return "\n".join(tail_lines(newest, LOG_TAIL_LINES)) if newest is not None else ""


def _with_detail(message: str, error: ColonnadeError) -> str:
    detail = error.detail.strip() if isinstance(error, AppError) else ""
    return f"{message}\n{detail}" if detail else message
