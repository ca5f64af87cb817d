"""`colonnade restart` and `colonnade drain`: ask, then tell how it goes. Whoever watches may go away: it goes on."""

from __future__ import annotations

import time

from colonnade.cli.messages import event_line, out
from colonnade.core.errors import AppError, DriverUnavailable
from colonnade.core.events import read_events
from colonnade.core.processes import marked_processes
from colonnade.system.client import ControlClient, NotRunning
from colonnade.system.log_files import name_of
from colonnade.system.target import Target

POLL_S = 0.2
"""Between looks while another controller starts."""

SHOWN = ("replacement_", "replica_")


def restart(target: Target, names: list[str]) -> None:
    """One after the other: `backend/2`, or `backend` for all of it. Raises AppError when a new one does not serve."""
    for name in map(name_of, names):
        seen = max((event.seq for event in read_events(target.paths.events, count_max=1)), default=0)
        with ControlClient(target.paths) as client:
            out.print(client.restart(name))
            _follow(client, target, name.partition("/")[0], seen)


def drain(target: Target, name: str, *, is_undone: bool) -> None:
    with ControlClient(target.paths) as client:
        ask = client.undrain if is_undone else client.drain
        out.print(ask(name_of(name)))


def _follow(client: ControlClient, target: Target, service: str, seen: int) -> None:
    """Print what happens to this service until its replacement has ended; another controller is waited for."""
    while True:
        try:
            is_under_way = _is_under_way(client, service)
            for event in client.events(after_seq=seen, wait_s=1 if is_under_way else 0):
                seen = event["seq"]
                subject = str(event["subject"])
                if service not in (subject, subject.rpartition("/")[0]) or not event["kind"].startswith(SHOWN):
                    continue
                out.print(event_line(event))
                if event["kind"] == "replacement_undone":
                    raise AppError(str(event["message"]), subject=service, hint=f"`colonnade why {service}`")
            if not is_under_way:
                return
        except (NotRunning, DriverUnavailable):
            if not marked_processes(target.paths.mark):
                raise
            time.sleep(POLL_S)


def _is_under_way(client: ControlClient, service: str) -> bool:
    status = client.status()
    if status["phase"] != "running":
        return True
    found = next((one for one in status["services"] if one["name"] == service), None)
    return found is not None and found["rollout"] is not None
