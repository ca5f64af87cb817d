"""The keeper: a store of listening sockets that starts the controller again when it dies. No policy, no imports
beyond the standard library, a few megabytes.

It opens each listener once, hands out copies, reaps whatever is orphaned below it (child subreaper), and ends when
the controller says that the system is finished. When the keeper itself is killed, the controller starts a new one
with its own copies: `--inherit`, `--controller-pid` and `--link` are for that.

    python -m colonnade.system.keeper --state DIR [--inherit NAME=FD …] [--controller-pid PID --link FD]
                                      [--user UID:GID --needs DIRECTORY …]     (as root; see reach.py)

Messages on the link (SOCK_SEQPACKET, JSON), controller → keeper: {"listen": {name, host, port}} answered by
{"ok": true, "fd": N} with the descriptor or {"error": text, "errno": n}; {"list": true} answered by all names with
their descriptors, and the addresses that were lost; {"close": name}; {"finished": true}.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from typing import Any

from colonnade.system import reach, sockets

PR_SET_CHILD_SUBREAPER = 36
RESTART_DELAY_MAX_S = 5.0
STABLE_AFTER_S = 5.0
"""A controller that lived this long is started again at once. One that cannot even adopt lives for three."""


class Keeper:
    def __init__(self, state_directory: str, listeners: dict[str, int]) -> None:
        self.state_directory = state_directory
        self.listeners = listeners
        self.lost: dict[str, dict[str, Any]] = {}
        """Listeners that an earlier keeper had and we could not get: where they were, until they are bound anew."""
        self.controller_pid = 0
        self.controller_pidfd = -1
        self.link: socket.socket | None = None
        self.is_finished = False
        self.is_down_asked = False
        self.restart_delay_s = 0.0
        self.started_at_s = 0.0

    def record(self) -> None:
        """What a later keeper needs to find these sockets again; written whole, then renamed."""
        entries = dict(self.lost)
        for name, descriptor in self.listeners.items():
            address = sockets.local_address(descriptor)
            if address is not None:
                entries[name] = {"host": address[0], "port": address[1], "fd": descriptor}
        path = os.path.join(self.state_directory, "listeners.json")
        try:
            with open(f"{path}.new", "w", encoding="utf-8") as file:
                json.dump(entries, file)
            os.replace(f"{path}.new", path)
        except OSError as error:
            log(f"{path} could not be written ({error}): a later keeper would have to bind the ports anew")

    def start_controller(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        os.set_inheritable(theirs.fileno(), True)
        argv = [sys.executable, "-m", "colonnade.system.controller"]
        argv += ["--state", self.state_directory, "--link", str(theirs.fileno()), "--keeper-pid", str(os.getpid())]
        # The controller inherits the mask and lifts it when it can listen: a SIGTERM that we pass on earlier waits.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        try:
            child = subprocess.Popen(  # the log is our own stdout, inherited
                argv, pass_fds=(theirs.fileno(),), start_new_session=True, stdin=subprocess.DEVNULL
            )
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        child.returncode = 0  # we reap by waitpid(-1), not through Popen
        theirs.close()
        self.watch(child.pid, ours)
        if self.is_down_asked:
            self.ask_down()

    def watch(self, pid: int, link: socket.socket) -> None:
        self.link = link
        self.controller_pid = pid
        self.controller_pidfd = os.pidfd_open(pid)
        self.started_at_s = time.monotonic()

    def run(self, wakeup: socket.socket) -> int:
        while True:
            watched: list[Any] = [wakeup, self.controller_pidfd]
            if self.link is not None:
                watched.append(self.link)
            readable, _, _ = select.select(watched, [], [])
            if wakeup in readable:
                self.on_signals(wakeup.recv(1024))
            if self.link is not None and self.link in readable:
                self.on_message()
            if self.controller_pidfd in readable:
                self.reap()
                if self.is_finished:
                    return 0
                self.restart_controller()

    def on_signals(self, numbers: bytes) -> None:
        if {signal.SIGTERM, signal.SIGINT} & set(numbers):
            self.is_down_asked = True
            self.ask_down()
        self.reap()

    def ask_down(self) -> None:
        """A controller that dies before it is done with it leaves the rest to its successor, who is asked again."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.controller_pidfd, signal.SIGTERM)

    def reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass

    def restart_controller(self) -> None:
        lived_s = time.monotonic() - self.started_at_s
        os.close(self.controller_pidfd)
        if self.link is not None:
            self.link.close()
        self.restart_delay_s = (
            0.0 if lived_s >= STABLE_AFTER_S else min(RESTART_DELAY_MAX_S, max(0.05, self.restart_delay_s * 2))
        )
        log(f"controller {self.controller_pid} ended after {lived_s:.1f} s; next in {self.restart_delay_s:.2f} s")
        while True:
            time.sleep(self.restart_delay_s)
            try:
                self.start_controller()
            except OSError as error:  # no memory or no process to be had just now
                self.restart_delay_s = min(RESTART_DELAY_MAX_S, max(0.05, self.restart_delay_s * 2))
                log(f"the controller cannot be started ({error}); next try in {self.restart_delay_s:.2f} s")
            else:
                return

    def on_message(self) -> None:
        link = self.link
        if link is None:
            return
        try:
            received = sockets.receive_message(link)
            if received is None:
                self.drop_link()
                return
            answer, descriptors = self.handle(received[0])
            sockets.send_message(link, answer, descriptors)
        except OSError as error:
            log(f"link to the controller broke: {error}")
            self.drop_link()

    def drop_link(self) -> None:
        """The pidfd says whether the controller is dead; a broken link alone is not a reason to restart it."""
        if self.link is not None:
            self.link.close()
            self.link = None

    def handle(self, message: dict[str, Any]) -> tuple[dict[str, Any], tuple[int, ...]]:
        if "down" in message:
            # Should this controller die on the way, its successor goes on with it.
            self.is_down_asked = True
            return {"ok": True}, ()
        if "listen" in message:
            return self.listen(**message["listen"])
        if "list" in message:
            names = sorted(self.listeners)
            descriptors = tuple(self.listeners[name] for name in names)
            return {"names": names, "fds": descriptors, "lost": self.lost}, descriptors
        if "close" in message:
            descriptor = self.listeners.pop(message["close"], None)
            if descriptor is not None:
                os.close(descriptor)
                self.record()
            return {"ok": True}, ()
        if "finished" in message:
            self.is_finished = True
            return {"ok": True}, ()
        return {"error": f"unknown message {sorted(message)}", "errno": 0}, ()

    def listen(self, name: str, host: str, port: int) -> tuple[dict[str, Any], tuple[int, ...]]:
        if name not in self.listeners:
            try:
                self.listeners[name] = sockets.open_listener(host, port)
            except OSError as error:
                return {"error": os.strerror(error.errno or 0), "errno": error.errno or 0}, ()
            self.lost.pop(name, None)
            self.record()
        return {"ok": True, "fd": self.listeners[name]}, (self.listeners[name],)


