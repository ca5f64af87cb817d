"""`colonnade versions` and `colonnade diff`: what is kept, and what stands in the directory that is not there yet.

Only reads. Both work without a running system; then the version that ran last counts, else the newest.
"""

from __future__ import annotations

from datetime import datetime

from rich.markup import escape
from rich.table import Table

from colonnade.cli.messages import out, print_json
from colonnade.core.clock import SystemClock
from colonnade.core.errors import HostError
from colonnade.spec import FILE_NAME
from colonnade.spec.load import LoadedSpec, load_spec, spec_for_app
from colonnade.system.accepted import read_accepted
from colonnade.system.changes import Changes
from colonnade.system.client import is_running
from colonnade.system.credentials import choose_credentials
from colonnade.system.target import Target
from colonnade.system.versions import Version, VersionStore

NOTHING, SOMETHING = 0, 1
"""Exit codes of `diff`, as of diff(1), `git diff --exit-code` and `kubectl diff`. Errors have 2 and more."""


def show_versions(target: Target, *, as_json: bool) -> None:
    """Newest last, as they came."""
    store = VersionStore(target.paths, SystemClock())
    kept, current = store.list(), store.current
    runs = bool(kept) and is_running(target.paths) is not None
    if as_json:
        print_json([_version_json(version, is_current=version.number == current, runs=runs) for version in kept])
        return
    if not kept:
        out.print("no version is kept here yet: `colonnade up` takes the first")
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("version", "taken", "", "files", "size", "what changed"):
        table.add_column(column, no_wrap=column != "what changed")
    for version in kept:
        at = datetime.fromtimestamp(version.at_s).strftime("%Y-%m-%d %H:%M:%S")  # noqa: DTZ006 — the user's own time zone
        state = "" if version.number != current else "[bold green]runs[/]" if runs else "ran last"
        kilobytes = f"{version.bytes_total / 1e3:,.0f} kB"
        table.add_row(str(version.number), at, state, str(version.files), kilobytes, escape(version.message))
    out.print(table)


def show_difference(target: Target, *, as_json: bool) -> int:
    """Print what `apply` would change; returns the exit code."""
    store = VersionStore(target.paths, SystemClock())
    base = _base(store, target)
    loaded, text = _declared(target, base)
    store = VersionStore(target.paths, SystemClock(), choose_credentials(loaded.spec.system.user, loaded.directory))
    accepted = read_accepted(target.paths)
    changes = store.pending(base.number, loaded, text, database=accepted.database if accepted is not None else None)
    if as_json:
        print_json({"version": base.number, **changes.as_json()})
    elif changes.is_empty:
        out.print(f"nothing: version {base.number} is what stands here")
    else:
        out.print(difference_table(changes))
    return NOTHING if changes.is_empty else SOMETHING


def difference_table(changes: Changes) -> Table:
    """One line per thing that changes, with how it takes effect."""
    table = Table(box=None, pad_edge=False, show_header=False)
    for name in changes.spec.added:
        table.add_row(f"[green]services.{name}[/]", "a new service", "")
    for name in changes.spec.removed:
        table.add_row(f"[red]services.{name}[/]", "is no longer there", "")
    for change in changes.spec.keys:
        key, _, what = str(change).partition(": ")
        table.add_row(escape(key), escape(what), f"[dim]{change.effect.value}[/]")
    for names, files in changes.files_by_service():
        table.add_row(", ".join(names), escape(str(files)), "[dim]by a rollout of the service[/]")
    for name in changes.environments:
        table.add_row(name, "its env file has other content", "[dim]by a rollout of the service[/]")
    return table


def _base(store: VersionStore, target: Target) -> Version:
    """The version to compare with: the one that runs or ran last, else the newest."""
    numbers = store.numbers()
    if not numbers:
        raise HostError(
            "no version is kept here yet, so there is nothing to compare with",
            subject=str(target.paths.root),
            hint="`colonnade up` takes the first",
        )
    current = store.current
    return store.get(current if current in numbers and current is not None else numbers[-1])


def _declared(target: Target, base: Version) -> tuple[LoadedSpec, str]:
    """What stands in the directory, and its text; for a system without a file, its import string again."""
    file = target.file or target.directory / FILE_NAME
    if base.app and not file.exists():
        return spec_for_app(base.app, directory=base.origin), ""
    return load_spec(file), file.read_text(encoding="utf-8")


def _version_json(version: Version, *, is_current: bool, runs: bool) -> dict[str, object]:
    return {
        "number": version.number,
        "at_s": version.at_s,
        "message": version.message,
        "is_current": is_current,
        "is_running": is_current and runs,
        "files": version.files,
        "bytes": version.bytes_total,
        "directory": str(version.directory),
        "warnings": list(version.warnings),
    }
