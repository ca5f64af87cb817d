"""Asking a running system through its control socket. Synchronous: for the command line and for tests.

On the standard library: every command starts with this, and an HTTP client for the whole web takes longer to import
than the answer to come.
"""

from __future__ import annotations

import json
import socket
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import Any

from colonnade.core.errors import ColonnadeError, DriverError, DriverUnavailable, HostError
from colonnade.system.paths import StatePaths

ANSWER_TIMEOUT_S = 10.0
CHANGE_TIMEOUT_S = 1000.0
"""A rolling restart with long recoveries; the controller gives up before."""
BACKUPS_TIMEOUT_S = 120.0
"""The archive is read backwards for its last commit, piece by piece, on a disk that may be slow."""


class NotRunning(HostError):
    """Nobody answers for this state directory."""


class ControlClient:
    """Questions to one system, each on a connection of its own. Raises NotRunning when there is none, and the
    controller's own errors."""

    def __init__(self, paths: StatePaths) -> None:
        self._paths = paths

    def __enter__(self) -> ControlClient:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open between two questions."""

    def status(self) -> dict[str, Any]:
        return self._ask("GET", "/status")

    def measurements(self) -> dict[str, Any]:
        """Raw counters beside the status."""
        return self._ask("GET", "/measurements")

    def events(self, *, after_seq: int = 0, wait_s: int = 0) -> list[dict[str, Any]]:
        answer = self._ask("GET", f"/events?after_seq={after_seq}&wait_s={wait_s}", timeout_s=wait_s + ANSWER_TIMEOUT_S)
        events: list[dict[str, Any]] = answer["events"]
        return events

    def scale(self, service: str, replicas: int | None) -> None:
        """None: by its load."""
        wanted = "auto" if replicas is None else replicas
        self._ask("POST", "/scale", body={"service": service, "replicas": wanted})

    def restart(self, name: str) -> str:
        """`backend/2`, or all of `backend`: begun when this returns."""
        return self._change("/replicas/restart", {"id": name})

    def drain(self, replica: str) -> str:
        return self._change("/replicas/drain", {"id": replica})

    def undrain(self, replica: str) -> str:
        return self._change("/replicas/undrain", {"id": replica})

    def deploy(self, services: list[str]) -> dict[str, Any]:
        """Returns once the new version is taken: the number to ask for its end by, None when nothing is to be done."""
        return self._ask("POST", "/deploy", body={"services": services}, timeout_s=CHANGE_TIMEOUT_S)

    def roll_back(self, version: int | None) -> dict[str, Any]:
        return self._ask("POST", "/rollback", body={"version": version}, timeout_s=CHANGE_TIMEOUT_S)

    def upgrade(self) -> dict[str, Any]:
        """The controller that answers ends right after."""
        return self._ask("POST", "/upgrade", timeout_s=CHANGE_TIMEOUT_S)

    def deployment(self) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self._ask("GET", "/deployment")["deployment"]
        return found

    def switch_over(self, to: str) -> str:
        return self._change("/database/switchover", {"to": to})

    def restart_database(self, settings: dict[str, Any]) -> str:
        return self._change("/database/restart", {"settings": settings})

    def set_standbys(self, standbys: int) -> str:
        return self._change("/database/standbys", {"standbys": standbys})

    def _change(self, path: str, body: dict[str, Any]) -> str:
        return str(self._ask("POST", path, body=body, timeout_s=CHANGE_TIMEOUT_S)["message"])

    def down(self) -> None:
        self._ask("POST", "/down")

    def backups(self) -> dict[str, Any]:
        return self._ask("GET", "/backups", timeout_s=BACKUPS_TIMEOUT_S)

    def backup_job(self) -> dict[str, Any] | None:
        job: dict[str, Any] | None = self._ask("GET", "/backups/job")["job"]
        return job

    def backup(self, kind: str) -> int:
        return int(self._ask("POST", "/backup", body={"kind": kind})["job"])

    def verify_backup(self) -> int:
        return int(self._ask("POST", "/verify")["job"])

    def _ask(
        self, method: str, path: str, *, body: dict[str, Any] | None = None, timeout_s: float = ANSWER_TIMEOUT_S
    ) -> dict[str, Any]:
        connection = _ControlConnection(str(self._paths.control_socket), timeout_s)
        try:
            connection.connect()
        except OSError as error:
            raise NotRunning(
                "nothing is running here", subject=str(self._paths.root.parent), hint="start it with `colonnade up`"
            ) from error
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None)
            answer = connection.getresponse()
            if answer.status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
                raise DriverError(
                    f"the controller that runs knows nothing of {path.partition('?')[0]}",
                    subject=str(self._paths.root.parent),
                    hint="it is of an older version: `colonnade upgrade` replaces it by the one that is installed",
                )
            value: dict[str, Any] = json.loads(answer.read())
        except (OSError, HTTPException, ValueError) as error:
            raise DriverUnavailable(
                f"the controller did not answer ({error})",
                subject=str(self._paths.control_socket),
                hint="it restarts by itself: try again in a second",
            ) from error
        finally:
            connection.close()
        if answer.status >= 400:
            raise _error_from(value)
        return value


class _ControlConnection(HTTPConnection):
    """HTTP over the unix socket."""

    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("colonnade", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(self._path)
        except OSError:
            self.sock.close()
            raise


def _error_from(value: dict[str, Any]) -> ColonnadeError:
    error = DriverError(value.get("error", "refused"), hint=value.get("hint", ""), subject=value.get("subject", ""))
    error.exit_code = int(value.get("exit_code", 1))
    return error


def is_running(paths: StatePaths) -> dict[str, Any] | None:
    """The status of the system that answers here; None when there is none."""
    if not paths.control_socket.exists():
        return None
    with ControlClient(paths) as client:
        try:
            return client.status()
        except (NotRunning, DriverUnavailable):
            return None
