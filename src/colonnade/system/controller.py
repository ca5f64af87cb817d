"""The controller process: brings the system up (or adopts it), runs every subsystem's loop, answers on the control
socket, and takes everything down when asked.

    python -m colonnade.system.controller --state DIR --link FD --keeper-pid PID     (started by the keeper)

Crash-only: an error nobody expected ends the process, the keeper starts the next one, which adopts what runs.
A failure of the user's making during the first start ends the system instead, and is told to `up`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import gc
import os
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colonnade import __version__
from colonnade.core.clock import SystemClock
from colonnade.core.errors import AppError, Bug, ColonnadeError, HostError, SpecError
from colonnade.core.events import EventLog
from colonnade.core.files import write_json_durably
from colonnade.core.transitions import edge
from colonnade.spec.model import AlertsSpec
from colonnade.system.accepted import Accepted, read_accepted
from colonnade.system.api import build_api
from colonnade.system.assemble import assemble
from colonnade.system.database_changes import DatabaseChanges
from colonnade.system.deployer import Deployer
from colonnade.system.deployment import read_deployment
from colonnade.system.drill_runs import DrillRuns
from colonnade.system.keeper_link import KeeperLink
from colonnade.system.measurements import measure
from colonnade.system.paths import StatePaths, make_socket_directory, remove_sockets
from colonnade.system.phase import EDGES, Phase
from colonnade.system.replica_changes import ReplicaChanges
from colonnade.system.serving import open_socket, serve
from colonnade.system.startup import bring_up
from colonnade.system.status import describe
from colonnade.system.system import System
from colonnade.system.teardown import take_down
from colonnade.system.upkeep import begin_loops

if TYPE_CHECKING:  # not every system has a database
    from colonnade.database.backup.service import BackupService

EXIT_CRASHED = 70
EXIT_HANDED_OVER = 75
"""EX_TEMPFAIL: to be started again."""

ANSWER_TIME_S = 0.2
"""Between the answer to `upgrade` and our end: it has left by then."""

ADOPTION_BEFORE_DOWN_S = 10.0
"""How long a `down` that meets a new controller waits for it to find what runs; it takes well under a second."""

ADOPTION_RETRY_S = 2.0
"""How long a controller that cannot adopt what runs stays all the same: `status` tells why, and `down` works."""


class HandOver(Exception):
    """This controller ends so that the keeper starts the next one. Whatever runs is left as it is, and adopted."""


class SystemController:
    """One life of the controller. Everything that lasts longer is in the state directory or in other processes."""

    def __init__(self, paths: StatePaths, accepted: Accepted, link: socket.socket, keeper_pid: int) -> None:
        self.paths = paths
        self.clock = SystemClock()
        self.events = EventLog(self.clock, paths.events)
        self.keeper = KeeperLink(link, keeper_pid, paths, self.events)
        self.accepted = accepted
        self.phase = Phase.ADOPTING if accepted.was_running else Phase.STARTING
        self.started_at_s = self.clock.wall()
        self.system: System | None = None
        self._down_asked = asyncio.Event()
        self._hand_over = asyncio.Event()
        self._changes: DatabaseChanges | None = None
        self._deployer: Deployer | None = None
        self.drills = DrillRuns(paths, accepted, self.events)
        self._failure: ColonnadeError | None = None
        self.trouble = ""
        """Why adopting does not succeed; for `status`."""
        self._began_at_s = self.clock.monotonic()
        self.start_duration_s = 0.0

    # What the control API asks

    def status(self) -> dict[str, Any]:
        return describe(self)

    def measurements(self) -> dict[str, Any]:
        return measure(self)

    def webhooks(self) -> list[dict[str, Any]]:
        alerts = self.system.loaded.spec.alerts if self.system is not None else AlertsSpec()
        return [webhook.model_dump() for webhook in alerts.webhooks]

    def scale(self, service: str, replicas: int | None) -> None:
        if self.system is None or self.phase is not Phase.RUNNING:
            raise HostError(f"the system is {self.phase.value}", subject=service, hint="try again when it runs")
        self.system.scale(service, replicas)

    def database_changes(self) -> DatabaseChanges:
        if self.system is None or self.phase is not Phase.RUNNING:
            raise HostError(f"the system is {self.phase.value}", subject="database", hint="try again when it runs")
        spec, part = self.system.loaded.spec.database, self.system.database
        if part is None or spec is None:
            raise HostError(
                "no database of ours runs here", subject="database", hint="see [database] in colonnade.toml"
            )
        if self._changes is None:
            self._changes = DatabaseChanges(part.controller, spec, self._keep_settings)
        return self._changes

    def replica_changes(self) -> ReplicaChanges:
        if self.system is None or self.phase is not Phase.RUNNING:
            raise HostError(f"the system is {self.phase.value}", subject="replicas", hint="try again when it runs")
        return ReplicaChanges(self.system.runtime, self.events)

    def _keep_settings(self, settings: dict[str, Any]) -> None:
        if self.system is not None:
            self.system.accept(database=settings)

    def deployment(self) -> dict[str, Any] | None:
        """The last one, in every phase: whoever waits for its end is not put off by a controller that starts."""
        if self._deployer is not None:
            return self._deployer.describe()
        last = read_deployment(self.paths)
        return last.as_json() if last is not None else None

    def deployments(self) -> Deployer:
        if self._deployer is None or self.phase is not Phase.RUNNING:
            raise HostError(f"the system is {self.phase.value}", subject="deployment", hint="try again when it runs")
        return self._deployer

    def backups(self) -> BackupService:
        if self.system is None or self.phase is not Phase.RUNNING:
            raise HostError(f"the system is {self.phase.value}", subject="backup", hint="try again when it runs")
        part = self.system.database
        if part is None or part.backups is None:
            hint = "add [database.backup] to colonnade.toml, then `colonnade down` and `colonnade up`"
            raise HostError("no backups are declared here", subject="database.backup", hint=hint)
        return part.backups

    async def upgrade(self) -> dict[str, Any]:
        """Gateways and keeper become those that are installed now; this controller ends once it has answered, and its
        successor is."""
        if self.system is None or self.phase is not Phase.RUNNING:
            raise HostError(f"the system is {self.phase.value}", subject="upgrade", hint="try again when it runs")
        renewed = ["gateway"] if await self.system.gateway.renew() else []
        if self.system.database is not None and await self.system.database.gateway.renew():
            renewed.append("dbgate")
        if self.system.dashboard is not None:
            self.system.dashboard.renew()
            renewed.append("dashboard")
        await self.keeper.renew()
        message = f"{', '.join([*renewed, 'keeper'])} renewed; the controller hands over"
        self.events.emit("upgraded", "system", reason="asked", message=message)
        asyncio.get_running_loop().call_later(ANSWER_TIME_S, self._hand_over.set)
        return {"renewed": [*renewed, "keeper", "controller"], "version": __version__}

    def request_down(self) -> None:
        with contextlib.suppress(ColonnadeError):  # a keeper that is being replaced; then this life must suffice
            self.keeper.remember_down()
        self._down_asked.set()

    # The process's life

    async def run(self) -> None:
        self.events.emit(
            "controller_started",
            "controller",
            reason=self.phase.value,
            message=f"controller {os.getpid()} (version {__version__}) is {self.phase.value} {self.paths.root.parent}",
        )
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.request_down)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # the keeper held it back until now
        # As root the parts' user must get through to the database's sockets below.
        make_socket_directory(self.paths, 0o711 if os.geteuid() == 0 else 0o700)
        async with serve(build_api(self), open_socket(self.paths.control_socket)):
            self.keeper.watch()
            self.drills.adopt()
            await self._until_down()
            self._enter(Phase.STOPPING)
            await take_down(self.system, self.drills, self.paths, self.keeper.keeper_pid, self.events)
            if self._failure is not None:
                self._tell_failure(self._failure)
            self.keeper.finish()
        remove_sockets(self.paths)

    async def _until_down(self) -> None:
        """Bring up and run until `down` is asked for, the start fails, or a loop crashes (which raises)."""
        down = asyncio.create_task(self._down_asked.wait())
        start = asyncio.create_task(self._start())
        handing_over = asyncio.create_task(self._hand_over.wait())
        try:
            await first_done(down, start)
            if not start.done():
                if self.phase is Phase.ADOPTING:
                    # What runs is stopped in good order only by one who knows it.
                    await asyncio.wait({start}, timeout=ADOPTION_BEFORE_DOWN_S)
                start.cancel()
                await asyncio.gather(start, return_exceptions=True)
                return
            try:
                start.result()
            except ColonnadeError as error:
                await self._give_up(error, down)
                return
            except Exception as error:  # noqa: BLE001 — the outermost loop: `up` waits to be told, whatever it is
                traceback.print_exc()
                await self._give_up(Bug(f"{type(error).__name__}: {error}", subject="controller"), down)
                return
            self.start_duration_s = self.clock.monotonic() - self._began_at_s
            self._enter(Phase.RUNNING)
            if self.system is None:
                raise Bug("running without a system")
            # What is there now stays: a collection that went through all of it would take tens of milliseconds, from a
            # failover as well.
            gc.freeze()
            self._deployer = Deployer(self.system)
            self.system.spawn(self._deployer.run(), "deployments")
            await first_done(down, handing_over, self.system.crashed)
            if self.system.crashed.done():
                self.system.crashed.result()
            if handing_over.done() and not down.done():
                raise HandOver
        finally:
            down.cancel()
            handing_over.cancel()

    async def _give_up(self, error: ColonnadeError, down: asyncio.Task[Any]) -> None:
        """A first start that fails ends the system. A failed adoption ends only this controller, by raising; but it
        stays for a while to be asked, and a system that is no longer wanted goes down."""
        kind = "adoption_failed" if self.phase is Phase.ADOPTING else "start_failed"
        self.events.emit(
            kind, error.subject, reason=type(error).__name__, message=str(error), data={"hint": error.hint}
        )
        if self.phase is Phase.STARTING:
            self._failure = error
            return
        self.trouble = f"{error} ({error.hint})"
        await asyncio.wait({down}, timeout=ADOPTION_RETRY_S)
        if not down.done():
            raise error

    async def _start(self) -> None:
        """Assemble and bring up. A loop that crashes meanwhile ends the start with its error."""
        self.system = await assemble(self.paths, self.accepted, self.keeper, self.events, self.clock)
        begin_loops(self.system)
        if self.phase is Phase.ADOPTING:
            self._run_dashboard(self.system)
        up = asyncio.create_task(bring_up(self.system, is_adopting=self.phase is Phase.ADOPTING))
        try:
            await first_done(up, self.system.crashed)
            if self.system.crashed.done():
                self.system.crashed.result()
            await up
            if self.phase is Phase.STARTING:
                # Not before: it takes half a second of a processor, for which the first replicas wait as well.
                self._run_dashboard(self.system)
        except ExceptionGroup as group:
            raise first_of(group) from group
        finally:
            up.cancel()
            await asyncio.gather(up, return_exceptions=True)

    def _run_dashboard(self, system: System) -> None:
        if system.dashboard is not None:
            system.spawn(system.dashboard.run(build_api(self)), "dashboard")
        if system.prometheus is not None:
            system.spawn(system.prometheus.run(), "prometheus")
            if system.database is not None:
                system.database.watch_statistics(system.spawn)

    def _enter(self, phase: Phase) -> None:
        message = edge(EDGES, self.phase, phase, subject="system")
        self.phase = phase
        self.events.emit(f"system_{phase.value}", "system", reason="phase_changed", message=message)

    def _tell_failure(self, error: ColonnadeError) -> None:
        with contextlib.suppress(ColonnadeError):  # a full disk: the event said it, and `up` says that it ended
            write_json_durably(
                self.paths.failure,
                {
                    "message": error.message,
                    "hint": error.hint,
                    "subject": error.subject,
                    "detail": error.detail if isinstance(error, AppError) else "",
                    "exit_code": error.exit_code,
                },
                mode=0o600,
            )


async def first_done(*waits: asyncio.Future[Any]) -> None:
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)


def first_of(group: ExceptionGroup[Exception]) -> Exception:
    """Of several services that failed to start at once, the first one's error is the one to tell."""
    error: Exception = group
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def hold_lock(paths: StatePaths) -> None:
    """One controller per state directory. Raises HostError when another lives."""
    descriptor = os.open(paths.root / "controller.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise HostError(
            "another controller runs for this directory", subject=str(paths.root), hint="see `colonnade status`"
        ) from error


def main() -> int:
    parser = argparse.ArgumentParser(prog="colonnade-controller")
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--link", type=int, required=True)
    parser.add_argument("--keeper-pid", type=int, required=True)
    options = parser.parse_args()
    os.set_inheritable(options.link, False)
    link = socket.socket(fileno=options.link)
    paths = StatePaths(options.state)
    try:
        hold_lock(paths)
        accepted = read_accepted(paths)
        if accepted is None:
            raise SpecError("nothing was accepted here", subject=str(paths.root), hint="start with `colonnade up`")
        asyncio.run(SystemController(paths, accepted, link, options.keeper_pid).run())
    except HandOver:
        return EXIT_HANDED_OVER
    except Exception:  # noqa: BLE001 — the outermost loop: say it in the log, let the keeper start the next one
        traceback.print_exc()
        return EXIT_CRASHED
    return 0


if __name__ == "__main__":
    sys.exit(main())
