"""Stand-alone: process 1 of an application's container. Starts one service and stands between it and signals.

    entry.py serve | release | healthy [SERVICE]      SERVICE may come as COLONNADE_SERVICE
    entry.py run COMMAND [ARGUMENT…]                  with the same environment

What a service is stands in services.json beside this file. Copied into images, so it uses the standard library only.
A replica is given the environment that it has on one machine: PORT, HOST, DATABASE_URL, <SERVICE>_URL,
COLONNADE_REPLICA. `NAME_URL_FILE=/path` gives NAME_URL the content of a file, COLONNADE_ENV_FILE names a JSON object
of variables: so secrets come as files, and `docker inspect` does not show them.

On SIGTERM it first tells the gateway, which asks on COLONNADE_AGENT_PORT every moment, that nothing new may come, and
waits COLONNADE_DRAIN_S; then the service gets its SIGTERM, and SIGKILL after its stop_timeout. As process 1 it also
reaps what nobody waits for. It never restarts anything: whoever runs the container does.
"""

from __future__ import annotations

import http.client
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

HERE = Path(__file__).resolve().parent
PORT_DEFAULT = "8000"
HEALTH_TIMEOUT_S = 3.0
PROBE_TIMEOUT_S = 60.0
"""For importing the application once, as on one machine."""

TURN_S = 0.5
"""How long one wait lasts at most, should a signal's wake-up be lost."""

EXIT_USAGE = 64
EXIT_TIMEOUT = 124


class Wrong(Exception):
    """The container was started with something missing; the message says what."""


def main(arguments: Sequence[str]) -> int:
    verb, *rest = arguments or ["serve"]
    try:
        env = environment(os.environ)
        if verb == "run":
            if not rest:
                raise Wrong("run needs a command")
            return attend(rest, os.getcwd(), env, Patience())
        services = json.loads((HERE / "services.json").read_text(encoding="utf-8"))
        name = rest[0] if rest else env.get("COLONNADE_SERVICE", "")
        if not name and len(services) == 1:
            name = next(iter(services))
        if name not in services:
            raise Wrong(f"COLONNADE_SERVICE is {name!r}; this image has {', '.join(services)}")
        return act(verb, name, services[name], env)
    except (Wrong, OSError, ValueError) as wrong:
        say(f"colonnade: {wrong}")
        return EXIT_USAGE


def act(verb: str, name: str, service: Mapping[str, Any], env: dict[str, str]) -> int:
    env.setdefault("PORT", PORT_DEFAULT)
    env.setdefault("HOST", "0.0.0.0")
    env.setdefault("COLONNADE_REPLICA", f"{name}/{socket.gethostname()}")
    env["PYTHONUNBUFFERED"] = "1"
    if verb == "healthy":
        return healthy(int(env["PORT"]), service["health"])
    if verb == "serve":
        return attend(
            command_of(service, env),
            service["directory"],
            env,
            Patience(
                drain_s=float(env.get("COLONNADE_DRAIN_S", "0")),
                stop_s=service["stop_timeout_s"],
                agent_port=int(env.get("COLONNADE_AGENT_PORT", "0")),
                farewell=service["farewell"],
                memory_bytes_max=service["memory_bytes_max"],
            ),
        )
    if verb == "release":
        if not service["release"]:
            return 0
        return attend(filled(service["release"], env), service["directory"], env, Patience(all_s=service["release_s"]))
    raise Wrong(f"{verb!r} is none of serve, release, healthy, run")


def environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """With what files hold. A variable that is given is not replaced by one of the env file."""
    env = {key: value for key, value in inherited.items() if not key.startswith("GRANIAN_")}
    for key, path in inherited.items():
        name = key.removesuffix("_FILE")
        if key.endswith("_URL_FILE"):
            env[name] = Path(path).read_text(encoding="utf-8").strip()
    if env_file := env.get("COLONNADE_ENV_FILE"):
        # JSON, because the export has read the env file already: its lines are understood in one place.
        for name, value in json.loads(Path(env_file).read_text(encoding="utf-8")).items():
            env.setdefault(name, value)
    return env


def command_of(service: Mapping[str, Any], env: Mapping[str, str]) -> list[str]:
    """The service's own command, or Granian as it is started on one machine."""
    if service["command"]:
        return filled(service["command"], env)
    kind, factory, target = service["kind"], service["app"].endswith("()"), service["app"].removesuffix("()")
    if kind == "auto":
        found = probe(service["app"], service["directory"], env)
        kind, factory, target = found["kind"], found["factory"], found["target"]
    argv = [sys.executable, "-m", "granian", "--interface", kind, "--host", env["HOST"], "--port", env["PORT"]]
    return [*argv, *service["options"][kind], *(["--factory"] if factory else []), target]


def filled(words: Sequence[str], env: Mapping[str, str]) -> list[str]:
    return [Template(word).safe_substitute(env) for word in words]


