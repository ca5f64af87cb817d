"""`colonnade deploy`, `apply` and `rollback`: ask for a change, then tell how it goes until its end.

The controller does it. Whoever watches may go away: Ctrl-C ends the watching, not the deployment.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from colonnade.cli.messages import event_line, out
from colonnade.core.clock import SystemClock
from colonnade.core.errors import AppError, DriverUnavailable, HostError
from colonnade.core.events import read_events
from colonnade.core.processes import marked_processes
from colonnade.system.client import ControlClient, NotRunning, is_running
from colonnade.system.target import Target

POLL_S = 0.1
UPGRADE_TIMEOUT_S = 60.0
"""An adoption takes a second; one that meets replicas that do not get ready, five more."""

SHOWN = (
    "deployment_",
    "rollout_",
    "release_",
    "service_scaled",
    "version_",
    "replica_exited",
    "replica_crash",
    "replica_killed",
    "replica_unreached",
)
"""Kinds of events that belong to the story, by how they begin."""


def deploy(target: Target, services: list[str]) -> None:
    """What stands in the directory becomes what runs. Raises AppError when it was refused or undone."""
    _ask_and_follow(target, lambda client: client.deploy(services))


def roll_back(target: Target, version: int | None) -> None:
    _ask_and_follow(target, lambda client: client.roll_back(version))


def upgrade(target: Target) -> None:
    """Gateways, keeper and controller become those of the installed Colonnade; nothing else is touched."""
    with ControlClient(target.paths) as client:
        before = client.status()
        answer = client.upgrade()
    deadline = SystemClock().monotonic() + UPGRADE_TIMEOUT_S
    while SystemClock().monotonic() < deadline:
        status = is_running(target.paths)
        if status is not None and status["controller_pid"] != before["controller_pid"] and status["phase"] == "running":
            version = f"{before['version']} → {status['version']}"
            out.print(f"[bold green]upgraded[/] {version}: {', '.join(answer['renewed'])}")
            out.print("replicas go on as they are; `colonnade deploy SERVICE …` starts them anew")
            return
        time.sleep(POLL_S)
    raise HostError(
        f"the next controller does not answer after {UPGRADE_TIMEOUT_S:.0f} s",
        subject=str(target.paths.root),
        hint="requests are served meanwhile; see `colonnade logs keeper`",
    )


def _ask_and_follow(target: Target, ask: Callable[[ControlClient], dict[str, Any]]) -> None:
    seen = max((event.seq for event in read_events(target.paths.events, count_max=1)), default=0)
    with ControlClient(target.paths) as client:
        asked = _ask(client, target, ask)
        if asked["deployment"] is None:
            out.print(asked["message"])
            return
        try:
            ended = _follow(client, target, int(asked["deployment"]), seen)
        except KeyboardInterrupt:
            out.print(
                "Ctrl-C: it goes on without you; `colonnade status` and `colonnade events --follow` show how far it is"
            )
            raise
    _tell_end(ended)


def _ask(client: ControlClient, target: Target, ask: Callable[[ControlClient], dict[str, Any]]) -> dict[str, Any]:
    """The answer; a controller that ends before it has answered is followed by one that knows whether it had begun."""
    _wait_for_controller(target)
    while True:
        try:
            return ask(client)
        except (NotRunning, DriverUnavailable):
            if not marked_processes(target.paths.mark):
                raise
        _wait_for_controller(target)
        with suppress(NotRunning, DriverUnavailable):
            begun = client.deployment()
            if begun is not None and begun["is_open"]:
                return {"deployment": begun["number"], "message": begun["message"]}


def _wait_for_controller(target: Target) -> None:
    """Until one answers that has found what runs; not at all where nothing runs."""
    while (status := is_running(target.paths)) is None or status["phase"] == "adopting":
        if not marked_processes(target.paths.mark):
            return
        time.sleep(POLL_S)


def _follow(client: ControlClient, target: Target, number: int, seen: int) -> dict[str, Any]:
    """Print what happens until this deployment has ended; a controller that is replaced meanwhile is waited for."""
    while True:
        try:
            deployment = client.deployment()
            for event in client.events(after_seq=seen, wait_s=1):
                seen = event["seq"]
                if str(event["kind"]).startswith(SHOWN):
                    out.print(event_line(event))
        except (NotRunning, DriverUnavailable):
            if not marked_processes(target.paths.mark):
                raise HostError(
                    "the system went down meanwhile",
                    subject="deployment",
                    hint="`colonnade up` starts it as it stands here",
                ) from None
            time.sleep(POLL_S)
            continue
        if deployment is None or deployment["number"] != number:
            raise HostError(
                "another deployment has begun meanwhile", subject="deployment", hint="see `colonnade events`"
            )
        if not deployment["is_open"]:
            return deployment


def _tell_end(deployment: dict[str, Any]) -> None:
    if deployment["stage"] == "done":
        out.print(f"[bold green]done[/]: version {deployment['new']} runs")
        return
    message, _, detail = str(deployment["message"]).partition("\n")
    verdict = "was undone" if deployment["stage"] == "undone" else "was refused"
    raise AppError(
        f"version {deployment['new']} {verdict}: {message}",
        subject=deployment["kind"],
        hint=f"version {deployment['old']} runs as before; `colonnade events` has the story",
        detail=detail,
    )
