"""The command, the environment and the limits of one replica.

Twelve-factor: everything an application needs to know comes in its environment (PORT, <SERVICE>_URL, DATABASE_URL),
its output goes to a file, SIGTERM stops it.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

from colonnade.core.processes import SYSTEM_MARK, Command, Credentials
from colonnade.runtime.rollout import RolloutPolicy
from colonnade.runtime.state import ReplicaId, ReplicaPolicy
from colonnade.spec.derive import replica_group_of
from colonnade.spec.detect import Detected
from colonnade.spec.model import REPLICAS_MAX, ServiceSpec

REPLICA_MARK = "COLONNADE_REPLICA"
"""`backend/3`: an application may show it, and a controller finds by it what its predecessor had just started."""

HOST = "127.0.0.1"
"""Where a replica listens, and the value of $HOST: in a container that is another one, so a command should ask."""

VERSION_VARIABLE = "COLONNADE_VERSION"
"""Number of the version that a replica was started with, for the application to show or to log."""


@dataclass(frozen=True, slots=True)
class ServicePlan:
    """Everything needed to start any replica of one service. `env` is complete but for what differs per replica."""

    name: str
    spec: ServiceSpec
    run: Detected | Sequence[str]
    """An application for Granian, or an argv with $PORT in it."""
    directory: Path
    env: Mapping[str, str] = field(repr=False)
    credentials: Credentials | None
    log_directory: Path
    version: int = 1
    slots_max: int = REPLICAS_MAX
    """Of the service in the gateway: the bound of what a rollout may start in addition."""

    @property
    def application(self) -> Detected | None:
        """What Granian serves; None for a service by `command`."""
        return self.run if isinstance(self.run, Detected) else None

    @property
    def policy(self) -> ReplicaPolicy:
        return ReplicaPolicy(start_timeout_s=self.spec.health.start_timeout_s, drain_timeout_s=self.spec.stop_timeout_s)

    @property
    def rollout_policy(self) -> RolloutPolicy:
        rollout = self.spec.rollout
        return RolloutPolicy(
            surge=rollout.surge,
            unavailable=rollout.unavailable,
            slots_max=self.slots_max,
            canary_time_s=rollout.canary_time_s,
            canary_requests=rollout.canary_requests,
            start_timeout_s=self.spec.health.start_timeout_s,
            # With a consistent hash the gateway knows no slow start: it would move keys again and again.
            slow_start_s=0.0 if self.spec.balance == "consistent-hash" else self.spec.slow_start_s,
        )


def replica_command(plan: ServicePlan, replica: ReplicaId, port: int) -> Command:
    """How to start `replica` on `port`."""
    env = {
        **plan.env,
        **replica_group_of(plan.spec, replica.number).env,
        "HOST": HOST,
        "PORT": str(port),
        REPLICA_MARK: str(replica),
        VERSION_VARIABLE: str(plan.version),
        "PYTHONUNBUFFERED": "1",
    }
    if isinstance(plan.run, Detected):
        argv = granian_argv(plan.run, port, plan.spec)
    else:
        argv = [Template(part).safe_substitute(env) for part in plan.run]
    if plan.spec.memory_bytes_max is not None:
        argv = limited(argv, plan.spec.memory_bytes_max)
    return Command(
        argv=argv,
        cwd=plan.directory,
        env=env,
        log_path=log_path(plan.log_directory, replica),
        credentials=plan.credentials,
    )


def granian_argv(app: Detected, port: int, service: ServiceSpec) -> list[str]:
    """Granian with one worker. No respawn and no backpressure of its own: the gateway limits and we replace."""
    argv = [sys.executable, "-m", "granian", "--interface", app.kind, "--host", HOST, "--port", str(port)]
    argv += granian_options(app.kind, service)
    if app.factory:
        argv.append("--factory")
    return [*argv, app.target]


def granian_options(kind: str, service: ServiceSpec) -> list[str]:
    """What Granian is told apart from where it listens and what it serves; in a container it is the same."""
    argv = ["--workers", "1", "--no-respawn-failed-workers", "--log-level", "warning", "--no-access-log"]
    if kind == "wsgi":
        # One more than the gateway ever sends, so that a health check never waits behind work.
        argv += ["--blocking-threads", str(service.threads + 1), "--no-ws"]
    return argv + static_files_argv(service)


def static_files_argv(service: ServiceSpec) -> list[str]:
    """Directories that Granian serves by itself, without asking the application; relative to where it is started."""
    argv = []
    # It takes the first route that a path begins with: the longer ones first, or `/static/admin` never has its turn.
    for route in sorted(service.static, key=len, reverse=True):
        argv += ["--static-path-route", route, "--static-path-mount", service.static[route]]
    if service.static:
        # 0 leaves the header away. Whole seconds, and rather one than none.
        argv += ["--static-path-expires", str(math.ceil(service.static_max_age_s))]
    return argv


_LIMITER = (
    "import os, resource, sys\n"
    "_, hard = resource.getrlimit(resource.RLIMIT_AS)\n"
    "bound = int(sys.argv[1]) if hard == resource.RLIM_INFINITY else min(int(sys.argv[1]), hard)\n"
    "resource.setrlimit(resource.RLIMIT_AS, (bound, bound))\n"
    "os.execvp(sys.argv[2], sys.argv[2:])\n"
)


def limited(argv: Sequence[str], bytes_max: int) -> list[str]:
    """The command with its address space bounded, and that of its children; a lower limit that there is already stays.
    It bounds itself, 20 ms before it begins: setting the limit of a process of another user needs a privilege
    (CAP_SYS_RESOURCE) that root in a container does not have."""
    return [sys.executable, "-I", "-S", "-c", _LIMITER, str(bytes_max), *argv]


def log_path(directory: Path, replica: ReplicaId) -> Path:
    return directory / f"{replica.service}-{replica.number}.log"


def base_environment(inherited: Mapping[str, str], mark: str, credentials: Credentials | None) -> dict[str, str]:
    """The environment every child gets: the caller's, less what would mislead it, with the system's mark."""
    env = {key: value for key, value in inherited.items() if not key.startswith("GRANIAN_") and key != REPLICA_MARK}
    env[SYSTEM_MARK] = mark
    # As in an activated virtual environment: `python` in a command or a release step is the one that runs us.
    env["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), env.get("PATH", os.defpath)])
    if credentials is not None:
        env.update(HOME=credentials.home, USER=credentials.user_name, LOGNAME=credentials.user_name)
        # Paths of the caller's own session; the dropped user can neither read nor write them.
        for key in ("XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "SSH_AUTH_SOCK"):
            env.pop(key, None)
    return env
