"""Processes that outlive whoever started them: start, adopt, watch, signal, prove dead.

Every process starts in its own session, writes to an append-only file (never to a pipe: a pipe to a dead controller
turns a print into an error), and carries the system's mark in its environment, by which orphans are found.
A process is named by its pid *and* its start time, so a reused pid is never mistaken for it.
This module decides nothing: when to start or stop what is for the subsystems.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from colonnade.core.errors import HostError
from colonnade.core.proc import read_stat

SYSTEM_MARK = "COLONNADE_SYSTEM"
"""Environment variable that every process of a system carries; its value is the state directory."""

KILL_WAIT_S = 5.0
"""How long a SIGKILLed process may take to vanish before we say so: the kernel needs milliseconds, a sick disk more."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Whom a child runs as. Supplementary groups are always dropped with them."""

    user_id: int
    group_id: int
    user_name: str
    home: str


@dataclass(frozen=True, slots=True)
class Command:
    """What to start. `env` is complete (nothing is inherited); `log_path` receives stdout and stderr."""

    argv: Sequence[str]
    cwd: Path
    env: Mapping[str, str] = field(repr=False)
    log_path: Path
    credentials: Credentials | None = None
    pass_fds: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A process that cannot be confused with a later one: pid and start time in clock ticks since boot."""

    pid: int
    start_ticks: int


def start_ticks_of(pid: int) -> int | None:
    """Start time of `pid` in clock ticks since boot (field 22 of /proc/PID/stat), None when it is gone or a zombie."""
    try:
        columns = read_stat(pid)
    except (FileNotFoundError, ProcessLookupError):
        return None
    # A zombie runs nothing and holds nothing: for us it is dead, whoever has yet to reap it.
    return None if columns[0] in (b"Z", b"X") else int(columns[19])


def is_alive(process: ProcessId) -> bool:
    return start_ticks_of(process.pid) == process.start_ticks


class Process:
    """A handle on one process, ours or adopted. Close it when done: it holds a pidfd."""

    def __init__(self, identity: ProcessId, pidfd: int) -> None:
        self.identity = identity
        self.exit_code: int | None = None
        """Known only for our own children; negative for a signal, as in subprocess."""
        self._pidfd = pidfd
        self._exited = False
        self._callbacks: list[Callable[[], None]] = []

    @property
    def pid(self) -> int:
        return self.identity.pid

    def has_exited(self) -> bool:
        """True once it ended; reaps it if it is our child."""
        if not self._exited and self._pidfd >= 0 and _is_readable(self._pidfd):
            self._exited = True
            with contextlib.suppress(ChildProcessError):
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    self.exit_code = os.waitstatus_to_exitcode(status)
        return self._exited

    def on_exit(self, callback: Callable[[], None]) -> None:
        """Call `callback` from the running event loop as soon as the process ends (at once if it has)."""
        loop = asyncio.get_running_loop()
        if self.has_exited():
            loop.call_soon(callback)
            return
        self._callbacks.append(callback)
        loop.add_reader(self._pidfd, self._fire, loop)

    def _fire(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.remove_reader(self._pidfd)
        self.has_exited()
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def send(self, signal_number: signal.Signals) -> None:
        """Signal this one process; nothing happens when it is gone (never hits a successor: the pidfd is exact)."""
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal_number)

    def send_group(self, signal_number: signal.Signals) -> None:
        """Signal its process group. The leader may be dead and its workers alive: the group's id stays taken until
        the last member is gone, and a group that is gone is no error."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal_number)

    def group_is_alive(self) -> bool:
        """True while any member of its group runs, zombies apart."""
        return any(True for _ in group_members(self.pid))

    async def wait(self, timeout_s: float) -> bool:
        """True when it has ended within `timeout_s`."""
        if self.has_exited():
            return True
        ended = asyncio.Event()
        self.on_exit(ended.set)
        try:
            async with asyncio.timeout(timeout_s):
                await ended.wait()
        except TimeoutError:
            return False
        finally:
            # Whoever asks again and again with a short time-out must not leave a callback behind each time.
            if ended.set in self._callbacks:
                self._callbacks.remove(ended.set)
        return True

    def close(self) -> None:
        if self._pidfd >= 0:
            with contextlib.suppress(RuntimeError):
                asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1

    def __repr__(self) -> str:
        return f"Process(pid={self.pid}, exited={self._exited})"


def _is_readable(descriptor: int) -> bool:
    # Not select(): it fails for descriptors of 1024 and more.
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


