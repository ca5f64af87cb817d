"""The commands. Each is a few lines: options in, one call, output or an error with its hint and exit code.

What only one command needs is imported in it: `status` waits for no declaration's checks, and `up` for no question's
sentences. `tests/unit/cli/test_lazy.py` watches over it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from colonnade import __version__
from colonnade.cli.lazy import lazy_group
from colonnade.cli.messages import err, out, print_error, print_json
from colonnade.cli.options import FileOption, JsonOption, StateOption
from colonnade.cli.words import parse_scale
from colonnade.core.errors import ColonnadeError, SpecError
from colonnade.system.target import Target, find_target

if TYPE_CHECKING:
    from colonnade.system.client import ControlClient

app = typer.Typer(
    help="Run a web application as a scalable, fault-tolerant system. With `--to kubernetes`, deploy, status, scale, "
    "logs, events, rollback and down are for one in a cluster.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(lazy_group("colonnade.cli.database", "The replicated PostgreSQL."), name="db")
app.add_typer(
    lazy_group("colonnade.cli.drill", "Break a copy of this system under load, and prove what it keeps."), name="drill"
)
app.add_typer(
    lazy_group("colonnade.cli.plan", "How much it carries, what breaks first, what the next step needs."), name="plan"
)
app.add_typer(lazy_group("colonnade.cli.export", "What is declared, as files of other tools."), name="export")
app.add_typer(lazy_group("colonnade.cli.image", "Container images of the application."), name="image")


@app.command()
def init(
    directory: Annotated[Path, typer.Argument(help="Where the application is")] = Path(),
) -> None:
    """Find the application here and write a colonnade.toml for it."""
    from colonnade.cli.init import write_declaration

    path, found = write_declaration(directory)
    out.print(f"wrote [bold]{path}[/] for {found}; start it with `colonnade up`")


@app.command()
def up(
    application: Annotated[str, typer.Argument(metavar="[MODULE:APP]", help="Run this app without any file")] = "",
    file: FileOption = None,
    state_dir: StateOption = None,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return once it serves")] = False,
    listen: Annotated[
        str, typer.Option(metavar="ADDRESS:PORT", help="Where the gateway listens, whatever the file says")
    ] = "",
    is_reloading: Annotated[
        bool, typer.Option("--reload", help="For development: one replica each, anew when its code changes")
    ] = False,
    is_following: Annotated[
        bool, typer.Option("--follow", help="Show the events of a system that runs already, too (for a service)")
    ] = False,
    parts: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="prometheus", help="Run this machine's Prometheus as well"),
    ] = None,
    prometheus_binary: Annotated[str, typer.Option(metavar="PATH", help="Which one; else the one on the PATH")] = "",
    detours: Annotated[Path | None, typer.Option(hidden=True, exists=True, file_okay=False)] = None,
) -> None:
    """Start the whole system and show it. Ctrl-C ends it; with --detach `colonnade down` does."""
    from colonnade.cli.up import up as run_up
    from colonnade.system.launch import Wishes

    target = find_target(file, application, state_dir)
    if unknown := set(parts or []) - {"prometheus"}:
        raise SpecError(f"there is no part {unknown.pop()!r}", subject="--with", hint="`--with prometheus` there is")
    prometheus = prometheus_binary if parts or prometheus_binary else None
    run_up(target, Wishes(listen, is_reloading, detours, prometheus), detach=detach, is_following=is_following)


@app.command()
def down(
    file: FileOption = None,
    state_dir: StateOption = None,
    force: Annotated[bool, typer.Option("--force", help="Kill whatever is left of it, running or not")] = False,
) -> None:
    """End the system: the gateway first, then replicas, then the database."""
    from colonnade.system.client import NotRunning
    from colonnade.system.ending import stop

    target = find_target(file, "", state_dir)
    if force:
        from colonnade.cli.ending import end_by_force

        count = end_by_force(target.paths)
        out.print(f"killed {count} processes" if count else "nothing was left")
        return
    try:
        with out.status("taking it down …"):
            stop(target.paths, lambda _: None)
    except NotRunning:
        out.print("nothing is running here")
        return
    out.print("[bold]down[/]")


@app.command()
def status(file: FileOption = None, state_dir: StateOption = None, json: JsonOption = False) -> None:
    """Show services, replicas and database nodes."""
    from colonnade.cli.screens import system_screen
    from colonnade.cli.standing import standing_lines, standing_of

    with _client(file, state_dir) as client:
        value = client.status()
    value |= standing_of(_target(file, state_dir).paths)
    if json:
        print_json(value)
        return
    for part in [*system_screen(value), *standing_lines(value)]:
        out.print(part)


@app.command()
def top(file: FileOption = None, state_dir: StateOption = None) -> None:
    """The system as a living picture in this terminal, with keys to look into a part and to act. `?` tells them."""
    from colonnade.cli.top.start import top as run_top

    raise typer.Exit(run_top(find_target(file, "", state_dir)))


@app.command()
def scale(
    changes: Annotated[list[str], typer.Argument(metavar="SERVICE=N …", help="For example backend=5, or backend=auto")],
    file: FileOption = None,
    state_dir: StateOption = None,
) -> None:
    """Change how many replicas a service has, while it runs. Nothing is lost. A service that scales by itself keeps the
    number until `auto` is asked for."""
    wanted = [parse_scale(change) for change in changes]
    with _client(file, state_dir) as client:
        for service, replicas in wanted:
            client.scale(service, replicas)
            out.print(f"{service} → {'by its load' if replicas is None else replicas}")


@app.command()
def restart(
    names: Annotated[list[str], typer.Argument(metavar="SERVICE[/N] …", help="For example backend/2, or backend")],
    file: FileOption = None,
    state_dir: StateOption = None,
) -> None:
    """Give replicas new processes, one by one: where there is room another one serves first, so nothing is lost."""
    from colonnade.cli import replicas

    replicas.restart(find_target(file, "", state_dir), names)


@app.command()
def drain(
    name: Annotated[str, typer.Argument(metavar="SERVICE/N", help="For example backend/2")],
    file: FileOption = None,
    state_dir: StateOption = None,
    is_undone: Annotated[bool, typer.Option("--undo", help="Give it requests again")] = False,
) -> None:
    """Take one replica out of rotation. It finishes what it has, and stays to be looked at: until `--undo`, a restart,
    or its end."""
    from colonnade.cli import replicas

    replicas.drain(find_target(file, "", state_dir), name, is_undone=is_undone)


@app.command()
def deploy(
    services: Annotated[
        list[str] | None, typer.Argument(metavar="[SERVICE …]", help="Start these anew even if nothing of them changed")
    ] = None,
    file: FileOption = None,
    state_dir: StateOption = None,
) -> None:
    """Replace what runs by what stands here now (code, env files, colonnade.toml), without losing a request. A version
    that is bad is undone by itself."""
    from colonnade.cli import deploy as rollout

    rollout.deploy(find_target(file, "", state_dir), services or [])


@app.command()
def apply(file: FileOption = None, state_dir: StateOption = None) -> None:
    """Make the running system what is declared here: as `deploy`; `diff` shows what that would change."""
    from colonnade.cli import deploy as rollout

    rollout.deploy(find_target(file, "", state_dir), [])


@app.command()
def rollback(
    version: Annotated[int | None, typer.Argument(help="Which one; otherwise the one before", min=1)] = None,
    file: FileOption = None,
    state_dir: StateOption = None,
) -> None:
    """Go back to a version that is kept: its code and its declaration."""
    from colonnade.cli import deploy as rollout

    rollout.roll_back(find_target(file, "", state_dir), version)


@app.command()
def upgrade(file: FileOption = None, state_dir: StateOption = None) -> None:
    """After `pip install -U colonnade`: gateway, keeper and controller become the new ones, while it serves."""
    from colonnade.cli import deploy as rollout

    rollout.upgrade(find_target(file, "", state_dir))


@app.command(name="versions")
def list_versions(file: FileOption = None, state_dir: StateOption = None, json: JsonOption = False) -> None:
    """The versions that are kept: when, what changed, and which one runs."""
    from colonnade.cli import versions

    versions.show_versions(find_target(file, "", state_dir), as_json=json)


@app.command()
def diff(file: FileOption = None, state_dir: StateOption = None, json: JsonOption = False) -> None:
    """What `apply` would change: keys of colonnade.toml, files of the code, env files.

    Exit code 0: nothing, 1: something, above 1: an error, as `diff` has it.
    """
    from colonnade.cli import versions

    raise typer.Exit(versions.show_difference(find_target(file, "", state_dir), as_json=json))


@app.command()
def events(
    file: FileOption = None,
    state_dir: StateOption = None,
    json: JsonOption = False,
    is_following: Annotated[bool, typer.Option("--follow", "-F", help="Go on as they happen")] = False,
    count: Annotated[int, typer.Option("--last", "-n", help="How many", min=1)] = 50,
) -> None:
    """What happened, and why. Reads the disk when nothing runs."""
    from colonnade.cli import follow

    follow.events(find_target(file, "", state_dir), count=count, is_following=is_following, as_json=json)


@app.command()
def history(
    what: Annotated[
        str, typer.Argument(metavar="[SERVICE | SERVICE/N | NODE | METRIC | events]", help="Otherwise an overview")
    ] = "",
    file: FileOption = None,
    state_dir: StateOption = None,
    since: Annotated[str, typer.Option("--since", "-s", help="How far back, such as 10m, 6h or 7d")] = "1h",
    json: JsonOption = False,
) -> None:
    """What was measured and decided, up to weeks back. Reads the disk, also when nothing runs."""
    from colonnade.cli.history import show_history

    show_history(_target(file, state_dir), what, since=since, as_json=json)


@app.command()
def slo(file: FileOption = None, state_dir: StateOption = None, json: JsonOption = False) -> None:
    """Objectives of the services: kept or not, what is left of the error budget, how fast it goes."""
    from colonnade.cli.history import show_slo

    show_slo(_target(file, state_dir), as_json=json)


@app.command()
def alerts(file: FileOption = None, state_dir: StateOption = None, json: JsonOption = False) -> None:
    """What is wrong now, or was within the last hour."""
    from colonnade.cli.history import show_alerts

    show_alerts(_target(file, state_dir), as_json=json)


@app.command()
def logs(
    names: Annotated[list[str] | None, typer.Argument(metavar="[SERVICE | SERVICE/N | gateway | …]")] = None,
    file: FileOption = None,
    state_dir: StateOption = None,
    is_following: Annotated[bool, typer.Option("--follow", "-F", help="Go on as they come")] = False,
    count: Annotated[int, typer.Option("--last", "-n", help="Lines per log", min=1)] = 20,
) -> None:
    """Output of replicas and parts, each line with its origin."""
    from colonnade.cli import follow

    follow.logs(find_target(file, "", state_dir), names or [], count=count, is_following=is_following)


@app.command()
def why(
    about: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SERVICE-N | SERVICE | scaled [SERVICE] | slow [SERVICE] | db | gateway]"),
    ] = None,
    file: FileOption = None,
    state_dir: StateOption = None,
    json: JsonOption = False,
    count: Annotated[int, typer.Option("--last", "-n", help="How many causes", min=1)] = 10,
) -> None:
    """Why it is as it is: from what was recorded, in sentences, the newest cause first."""
    from colonnade.cli.why import why as answer_why

    answer_why(find_target(file, "", state_dir), about or [], count=count, as_json=json)


@app.command()
def dashboard(
    file: FileOption = None,
    state_dir: StateOption = None,
    is_viewer: Annotated[bool, typer.Option("--viewer", help="For somebody who may look and change nothing")] = False,
    is_opening: Annotated[bool, typer.Option("--open", help="Open it in the browser")] = False,
    is_renewing: Annotated[
        bool, typer.Option("--new-tokens", help="Others instead: whoever is logged in is not any more")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Where the dashboard is, with an address that logs in once, and the token."""
    from colonnade.cli.dashboard import Wish, show_dashboard

    show_dashboard(_target(file, state_dir), Wish(is_viewer, is_renewing, is_opening, json))


