"""`colonnade db …`: the database's state, and a way in."""

from __future__ import annotations

import asyncio
import os
from typing import Annotated, Any

import typer

from colonnade.cli import backup, restore
from colonnade.cli.messages import out, print_json
from colonnade.cli.options import FileOption, JsonOption, StateOption
from colonnade.cli.screens import backup_lines, database_headline, database_table, failover_lines
from colonnade.core.errors import HostError
from colonnade.database.binaries import find_binaries
from colonnade.database.secrets import load_or_make_secrets
from colonnade.spec.load import load_spec
from colonnade.spec.model import DatabaseSpec
from colonnade.system.client import ControlClient
from colonnade.system.database_settings import settings_of
from colonnade.system.target import Target, find_target

app = typer.Typer(no_args_is_help=True)
backup.add_commands(app)
app.command()(restore.restore)


@app.command()
def status(
    file: FileOption = None,
    state_dir: StateOption = None,
    json: JsonOption = False,
) -> None:
    """Nodes, roles, lag, and how the last failover went."""
    database = _database(find_target(file, "", state_dir))
    if json:
        print_json(database)
        return
    out.print(database_headline(database))
    if not database["external"]:
        out.print(database_table(database))
        for line in (*failover_lines(database), *backup_lines(database)):
            out.print(line)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def psql(
    context: typer.Context,
    file: FileOption = None,
    state_dir: StateOption = None,
    is_standby: Annotated[bool, typer.Option("--standby", help="Read from a standby instead of the primary")] = False,
) -> None:
    """Open psql as the application's role. Further arguments are psql's own: `db psql -- -c "SELECT 1"`."""
    target = find_target(file, "", state_dir)
    database = _database(target)
    if database["external"]:
        raise HostError("the database is not ours", subject="database", hint="use psql with its own address")
    host, _, port = database["standbys_endpoint" if is_standby else "primary_endpoint"].rpartition(":")
    directory = asyncio.run(find_binaries()).directory
    name = database["database_name"]
    # In the environment, which only this user can read; an argv is everybody's. What `\!` starts from within psql gets
    # it too, and finds the programs that belong to this server: `db psql -- -c '\! pg_dump -f FILE'`.
    env = {
        **os.environ,
        "PATH": os.pathsep.join([str(directory), os.environ.get("PATH", os.defpath)]),
        "PGHOST": host,
        "PGPORT": port,
        "PGUSER": name,
        "PGDATABASE": name,
        "PGPASSWORD": load_or_make_secrets(target.paths.root / "database", None).application,
    }
    program = str(directory / "psql")
    argv = [program, "--host", host, "--port", port, "--username", name, "--dbname", name, *context.args]
    os.execve(program, argv, env)  # noqa: S606 — psql takes over the terminal


@app.command()
def switchover(
    to: Annotated[str, typer.Option("--to", help="The standby to take over; left out: the one that has most")] = "",
    file: FileOption = None,
    state_dir: StateOption = None,
) -> None:
    """Make another node the primary. Writers wait for a fraction of a second; if that cannot be, nothing changes."""
    with _asking(find_target(file, "", state_dir)) as client, out.status("switching over …"):
        message = client.switch_over(to)
        database = client.status()["database"]
    out.print(message)
    for line in failover_lines(database):
        out.print(line)


@app.command()
def restart(file: FileOption = None, state_dir: StateOption = None) -> None:
    """Start every node anew, one after the other, with the settings that colonnade.toml has now for the database."""
    target = find_target(file, "", state_dir)
    settings = {} if target.app else settings_of(_declared(target))
    with _asking(target) as client, out.status("starting node after node anew …"):
        out.print(client.restart_database(settings))


@app.command()
def standbys(
    count: Annotated[int, typer.Argument(help="How many there shall be", min=0, max=8)],
    file: FileOption = None,
    state_dir: StateOption = None,
) -> None:
    """Add or remove standbys while everything runs. Write it to colonnade.toml as well, or the next `up` undoes it."""
    with _asking(find_target(file, "", state_dir)) as client:
        out.print(client.set_standbys(count))


def _asking(target: Target) -> ControlClient:
    return ControlClient(target.paths)


def _declared(target: Target) -> DatabaseSpec:
    spec = load_spec(target.file or target.directory).spec.database
    if spec is None or spec.url:
        raise HostError("no database of ours is declared here", subject="database", hint="see [database]")
    return spec


def _database(target: Target) -> dict[str, Any]:
    with ControlClient(target.paths) as client:
        database: dict[str, Any] | None = client.status()["database"]
    if database is None:
        raise HostError("no database is declared here", subject="database", hint="add [database] to colonnade.toml")
    return database
