"""`colonnade up`: start the system or find it running, and show it.

The viewer holds nothing: killing it stops nothing, Ctrl-C in it means `down`.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Group
from rich.live import Live
from rich.text import Text

from colonnade.cli.development import DevelopmentTerminal
from colonnade.cli.follow import follow_events, is_gone, print_event
from colonnade.cli.messages import event_line, out, print_warning
from colonnade.cli.screens import system_screen
from colonnade.core.errors import DriverUnavailable
from colonnade.system.client import ControlClient, NotRunning, is_running
from colonnade.system.ending import stop, wait_until_down
from colonnade.system.launch import (
    Declared,
    Launch,
    Wishes,
    declare,
    launch,
    start_lock,
    wait_for_answer,
    wait_until_running,
)
from colonnade.system.phase import Phase
from colonnade.system.target import Target

REFRESH_S = 0.5
EVENTS_SHOWN = 8


def up(target: Target, wishes: Wishes, *, detach: bool, is_following: bool = False) -> None:
    """Start, or say that it runs; then show it until Ctrl-C, unless `detach`. `is_following`: also one that runs."""
    if _says_that_it_runs(target):
        if is_following:
            _view(target)
        return
    declared = declare(target, wishes)
    for warning in declared.loaded.warnings:
        print_warning(warning)
    terminal = DevelopmentTerminal(target, declared.loaded.spec.services)
    with _interruptible():
        started = _start(target, declared)
        if started is None:
            return
        with _down_when_interrupted(target):
            show = terminal.show if wishes.is_reloading else print_event
            status = wait_until_running(target.paths, started, show)
        out.print(f"[bold green]ready[/] in {status['start_duration_s']:.1f} s: [bold]{status['url']}[/]")
        if status["dashboard"] is not None:
            out.print(f"dashboard: {status['dashboard']['url']}")
        if status["prometheus"] is not None:
            out.print(f"Prometheus: {status['prometheus']['url']}")
        if detach:
            return
        try:
            if wishes.is_reloading:
                terminal.follow()
            else:
                _view(target)
        except KeyboardInterrupt:
            out.print("Ctrl-C: taking the system down …")
            _stop_if_running(target)


def _says_that_it_runs(target: Target) -> bool:
    status = is_running(target.paths)
    if status is not None and status["phase"] == Phase.STOPPING.value:
        out.print(f"[bold]{status['name']}[/] is being taken down: waiting until it is …")
        wait_until_down(target.paths)
        status = is_running(target.paths)  # somebody else's, perhaps
    if status is None:
        return False
    out.print(
        f"[bold]{status['name']}[/] is {status['phase']} already: [bold]{status['url']}[/] "
        f"(controller {status['controller_pid']}); `colonnade status` shows it, `colonnade down` ends it"
    )
    return True


def _start(target: Target, declared: Declared) -> Launch | None:
    """Returns once somebody answers, or the keeper has ended; None when another `up` was quicker."""
    with start_lock(target.paths):
        if _says_that_it_runs(target):
            return None
        with _down_when_interrupted(target):
            started = launch(target, declared)
            for warning in started.version.warnings if started.version is not None else ():
                print_warning(warning)
            verb = "takes over" if started.is_takeover else "starts"
            out.print(f"[bold]{declared.loaded.spec.system.name}[/] {verb} …")
            wait_for_answer(target.paths, started)
        return started


@contextmanager
def _down_when_interrupted(target: Target) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        out.print("interrupted: taking down what was started …")
        _stop_if_running(target)
        raise


def _stop_if_running(target: Target) -> None:
    try:
        stop(target.paths, print_event)
    except NotRunning:
        return
    out.print("[bold]down[/]")


def _view(target: Target) -> None:
    """The live screen in a terminal, event lines elsewhere; ends when the system does."""
    with ControlClient(target.paths) as client:
        seen = max((event["seq"] for event in client.events()), default=0)
        if not out.is_terminal:
            out.print("events follow; Ctrl-C takes the system down")
            follow_events(target, seen, print_event)
            return
        recent = client.events()[-EVENTS_SHOWN:]
        with Live(console=out, auto_refresh=False, screen=False, transient=True) as live:
            while True:
                try:
                    status = client.status()
                    recent = (recent + client.events(after_seq=seen))[-EVENTS_SHOWN:]
                except DriverUnavailable:
                    time.sleep(REFRESH_S)
                    continue
                except NotRunning:
                    if is_gone(target):
                        return
                    continue
                seen = max([seen, *(event["seq"] for event in recent)])
                lines = [Text.from_markup(event_line(event), overflow="ellipsis") for event in recent]
                live.update(Group(*system_screen(status), "", *lines, Text("Ctrl-C: down", style="dim")), refresh=True)
                time.sleep(REFRESH_S)


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGINT means down also where the shell started us in the background (which ignores it)."""
    old = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, old)