@app.command(name="doctor")
def run_doctor(json: JsonOption = False) -> None:
    """What this machine has and lacks for Colonnade, and how to get it."""
    from colonnade.cli import doctor

    raise typer.Exit(doctor.run(as_json=json))


@app.command()
def version() -> None:
    """Versions of Colonnade and of the engines it runs."""
    from colonnade.cli import doctor

    out.print(f"colonnade {__version__}")
    for line in doctor.engine_versions():
        out.print(line)


def _client(file: Path | None, state_dir: Path | None) -> ControlClient:
    from colonnade.system.client import ControlClient

    return ControlClient(_target(file, state_dir).paths)


def _target(file: Path | None, state_dir: Path | None) -> Target:
    return find_target(file, "", state_dir)


CLUSTER_VERBS = frozenset({"deploy", "status", "scale", "logs", "events", "rollback", "down", "drill"})


def is_for_a_cluster(words: Sequence[str]) -> bool:
    """Whether one of the verbs that a cluster has as well is sent to one. `db switchover --to b` is not."""
    verb = next((word for word in words if not word.startswith("-")), "")
    return verb in CLUSTER_VERBS and any(word == "--to" or word.startswith("--to=") for word in words)


DRILL_COMMANDS = ("run", "list", "show", "put-back")


def cluster_words(words: Sequence[str]) -> list[str]:
    """`drill` without a command of its own runs the default set, as on one machine."""
    found = list(words)
    place = next((number for number, word in enumerate(found) if not word.startswith("-")), 0)
    is_bare = not any(word in DRILL_COMMANDS for word in found) and not {"-h", "--help"} & set(found)
    if found[place : place + 1] == ["drill"] and is_bare:
        found.insert(place + 1, "run")
    return found


def main() -> None:
    """Entry point of the `colonnade` command."""
    try:
        if is_for_a_cluster(sys.argv[1:]):
            # The verbs of a cluster have other options, and need a library that not everybody has.
            from colonnade.cli.cluster_commands import app as cluster_app

            cluster_app(cluster_words(sys.argv[1:]))
        else:
            app()
    except ColonnadeError as error:
        print_error(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        err.print("interrupted")
        sys.exit(130)


if __name__ == "__main__":
    main()