def probe(app: str, directory: str, env: Mapping[str, str]) -> Any:
    """Import the application once in a process of its own; its traceback, if it has one, is on stderr."""
    done = subprocess.run(
        [sys.executable, str(HERE / "probe_app.py"), app, "auto"],
        cwd=directory,
        env=dict(env),
        stdout=subprocess.PIPE,
        timeout=PROBE_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        raise Wrong(f"{app} cannot be imported")
    return json.loads(done.stdout.decode().splitlines()[-1])


def healthy(port: int, path: str) -> int:
    """0 when the service answers, as on one machine: whoever has no such page (404), or lets nobody see it (401),
    serves."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HEALTH_TIMEOUT_S)
    try:
        connection.request("GET", path, headers={"Host": "localhost", "User-Agent": "colonnade-health"})
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        say(f"no answer: {error}")
        return 1
    finally:
        connection.close()
    return 0 if 200 <= status < 500 else 1


class Patience:
    """How a process is ended: what the gateway is told, and how long each step may take."""

    def __init__(
        self,
        *,
        drain_s: float = 0.0,
        stop_s: float = 10.0,
        all_s: float | None = None,
        agent_port: int = 0,
        farewell: str = "drain",
        memory_bytes_max: int | None = None,
    ) -> None:
        self.drain_s = drain_s
        self.stop_s = stop_s
        self.all_s = all_s
        self.agent_port = agent_port
        self.farewell = farewell
        self.memory_bytes_max = memory_bytes_max


def attend(argv: Sequence[str], directory: str, env: Mapping[str, str], patience: Patience) -> int:
    """Run `argv` to its end, and give its exit code; 128 + n when signal n ended it."""
    wake, waker = socket.socketpair()
    for end in (wake, waker):
        end.setblocking(False)
    caught: list[int] = []
    signal.set_wakeup_fd(waker.fileno())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: caught.append(number))
    signal.signal(signal.SIGCHLD, lambda *_: None)
    agent = listen_for_gateway(patience.agent_port)
    child = start(argv, directory, env, patience.memory_bytes_max)
    began_s = time.monotonic()
    term_at_s = kill_at_s = float("inf")
    is_timed_out = False
    while True:
        status = reaped(child)
        if status is not None:
            return EXIT_TIMEOUT if is_timed_out else status
        now_s = time.monotonic()
        if patience.all_s is not None and now_s - began_s > patience.all_s and not is_timed_out:
            say(f"colonnade: takes longer than {patience.all_s:g} s; ending it")
            is_timed_out, term_at_s = True, now_s
        if caught:
            # The second one means now.
            drain_s = patience.drain_s if term_at_s == float("inf") and len(caught) == 1 else 0.0
            caught.clear()
            term_at_s = min(term_at_s, now_s + drain_s)
        if now_s >= term_at_s and kill_at_s == float("inf"):
            send(child, signal.SIGTERM)
            kill_at_s = now_s + patience.stop_s
        if now_s >= kill_at_s:
            send(child, signal.SIGKILL)
        is_leaving = term_at_s != float("inf")
        next_s = min(term_at_s if kill_at_s == float("inf") else kill_at_s, now_s + TURN_S)
        readable, _, _ = select.select([wake, *([agent] if agent else [])], [], [], max(0.0, next_s - now_s))
        if wake in readable:
            wake.recv(4096)
        if agent in readable and agent is not None:
            answer(agent, patience.farewell if is_leaving else "ready")


def start(argv: Sequence[str], directory: str, env: Mapping[str, str], memory_bytes_max: int | None) -> int:
    """Start `argv`, its address space bounded when that is wanted; gives its process id."""
    child = os.fork()
    if child:
        return child
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        # A group of its own: SIGKILL goes to all of it, as on one machine.
        os.setpgid(0, 0)
        if memory_bytes_max is not None:
            _, hard = resource.getrlimit(resource.RLIMIT_AS)
            bound = memory_bytes_max if hard == resource.RLIM_INFINITY else min(memory_bytes_max, hard)
            resource.setrlimit(resource.RLIMIT_AS, (bound, bound))
        os.chdir(directory)
        os.execvpe(argv[0], list(argv), dict(env))  # noqa: S606 - an argv, and no shell is wanted
    except OSError as error:
        say(f"colonnade: {argv[0]} cannot be started: {error.strerror}")
    os._exit(127)


def reaped(child: int) -> int | None:
    """Collect whatever has ended; gives the exit code of `child` once it is among them."""
    while True:
        try:
            ended, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return 0
        if ended == 0:
            return None
        if ended == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def send(child: int, number: int) -> None:
    """SIGTERM to the process, which has its own way to end the rest; SIGKILL to its group."""
    try:
        if number == signal.SIGKILL:
            os.killpg(child, number)
        else:
            os.kill(child, number)
    except ProcessLookupError:
        return  # it has ended by itself, and is reaped in the next turn


def listen_for_gateway(port: int) -> socket.socket | None:
    """HAProxy's agent check connects here and reads one line."""
    if not port:
        return None
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("0.0.0.0", port))
    listener.listen(64)
    listener.setblocking(False)
    return listener


def answer(agent: socket.socket, word: str) -> None:
    try:
        connection, _ = agent.accept()
        with connection:
            connection.setblocking(False)
            connection.send(f"{word}\n".encode())
    except OSError:
        return  # whoever asked has gone, and will ask again


def say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
