"""`colonnade db restore`: done here and not by the controller, because in place it needs a system that is down."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from colonnade.cli.messages import out, print_warning
from colonnade.cli.options import FileOption, StateOption
from colonnade.core.clock import SystemClock
from colonnade.core.errors import ColonnadeError, HostError, SpecError
from colonnade.core.files import locked, make_directory
from colonnade.core.processes import Credentials, marked_processes
from colonnade.database.backup.restore import Outcome, finish_swap, restore_cluster, restore_into
from colonnade.database.backup.restore_plan import Plan, Wish, parse_time, plan_restore
from colonnade.database.backup.workplace import Workplace, open_workplace
from colonnade.database.driver import DatabasePaths
from colonnade.runtime.launch import base_environment
from colonnade.spec import FILE_NAME
from colonnade.spec.load import LoadedSpec, load_spec
from colonnade.system import paths as state_paths
from colonnade.system.client import is_running
from colonnade.system.credentials import choose_credentials
from colonnade.system.launch import start_lock
from colonnade.system.needed_access import check_access, needed_access
from colonnade.system.paths import StatePaths
from colonnade.system.reach import open_the_way, plan_openings
from colonnade.system.target import Target, find_target


def restore(
    to_time: Annotated[str, typer.Option(metavar="TIME", help='Such as "2026-01-31 12:00:00+01:00"')] = "",
    to_backup: Annotated[str, typer.Option(metavar="ID", help="One backup as it is, without later WAL")] = "",
    is_latest: Annotated[bool, typer.Option("--latest", help="As far as the archive goes")] = False,
    into: Annotated[Path | None, typer.Option(help="A directory of its own; the system may run")] = None,
    is_sure: Annotated[bool, typer.Option("--yes", help="Do not ask")] = False,
    file: FileOption = None,
    state_dir: StateOption = None,
) -> None:
    """Restore the database: in place, which needs a system that is down, or into a directory of its own."""
    wish = _wish(to_time, to_backup, is_latest=is_latest)
    target = find_target(file, "", state_dir)
    loaded = load_spec(target.file or target.directory / FILE_NAME)
    credentials = choose_credentials(loaded.spec.system.user, target.directory)
    with ExitStack() as stack:
        was_running = is_running(target.paths) is not None or bool(marked_processes(target.paths.mark))
        if was_running and into is None:
            raise _is_running_error(target)
        state_paths.prepare(target.paths, credentials)
        if not was_running:
            stack.callback(state_paths.remove_sockets, target.paths)
        another = HostError("another restore is under way", subject=str(target.paths.root), hint="wait for its end")
        stack.enter_context(locked(target.paths.root / "restore.lock", busy=another))
        if into is None:
            stack.enter_context(start_lock(target.paths))
            if marked_processes(target.paths.mark):
                raise _is_running_error(target)  # an `up` was quicker
        place = into.absolute() if into is not None else None
        _open_the_way(loaded, target.paths, credentials, place)
        outcome = asyncio.run(_restore(wish, place, loaded, target.paths, credentials, is_sure=is_sure))
    _tell(outcome, place)


def _wish(to_time: str, to_backup: str, *, is_latest: bool) -> Wish:
    if bool(to_time) + bool(to_backup) + is_latest != 1:
        raise SpecError(
            "say what to restore: one of --to-time, --to-backup and --latest",
            hint="`colonnade db backups` shows what there is",
        )
    if to_backup:
        return Wish("backup", backup_id=to_backup)
    if is_latest:
        return Wish("latest")
    time_s, is_assumed = parse_time(to_time)
    if is_assumed:
        print_warning(f"{to_time} has no time zone: UTC is assumed")
    return Wish("time", time_s=time_s)


def _is_running_error(target: Target) -> ColonnadeError:
    return HostError(
        "the system runs, and its database cannot be replaced under it",
        subject=str(target.paths.root.parent),
        hint="`colonnade down` first, or restore into a directory of its own with --into",
    )


def _open_the_way(loaded: LoadedSpec, paths: StatePaths, credentials: Credentials | None, into: Path | None) -> None:
    """As `up` does: below a closed directory the servers' user gets through in a mount namespace of our own."""
    if credentials is None:
        return
    needed = [place for place in needed_access(loaded, paths) if place.exists()]
    needed += [into.parent] if into is not None and into.parent.exists() else []
    check_access(needed, credentials)
    try:
        openings = plan_openings(map(str, needed), credentials.user_id, credentials.group_id)
        if openings:
            open_the_way(openings)
    except OSError as error:
        raise HostError(
            f"the way for {credentials.user_name} cannot be opened: {error.strerror}",
            subject=str(paths.root),
            hint="let others pass through the directories above (`chmod o+x`)",
        ) from error


async def _restore(
    wish: Wish,
    into: Path | None,
    loaded: LoadedSpec,
    paths: StatePaths,
    credentials: Credentials | None,
    *,
    is_sure: bool,
) -> Outcome:
    if loaded.spec.database is None:
        raise HostError("no database is declared here", subject="database", hint="add [database] to colonnade.toml")
    passage, owner = (0o711, (credentials.user_id, credentials.group_id)) if credentials else (0o700, None)
    places = DatabasePaths(paths.root / "database", paths.logs, paths.sockets / "db")
    make_directory(places.root, mode=passage)
    make_directory(places.history, mode=0o755)
    make_directory(places.sockets, mode=0o700, owner=owner)
    base_env = base_environment(os.environ, paths.mark, credentials)
    work = await open_workplace(loaded.spec.database, places, credentials, base_env, SystemClock(), purpose="restore")
    if into is None and finish_swap(places, work.storage.archive, owner):
        print_warning("an earlier restore had been interrupted in its last step: that one was carried out first")
    plan = await plan_restore(wish, work)
    _confirm(plan, work, into, is_sure=is_sure)
    with out.status("restoring …"):
        return await (restore_into(plan, into, work) if into is not None else restore_cluster(plan, work))


def _confirm(plan: Plan, work: Workplace, into: Path | None, *, is_sure: bool) -> None:
    words = " ".join(plan.target.settings.values()) or "the end of the archive"
    out.print(f"restoring {' + '.join(backup.id for backup in plan.chain)} to {escape(words)}")
    if into is not None or is_sure:
        return
    if not sys.stdin.isatty():
        raise SpecError("this replaces the database", subject="restore", hint="say --yes if that is what you want")
    typer.confirm(f"Replace the database in {work.paths.root}? (It is kept aside.)", abort=True)


def _tell(outcome: Outcome, into: Path | None) -> None:
    out.print(f"[green]restored[/] {outcome.backup_id}; it goes on as timeline {outcome.timeline}")
    if into is not None:
        out.print(f"[dim]in[/] {escape(str(into))}: stopped cleanly; start it with PostgreSQL's own `postgres -D`")
        return
    out.print(f"[dim]what was there is kept in[/] {escape(str(outcome.kept_aside))}")
    out.print("start it with `colonnade up`: standbys are copied anew. Read-your-writes tokens of clients are void.")
