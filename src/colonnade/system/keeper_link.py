"""The controller's side of the keeper: ask for listening sockets, notice its death, start it anew with our copies."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from colonnade.core import processes
from colonnade.core.errors import DriverUnavailable, HostError
from colonnade.core.events import EventLog
from colonnade.core.ports import PortAllocator
from colonnade.core.processes import Command, Process
from colonnade.system import sockets
from colonnade.system.paths import StatePaths

ANSWER_TIMEOUT_S = 5.0
"""The keeper answers within a millisecond; one that does not is stopped or swapped out."""

KEEPER_RESTART_DELAY_S = 0.1
KEEPER_RESTART_DELAY_S_MAX = 5.0
"""Before a keeper that we started ourselves is replaced again, doubling. Nothing waits for it meanwhile."""

PORT_ATTEMPTS_MAX = 20
"""For an internal listener: somebody may take a port between our look and the keeper's bind."""


class KeeperLink:
    """Holds our copies of all listening sockets, by name, under the numbers they have everywhere."""

    def __init__(self, link: socket.socket, keeper_pid: int, paths: StatePaths, events: EventLog) -> None:
        self._link = link
        self._link.settimeout(ANSWER_TIMEOUT_S)
        self._paths = paths
        self._events = events
        self._keeper = _handle(keeper_pid)
        self._restart_delay_s = KEEPER_RESTART_DELAY_S
        self._lost: dict[str, tuple[str, int]] = {}
        self._replaced = asyncio.Event()
        self.descriptors: dict[str, int] = {}

    @property
    def keeper_pid(self) -> int:
        return self._keeper.pid if self._keeper is not None else 0

    def fetch_all(self) -> None:
        """Copies of every listener that the keeper already has."""
        answer, received = self._ask({"list": True})
        self._lost = {name: (entry["host"], entry["port"]) for name, entry in answer["lost"].items()}
        for name, number, copy in zip(answer["names"], answer["fds"], received, strict=True):
            self.descriptors[name] = sockets.keep_number(copy, number)

    def lost_addresses(self) -> dict[str, tuple[str, int]]:
        """Where listeners were that could not be taken over: those who know these addresses expect them back."""
        return dict(self._lost)

    def listen(self, name: str, host: str, port: int, *, key: str = "[gateway] listen") -> tuple[str, int]:
        """Make sure a listener `name` is open; returns where it listens. Port 0 is not for here. `key` is where the
        address is declared, for who has to change it.

        Raises HostError when the address cannot be had.
        """
        if name not in self.descriptors:
            answer, received = self._ask({"listen": {"name": name, "host": host, "port": port}})
            if "error" in answer:
                raise listen_error(answer["error"], answer["errno"], name, host, port, key)
            self.descriptors[name] = sockets.keep_number(received[0], answer["fd"])
        address = sockets.local_address(self.descriptors[name])
        if address is None:
            raise HostError("is no listening socket any more", subject=name, hint="run `colonnade down`, then `up`")
        return address

    def close(self, name: str) -> None:
        descriptor = self.descriptors.pop(name, None)
        if descriptor is not None:
            os.close(descriptor)
            self._ask({"close": name})

    def remember_down(self) -> None:
        """From now on a controller that dies is followed by one that goes on taking the system down."""
        self._ask({"down": True})

    def finish(self) -> None:
        """Tell the keeper that the system is down on purpose: it ends when we do."""
        self._ask({"finished": True})

    def watch(self) -> None:
        """From now on a dead keeper is replaced at once."""
        if self._keeper is None:
            self._replace_keeper()
        else:
            self._keeper.on_exit(self._replace_keeper)

    async def renew(self) -> None:
        """Replace the keeper by one of the code that is installed now. It is killed, which is how it ends without
        taking the system down; our copies of the sockets bridge the moment."""
        self._replaced.clear()
        if self._keeper is not None:
            await processes.kill(self._keeper)
            await self._replaced.wait()

    def _replace_keeper(self) -> None:
        old_pid = self.keeper_pid
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        argv = [sys.executable, "-m", "colonnade.system.keeper", "--state", str(self._paths.root)]
        for name, descriptor in self.descriptors.items():
            argv += ["--inherit", f"{name}={descriptor}"]
        argv += ["--controller-pid", str(os.getpid()), "--link", str(theirs.fileno())]
        try:
            keeper = processes.start(
                Command(
                    argv=argv,
                    cwd=Path("/"),
                    env=keeper_environment(os.environ, self._paths),
                    log_path=self._paths.logs / "keeper.log",
                    pass_fds=(theirs.fileno(), *self.descriptors.values()),
                )
            )
        except HostError as error:
            self._events.emit("keeper_missing", "keeper", reason="host_refused", message=f"{error}; trying again")
            ours.close()
            self._replace_keeper_later()
            return
        finally:
            theirs.close()
        if self._keeper is not None:
            self._keeper.close()
        self._keeper = keeper
        self._link.close()
        self._link = ours
        self._link.settimeout(ANSWER_TIMEOUT_S)
        self._keeper.on_exit(self._replace_keeper_later)
        self._replaced.set()
        self._events.emit(
            "keeper_replaced",
            "keeper",
            reason="keeper_exited",
            message=f"keeper {old_pid} ended; pid {self._keeper.pid} holds our {len(self.descriptors)} sockets now",
        )

    def _replace_keeper_later(self) -> None:
        # A keeper that ends at once (a full disk, say) must not be started in a tight loop.
        self._restart_delay_s = min(KEEPER_RESTART_DELAY_S_MAX, self._restart_delay_s * 2)
        asyncio.get_running_loop().call_later(self._restart_delay_s, self._replace_keeper)

    def _ask(self, message: dict[str, Any]) -> tuple[dict[str, Any], list[int]]:
        try:
            sockets.send_message(self._link, message)
            answer = sockets.receive_message(self._link)
        except OSError as error:
            raise DriverUnavailable(
                f"does not answer ({error})", subject="keeper", hint="it is started anew by itself; try again"
            ) from error
        if answer is None:
            raise DriverUnavailable("is gone", subject="keeper", hint="it is started anew by itself; try again")
        return answer


