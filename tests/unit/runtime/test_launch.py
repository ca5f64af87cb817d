"""The command and environment of a replica, word for word."""

import os
import sys
from pathlib import Path

import pytest

from colonnade.core.processes import SYSTEM_MARK, Credentials
from colonnade.runtime.launch import base_environment, granian_argv, log_path, replica_command
from colonnade.runtime.state import ReplicaId
from colonnade.spec.detect import Detected
from colonnade.spec.model import ServiceSpec

from .builders import ID, plan

WSGI = Detected("wsgi", factory=False, target="backend:app")

COMMON = [sys.executable, "-m", "granian"]
FLAGS = ["--workers", "1", "--no-respawn-failed-workers", "--log-level", "warning", "--no-access-log"]
WHERE = ["--host", "127.0.0.1", "--port", "15003"]


@pytest.mark.parametrize(
    ("app", "argv"),
    [
        (WSGI, ["--interface", "wsgi", *WHERE, *FLAGS, "--blocking-threads", "9", "--no-ws", "backend:app"]),
        (Detected("asgi", factory=False, target="main:app"), ["--interface", "asgi", *WHERE, *FLAGS, "main:app"]),
        (
            Detected("wsgi", factory=True, target="shop.web:create_app"),
            [
                *["--interface", "wsgi", *WHERE, *FLAGS],
                *["--blocking-threads", "9", "--no-ws", "--factory", "shop.web:create_app"],
            ],
        ),
    ],
    ids=["wsgi has one thread more than requests", "asgi", "a factory"],
)
def test_granian_runs_one_worker(app: Detected, argv: list[str]) -> None:
    assert granian_argv(app, 15003, ServiceSpec(threads=8)) == COMMON + argv


def test_static_files_are_served_from_the_longest_route_on() -> None:
    service = ServiceSpec(
        static={"/static": "static", "/static/admin": "../admin", "/media": "/srv/media"}, static_max_age=89.5
    )
    argv = granian_argv(WSGI, 15003, service)
    routes = [argv[index + 1] for index, word in enumerate(argv) if word == "--static-path-route"]
    mounts = [argv[index + 1] for index, word in enumerate(argv) if word == "--static-path-mount"]
    assert routes == ["/static/admin", "/static", "/media"]
    assert mounts == ["../admin", "static", "/srv/media"]
    assert argv[argv.index("--static-path-expires") + 1] == "90"


def test_without_static_files_the_server_looks_for_none() -> None:
    assert not [word for word in granian_argv(WSGI, 15003, ServiceSpec()) if word.startswith("--static")]


@pytest.mark.parametrize("flag", ["--backpressure", "--respawn-failed-workers", "--reload"])
def test_granian_neither_limits_nor_respawns(flag: str) -> None:
    assert flag not in granian_argv(WSGI, 15003, ServiceSpec())


@pytest.mark.parametrize(
    ("run", "argv"),
    [
        (["perl", "server.pl"], ["perl", "server.pl"]),
        (["serve", "--port", "$PORT"], ["serve", "--port", "15003"]),
        (["serve", "127.0.0.1:${PORT}"], ["serve", "127.0.0.1:15003"]),
        (["serve", "--db=$DATABASE_URL"], ["serve", "--db=postgresql://x"]),
        (["serve", "$COLONNADE_REPLICA"], ["serve", "backend/3"]),
        (["serve", "$UNKNOWN", "100$", "$$PORT"], ["serve", "$UNKNOWN", "100$", "$PORT"]),
        (["serve", "$(reboot)", "; reboot", "`x`"], ["serve", "$(reboot)", "; reboot", "`x`"]),
        (["serve", "a b"], ["serve", "a b"]),
    ],
    ids=["plain", "port", "braces", "env", "name", "unknown and escaped", "nothing is run by a shell", "a blank"],
)
def test_a_command_gets_its_variables_without_a_shell(run: list[str], argv: list[str]) -> None:
    command = replica_command(plan(run, env={"DATABASE_URL": "postgresql://x"}), ID, 15003)
    assert command.argv == argv


