"""A Docker engine of a test's own: started in a temporary directory, and gone with everything it made.

Needs root and Debian's docker.io, docker-compose and debootstrap. `--bridge=none` and `--iptables=false` leave nothing
on the host: published ports go through Docker's own proxy, and builds use the host's network.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

NEEDED = ("dockerd", "docker", "docker-compose", "debootstrap")
START_S_MAX = 60.0
RELEASE = "bookworm"
BASE = f"colonnade-test-base:{RELEASE}"
BASE_VARIABLE = "COLONNADE_TEST_BASE"
"""A file for the base image's root file system: made when it is not there, and kept for the next run."""


def missing() -> str:
    """Why there cannot be an engine here; empty when there can."""
    if os.geteuid() != 0:
        return "Docker's engine needs root"
    lacking = [name for name in NEEDED if shutil.which(name, path=PATH) is None]
    if lacking:
        return f"not installed: {', '.join(lacking)}"
    rules = subprocess.run(["iptables", "-S", "FORWARD"], env={"PATH": PATH}, capture_output=True, text=True).stdout
    # Another engine's firewall: it would drop what our containers say to each other.
    return "the host drops forwarded packets, as another Docker has it" if "-P FORWARD DROP" in rules else ""


PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
"""Debian's own programs, whatever else is called docker here."""


@dataclass(frozen=True, slots=True)
class Engine:
    socket: Path

    @property
    def env(self) -> dict[str, str]:
        return {**os.environ, "PATH": PATH, "DOCKER_HOST": f"unix://{self.socket}", "DOCKER_BUILDKIT": "1"}

    def docker(self, *arguments: str, timeout_s: float = 120.0) -> str:
        return run(["docker", *arguments], self.env, timeout_s=timeout_s)

    def compose(self, directory: Path, *arguments: str, timeout_s: float = 180.0) -> str:
        return run(["docker-compose", *arguments], self.env, directory=directory, timeout_s=timeout_s)

    def size_bytes(self, image: str) -> int:
        return int(self.docker("image", "inspect", "--format", "{{.Size}}", image))


def run(argv: Sequence[str], env: Mapping[str, str], *, directory: Path | None = None, timeout_s: float) -> str:
    """Its output; raises AssertionError with all it said when it fails."""
    done = subprocess.run(argv, env=dict(env), cwd=directory, capture_output=True, text=True, timeout=timeout_s)
    assert done.returncode == 0, f"{' '.join(argv)}: {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout.strip()


@contextmanager
def engine(directory: Path) -> Iterator[Engine]:
    """An engine with the base image in it."""
    made = Engine(directory / "s")
    argv = ["dockerd", "--data-root", str(directory / "data"), "--exec-root", str(directory / "exec")]
    argv += [
        "--pidfile",
        str(directory / "pid"),
        "--host",
        f"unix://{made.socket}",
        "--bridge=none",
        "--iptables=false",
    ]
    with (directory / "log").open("wb") as log:
        daemon = subprocess.Popen(
            argv, env={**os.environ, "PATH": PATH}, stdout=log, stderr=log, start_new_session=True
        )
    try:
        _wait_for(made, daemon, directory / "log")
        _import_base(made, directory)
        yield made
    finally:
        _end(made, daemon)


def _wait_for(made: Engine, daemon: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S_MAX
    while subprocess.run(["docker", "info"], env=made.env, capture_output=True).returncode != 0:
        is_late = time.monotonic() >= deadline
        assert not is_late, log.read_text(errors="replace")[-3000:]
        assert daemon.poll() is None, log.read_text(errors="replace")[-3000:]
        time.sleep(0.2)


def _import_base(made: Engine, directory: Path) -> None:
    """Debian with Python, and nothing of ours; from Debian's own packages, because there may be no registry."""
    kept = Path(os.environ.get(BASE_VARIABLE) or directory / "base.tar")
    if not kept.exists():
        root = directory / "base"
        argv = [
            "debootstrap",
            "--variant=minbase",
            "--include=python3,python3-venv,ca-certificates",
            RELEASE,
            str(root),
        ]
        run(argv, {**os.environ, "PATH": PATH}, timeout_s=900)
        draft = kept.with_suffix(".draft")
        run(["tar", "-C", str(root), "--exclude=./var/cache/apt/*", "-cf", str(draft), "."], os.environ, timeout_s=120)
        draft.rename(kept)
        shutil.rmtree(root)
    made.docker("import", str(kept), BASE)


def _end(made: Engine, daemon: subprocess.Popen[bytes]) -> None:
    """Containers first, which would outlive the engine, then the engine with its containerd."""
    containers = subprocess.run(["docker", "ps", "-aq"], env=made.env, capture_output=True, text=True).stdout.split()
    if containers:
        subprocess.run(["docker", "rm", "-f", "-v", *containers], env=made.env, capture_output=True, timeout=120)
    subprocess.run(["docker", "network", "prune", "-f"], env=made.env, capture_output=True, timeout=60)
    daemon.terminate()
    try:
        daemon.wait(timeout=60)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()