def recover_listeners(state_directory: str) -> tuple[dict[str, int], dict[str, dict[str, Any]]]:
    """Copies of the sockets that a dead keeper left to HAProxy and the dashboard, as far as the kernel gives them; and
    the entries of those that it does not."""
    path = os.path.join(state_directory, "listeners.json")
    try:
        with open(path, encoding="utf-8") as file:
            entries = json.load(file)
    except (OSError, ValueError):
        return {}, {}
    listeners: dict[str, int] = {}
    for process in ("gateway", "dbgate", "dashboard"):
        pid = _recorded_pid(os.path.join(state_directory, process, "process.json"))
        if pid is None:
            continue
        for name, entry in entries.items():
            if name in listeners or sockets.take_from_process(pid, entry["fd"]) is None:
                continue
            if sockets.local_address(entry["fd"]) == (entry["host"], entry["port"]):
                listeners[name] = entry["fd"]
            else:
                os.close(entry["fd"])
    log(f"took over {len(listeners)} of {len(entries)} listening sockets")
    return listeners, {name: entry for name, entry in entries.items() if name not in listeners}


def _recorded_pid(path: str) -> int | None:
    try:
        with open(path, encoding="utf-8") as file:
            return int(json.load(file)["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def log(message: str) -> None:
    """One line in the keeper's log (its stdout)."""
    with contextlib.suppress(OSError):  # a full disk must not end the one process that starts all others again
        os.write(1, f"{time.strftime('%Y-%m-%dT%H:%M:%S')} keeper[{os.getpid()}] {message}\n".encode())


def hold_lock(state_directory: str) -> int | None:
    """Only one keeper per state directory; None when another holds it. The kernel frees it with the process."""
    descriptor = os.open(os.path.join(state_directory, "keeper.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    for _ in range(40):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.05)  # a predecessor that was just killed may still be on its way out
            continue
        return descriptor
    return None


def open_way(needed: list[str], user: str, state_directory: str) -> bool:
    """As root: let the parts' user reach what it needs. False, told in failure.json, when that cannot be."""
    user_id, group_id = (int(number) for number in user.split(":"))
    try:
        openings = reach.plan_openings(needed, user_id, group_id)
        if openings:
            reach.open_the_way(openings)
            log(f"opened for user {user_id}, seen by this system only: {', '.join(openings)}")
    except OSError as error:
        told = {
            "message": f"the parts run as user {user_id}, who cannot get to what they need, and no mount namespace "
            f"can be made here to open the way ({error})",
            "hint": "move the project and its interpreter to where every user can read them, such as /opt",
            "subject": "system.user",
            "detail": "",
            "exit_code": 3,
        }
        with open(os.path.join(state_directory, "failure.json"), "w", encoding="utf-8") as file:
            json.dump(told, file)
        return False
    return True


def main() -> int:
    parser = argparse.ArgumentParser(prog="colonnade-keeper")
    parser.add_argument("--state", required=True)
    parser.add_argument("--inherit", action="append", default=[], metavar="NAME=FD")
    parser.add_argument("--controller-pid", type=int)
    parser.add_argument("--link", type=int)
    parser.add_argument("--user", metavar="UID:GID")
    parser.add_argument("--needs", action="append", default=[], metavar="DIRECTORY")
    options = parser.parse_args()
    if hold_lock(options.state) is None:
        log("another keeper runs for this directory")
        return 1
    if options.user and not open_way(options.needs, options.user, options.state):
        return 1
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setblocking(False)
    signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    inherited = dict(entry.rsplit("=", 1) for entry in options.inherit)
    for descriptor in inherited.values():
        os.set_inheritable(int(descriptor), False)
    keeper = Keeper(options.state, {name: int(descriptor) for name, descriptor in inherited.items()})
    if not keeper.listeners:
        # Nobody had them to pass on: a first start; or keeper and controller died together; or the keeper died before
        # its new controller had asked for them.
        keeper.listeners, keeper.lost = recover_listeners(options.state)
    if options.controller_pid is None:
        keeper.start_controller()
    else:
        os.set_inheritable(options.link, False)
        keeper.watch(options.controller_pid, socket.socket(fileno=options.link))
    keeper.record()
    log(f"watches controller {keeper.controller_pid}")
    return keeper.run(ours)


if __name__ == "__main__":
    sys.exit(main())