def test_a_value_that_looks_like_a_variable_is_not_filled_in_again() -> None:
    command = replica_command(plan(["serve", "$GREETING"], env={"GREETING": "$PORT"}), ID, 15003)
    assert command.argv == ["serve", "$PORT"]


def test_where_a_replica_runs_and_writes() -> None:
    command = replica_command(plan(WSGI), ID, 15003)
    assert (command.cwd, command.log_path) == (Path("/srv/app"), Path("/srv/logs/backend-3.log"))
    assert log_path(Path("/l"), ReplicaId("user-api", 12)) == Path("/l/user-api-12.log")


def test_what_the_replica_is_beats_what_the_environment_says() -> None:
    said = {"PORT": "1", "COLONNADE_REPLICA": "else/9", "PYTHONUNBUFFERED": "", "MODE": "test"}
    env = replica_command(plan(WSGI, env=said), ID, 15003).env
    assert env == {
        "HOST": "127.0.0.1",
        "PORT": "15003",
        "COLONNADE_REPLICA": "backend/3",
        "COLONNADE_VERSION": "1",
        "PYTHONUNBUFFERED": "1",
        "MODE": "test",
    }


@pytest.mark.parametrize(("number", "size"), [(1, "large"), (2, "small"), (3, "small"), (9, "small")])
def test_a_weight_group_adds_its_environment(number: int, size: str) -> None:
    groups = [{"replicas": 1, "weight": 3, "env": {"SIZE": "large"}}, {"replicas": 2, "env": {"SIZE": "small"}}]
    command = replica_command(plan(WSGI, env={"SIZE": "none"}, weights=groups), ReplicaId("backend", number), 15003)
    assert command.env["SIZE"] == size


def test_no_secret_shows_in_a_repr() -> None:
    described = plan(WSGI, env={"TOKEN": "s3cret"})
    command = replica_command(described, ID, 15003)
    assert "s3cret" not in repr(described) + repr(command)


def test_the_policy_comes_from_the_declaration() -> None:
    policy = plan(WSGI, health={"start_timeout": "7s"}, stop_timeout="3s").policy
    assert (policy.start_timeout_s, policy.drain_timeout_s) == (7.0, 3.0)


OUR_BIN = str(Path(sys.executable).parent)


def test_children_inherit_the_callers_environment_but_for_what_misleads_them() -> None:
    inherited = {"LANG": "C", "GRANIAN_WORKERS": "8", "COLONNADE_REPLICA": "x/1", SYSTEM_MARK: "/other"}
    env = base_environment(inherited, "/here", None)
    assert {key: env[key] for key in env if key != "PATH"} == {"LANG": "C", SYSTEM_MARK: "/here"}


@pytest.mark.parametrize(("inherited", "rest"), [({"PATH": "/bin:/x"}, "/bin:/x"), ({}, os.defpath)])
def test_python_is_the_one_that_runs_us(inherited: dict[str, str], rest: str) -> None:
    assert base_environment(inherited, "/here", None)["PATH"] == f"{OUR_BIN}:{rest}"


def test_whoever_is_dropped_to_gets_an_environment_of_its_own() -> None:
    nobody = Credentials(65534, 65534, "nobody", "/nonexistent")
    session = {"XDG_RUNTIME_DIR": "/run/user/0", "XDG_CACHE_HOME": "/root/.cache", "SSH_AUTH_SOCK": "/x"}
    env = base_environment({"HOME": "/root", "USER": "root", "LANG": "C", **session}, "/here", nobody)
    assert {key: env[key] for key in env if key != "PATH"} == {
        "HOME": "/nonexistent",
        "USER": "nobody",
        "LOGNAME": "nobody",
        "LANG": "C",
        SYSTEM_MARK: "/here",
    }