def keeper_environment(inherited: Mapping[str, str], paths: StatePaths) -> dict[str, str]:
    """The caller's environment with the system's mark; children of the controller get theirs from it."""
    return {**inherited, processes.SYSTEM_MARK: paths.mark}


def listen_error(text: str, number: int, name: str, host: str, port: int, key: str = "[gateway] listen") -> HostError:
    where = f"{host}:{port}"
    if number == errno.EADDRINUSE:
        return PortTaken(
            f"port {port} is taken by another program",
            subject=where,
            hint=f"see which: `ss -ltnp 'sport = :{port}'`; stop it, or set another {key}",
        )
    if number == errno.EACCES:
        return HostError(
            f"port {port} needs root (ports below 1024 do)",
            subject=where,
            hint=f'choose a port from 1024 on: {key} = "127.0.0.1:8080"',
        )
    if number == errno.EADDRNOTAVAIL:
        return HostError(
            f"{host} is not an address of this machine", subject=where, hint="see `ip address`; 127.0.0.1 always is"
        )
    return HostError(f"cannot be listened on: {text}", subject=f"{name} at {where}", hint="see `ss -ltnp`")


def listen_somewhere(keeper: KeeperLink, name: str, ports: PortAllocator) -> tuple[str, int]:
    """An internal listener on any free loopback port; the one it has already, if it is open."""
    known = keeper.lost_addresses().get(name)
    for attempt in range(PORT_ATTEMPTS_MAX):
        host, port = known if known is not None and attempt == 0 else ("127.0.0.1", ports.take())
        try:
            return keeper.listen(name, host, port)
        except PortTaken:
            continue
    raise HostError(f"no port for {name} after {PORT_ATTEMPTS_MAX} attempts", hint="see who holds them: `ss -ltnp`")


class PortTaken(HostError):
    """Somebody listens there already."""


def _handle(pid: int) -> Process | None:
    ticks = processes.start_ticks_of(pid)
    return processes.adopt(processes.ProcessId(pid, ticks)) if ticks is not None else None