def start(command: Command) -> Process:
    """Start a process in a session of its own. Raises HostError when the program or directory cannot be used."""
    credentials = command.credentials
    try:
        log = os.open(command.log_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        raise HostError(
            f"the log cannot be opened: {error.strerror}",
            subject=str(command.log_path),
            hint=f"check the directory: `ls -ld {command.log_path.parent}`",
        ) from error
    try:
        child = subprocess.Popen(
            list(command.argv),
            cwd=command.cwd,
            env=dict(command.env),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=command.pass_fds,
            user=credentials.user_id if credentials else None,
            group=credentials.group_id if credentials else None,
            extra_groups=[] if credentials else None,
            umask=0o027,
        )
    except OSError as error:
        raise HostError(
            f"cannot be started: {error.strerror or error}",
            subject=str(command.argv[0]),
            hint=f"try it by hand in {command.cwd}, or run `colonnade doctor`",
        ) from error
    finally:
        os.close(log)
    # From here on the pidfd is the truth; Popen must not reap or warn when it is collected.
    child.returncode = 0
    pidfd = os.pidfd_open(child.pid)
    ticks = start_ticks_of(child.pid)
    # An instant death leaves a zombie with ticks of None; 0 never matches a live process.
    return Process(ProcessId(child.pid, ticks or 0), pidfd)


def adopt(identity: ProcessId) -> Process | None:
    """A handle on a process that an earlier controller started; None when it is gone."""
    try:
        pidfd = os.pidfd_open(identity.pid)
    except OSError:
        return None
    # The check comes after the open: now the pid cannot be reused under our hands.
    if not is_alive(identity):
        os.close(pidfd)
        return None
    return Process(identity, pidfd)


def group_members(group_id: int) -> Iterator[int]:
    """Live (not zombie) members of a process group."""
    for pid in psutil.pids():
        try:
            if os.getpgid(pid) == group_id and start_ticks_of(pid) is not None:
                yield pid
        except (ProcessLookupError, PermissionError):
            continue


async def stop(process: Process, *, grace_period_s: float) -> bool:
    """SIGTERM to the leader, SIGKILL to the whole group after the grace period; True when SIGTERM was enough."""
    process.send(signal.SIGTERM)
    graceful = await process.wait(grace_period_s)
    await kill(process)
    return graceful


async def kill(process: Process) -> None:
    """SIGKILL the whole group and wait until nobody of it runs. Raises HostError if the kernel does not let go."""
    deadline = asyncio.get_running_loop().time() + KILL_WAIT_S
    process.send_group(signal.SIGKILL)
    process.send(signal.SIGKILL)
    await process.wait(KILL_WAIT_S)
    while process.group_is_alive():
        if asyncio.get_running_loop().time() > deadline:
            raise HostError(
                f"process group {process.pid} does not die",
                subject=str(process.pid),
                hint=f"it waits for the disk or the kernel: look at `ps -o pid,stat,wchan:30,args -g {process.pid}`",
            )
        process.send_group(signal.SIGKILL)
        await asyncio.sleep(0.005)


def relatives_of_ours() -> set[int]:
    """This process and its ancestors: never among those that we end."""
    return {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}


def group_of(pid: int) -> int | None:
    """The process group of `pid`; None when it is gone."""
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def marked_processes(mark: str, *, with_variable: str = "") -> list[int]:
    """Pids of all processes of this system, ourselves and our ancestors apart; with `with_variable`, only those that
    have that environment variable too.

    `mark` is the state directory. A process belongs to it that carries the mark; or that works below it and has no
    environment at all: PostgreSQL's children overwrite theirs with their title, but their working directory is the
    node's data. (Somebody's shell that went there to read a log has one, and is none of ours.)"""
    ours = relatives_of_ours()
    return [pid for pid in psutil.pids() if pid not in ours and _is_marked(pid, mark, with_variable)]


def _is_marked(pid: int, mark: str, with_variable: str) -> bool:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        place = os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return False  # gone meanwhile, or another user's: then it is not ours to stop
    if start_ticks_of(pid) is None:
        return False
    entries = environment.split(b"\0")
    if with_variable and not any(entry.startswith(f"{with_variable}=".encode()) for entry in entries):
        return False
    is_erased = b"=" not in environment
    return f"{SYSTEM_MARK}={mark}".encode() in entries or (is_erased and f"{place}/".startswith(f"{mark}/"))


def name_of(pid: int) -> str:
    """The program's name as the kernel knows it (15 characters at most); empty when the process is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def variable_of(pid: int, name: str) -> str | None:
    """A variable of the environment that a process was started with; None when it has none, or is gone."""
    try:
        entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return None
    start = f"{name}=".encode()
    return next((entry[len(start) :].decode(errors="replace") for entry in entries if entry.startswith(start)), None)


PROGRAM_TIMEOUT_S = 10.0


def program_version(program: str) -> str:
    """The first line of what `program` says about its version. Raises HostError when it cannot be run."""
    for option in ("--version", "-v"):
        try:
            done = subprocess.run(
                [program, option], capture_output=True, text=True, timeout=PROGRAM_TIMEOUT_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise HostError(
                f"cannot be run ({error})", subject=program, hint="install it again, or run `colonnade doctor`"
            ) from error
        if done.returncode == 0 and done.stdout.strip():
            return done.stdout.strip().splitlines()[0]
    raise HostError("does not tell its version", subject=program, hint="install it again, or run `colonnade doctor`")
