"""`colonnade db backup`, `backups` and `verify`: they ask the controller. Read next: `restore.py`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from colonnade.cli.messages import out, print_json, print_warning
from colonnade.cli.options import FileOption, JsonOption, StateOption
from colonnade.core.clock import SystemClock
from colonnade.core.errors import DriverError, DriverUnavailable, SpecError
from colonnade.database.backup.catalogue import stamp
from colonnade.system.client import ControlClient, NotRunning
from colonnade.system.target import find_target

POLL_S = 0.2
AWAY_S_MAX = 10.0
"""How long a controller that restarts may be away before a command that waits for it gives up."""


def add_commands(app: typer.Typer) -> None:
    app.command()(backup)
    app.command()(backups)
    app.command()(verify)


def backup(
    file: FileOption = None,
    state_dir: StateOption = None,
    is_full: Annotated[bool, typer.Option("--full", help="Everything")] = False,
    is_incremental: Annotated[bool, typer.Option("--incremental", help="What changed since the last one")] = False,
) -> None:
    """Take a backup now: incremental where that is possible, unless you say --full."""
    if is_full and is_incremental:
        raise SpecError("--full and --incremental exclude each other", hint="give one of them, or none")
    kind = "full" if is_full else "incremental" if is_incremental else ""
    with ControlClient(find_target(file, "", state_dir).paths) as client:
        seen = max((event["seq"] for event in client.events()), default=0)
        message = _follow(client, client.backup(kind), "taking a backup …")
        for event in client.events(after_seq=seen):
            if event["kind"] == "incremental_refused":
                print_warning(event["message"])
    out.print(escape(message))


def verify(file: FileOption = None, state_dir: StateOption = None) -> None:
    """Restore the latest backup for trial and compare it with the primary."""
    with ControlClient(find_target(file, "", state_dir).paths) as client:
        message = _follow(client, client.verify_backup(), "restoring for trial …")
    out.print(f"[green]good[/] {escape(message)}")


def _follow(client: ControlClient, number: int, doing: str) -> str:
    """Wait for a job; what it says. Raises DriverError when it failed. Ctrl-C ends the waiting, not the job."""
    clock = SystemClock()
    away_since_s: float | None = None
    with out.status(doing):
        while True:
            try:
                job = client.backup_job()
                away_since_s = None
            except (NotRunning, DriverUnavailable):
                now = clock.monotonic()
                away_since_s = away_since_s if away_since_s is not None else now
                if now - away_since_s > AWAY_S_MAX:
                    raise
                time.sleep(POLL_S)
                continue
            if job is None or job["number"] != number:
                raise DriverError(
                    "the controller was restarted meanwhile, and what was under way is gone",
                    subject="backup",
                    hint="run the command again",
                )
            if job["state"] != "running":
                break
            time.sleep(POLL_S)
    if job["state"] == "failed":
        raise DriverError(str(job["message"]), subject=str(job["what"]), hint="see `colonnade events`")
    return str(job["message"])


def backups(
    file: FileOption = None,
    state_dir: StateOption = None,
    json: JsonOption = False,
) -> None:
    """What backups there are, and what can be restored."""
    with ControlClient(find_target(file, "", state_dir).paths) as client:
        value = client.backups()
    if json:
        print_json(value)
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("backup", "kind", "on", "finished", "size", "lsn", "timeline", ""):
        table.add_column(column, no_wrap=True)
    for each in value["backups"]:
        table.add_row(
            each["id"],
            each["kind"],
            each["parent"] or "—",
            stamp(each["finished_s"]),
            f"{each['size_bytes'] / 1e6:.1f} MB",
            f"{each['stop_lsn'] >> 32:X}/{each['stop_lsn'] & 0xFFFFFFFF:X}",
            str(each["stop_timeline"]),
            "" if each["is_usable"] else "[yellow]of a history that was left[/]",
        )
    out.print(table)
    for line in backups_lines(value):
        out.print(line)


def backups_lines(value: Mapping[str, Any]) -> list[str]:
    """What stands below the table."""
    lines = [f"[dim]in[/] {escape(value['directory'])}"]
    if value["is_same_disk"]:
        lines.append("[yellow]![/] on the same disk as the data: copy it to another machine, regularly")
    if value["earliest_s"] is None:
        lines.append("nothing can be restored yet")
    else:
        latest = stamp(value["latest_s"]) if value["latest_s"] is not None else "the end of the backup"
        lines.append(f"[dim]can be restored[/] {stamp(value['earliest_s'])} … {latest} (last commit in the archive)")
    if value["missing_wal"]:
        lines.append(f"[bold red]![/] the archive has a gap: {value['missing_wal']} is missing")
    waiting = f"{value['archive_pending_segments']} pieces of WAL, {value['archive_pending_bytes'] / 1e6:.0f} MB"
    lines.append(f"[dim]archive[/] {waiting} wait, the oldest for {value['archive_pending_s']:.0f} s")
    if value["archive_trouble"]:
        lines.append(f"[bold red]![/] {escape(value['archive_trouble'])}")
    verification = value["verification"]
    if verification is None:
        lines.append("[dim]verified[/] never; try `colonnade db verify`")
    else:
        good = "[green]good[/]" if verification["is_good"] else "[bold red]not good[/]"
        lines.append(f"[dim]verified[/] {good} {stamp(verification['at_s'])}, {verification['backup_id']}")
        lines += [f"  {escape(each)}" for each in (*verification["differences"], verification["error"]) if each]
    return lines
