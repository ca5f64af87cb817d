"""What may be used only at home, and what to use elsewhere. Each ban brings the text that it must catch."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "colonnade"

KEEPER = {"system/keeper.py": "a process of its own on the standard library alone: nobody hands it a clock"}
LOAD = {
    "drill/load/runner.py": "the load generator measures: its clock is the machine's, or its figures mean nothing",
    "drill/load/connection.py": "notes when the bytes went and came, for the load generator",
}
ONE_SHOT = {
    "database/binaries.py": "asks a program for its version",
    "database/tools.py": "runs PostgreSQL's own tools to their end, with a deadline",
    "system/application.py": "asks a question of a child and waits for the answer on its pipe",
    "drill/load/apart.py": "the load comes back on the child's pipe, and a caller that dies must end its load",
    "drill/links/client.py": "links are told on the child's pipe, and a drill that dies must end its links",
    "drill/cluster/forward.py": "says on its pipe where it listens, and ends with the drill or at its next word",
    "drill/faults/burden.py": "a drill that dies must end what it weighs on the machine: the child's pipe is its life",
}
IN_CONTAINERS = {"deploy/docker/inside/": "process 1 of a container: copied there, on the standard library alone"}
IN_PODS = {"deploy/kubernetes/inside/": "a program of its own, which has nothing to do but to wait"}
CLOCK = {"core/clock.py": "the home of clocks"}
COMMAND = {
    "cli/": "a command is a process of its own, and no event loop stands still while it waits",
    "system/launch.py": "runs in the command's process, before there is a controller",
    "system/ending.py": "runs in the command's process, until there is no controller",
    "system/force.py": "runs in the command's process, when no controller answers",
}
SLEEPER = {"drill/calibration/article/article_app.py": "an application whose work is to take its time"}
CLIENT = {"client/": "runs inside applications and stands alone"}


@dataclass(frozen=True, slots=True)
class Ban:
    """`names` are dotted; one that ends in a dot bans all below it, `allowed` apart. `homes` are files or, ending in
    a slash, directories of src/colonnade, each with its reason. `caught` and `passed` are code on which the ban itself
    is tested."""

    names: tuple[str, ...]
    instead: str
    homes: Mapping[str, str]
    caught: tuple[str, ...]
    passed: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()


BANS = (
    Ban(
        names=("time.monotonic", "time.monotonic_ns", "time.perf_counter", "time.perf_counter_ns"),
        instead="pass `now: float` to pure code and a Clock (core/clock.py) to the rest",
        homes=CLOCK | KEEPER | LOAD | CLIENT | IN_CONTAINERS,
        caught=("import time\nt = time.monotonic()", "from time import perf_counter as p\np()"),
        passed=("clock.monotonic()", "'time.monotonic()'", "import time\ntime.gmtime(0)"),
    ),
    Ban(
        names=("time.time", "time.time_ns"),
        instead="use Clock.wall() (core/clock.py), and only to show it to people",
        homes=CLOCK | {"client/token.py": "a token outlives the process that made it"},
        caught=("import time\ntime.time()", "import time as t\nt.time_ns()", "from time import time\nf(time)"),
        passed=("event.time()",),
    ),
    Ban(
        names=("datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today"),
        instead="use Clock.wall() (core/clock.py) and datetime.fromtimestamp(…, tz)",
        homes={},
        caught=("import datetime\ndatetime.datetime.now()", "from datetime import datetime as d, UTC\nd.now(UTC)"),
        passed=("from datetime import datetime, UTC\ndatetime.fromtimestamp(0, UTC)",),
    ),
    Ban(
        names=("time.sleep",),
        instead="await Clock.sleep(…): a blocked event loop watches nobody",
        homes=KEEPER | COMMAND | CLIENT | SLEEPER | IN_PODS,
        caught=("import time\ntime.sleep(1)",),
        passed=("await_me = clock.sleep(1)", "import asyncio\nasyncio.sleep(1)"),
    ),
    Ban(
        names=("asyncio.wait_for",),
        instead="`async with asyncio.timeout(…)`: before Python 3.12 wait_for can lose a cancellation",
        homes={},
        caught=("import asyncio\nasyncio.wait_for(x, 1)", "from asyncio import wait_for\nwait_for(x, 1)"),
        passed=("import asyncio\nasyncio.timeout(1)", "import asyncio\nasyncio.wait({x}, timeout=1)"),
    ),
    Ban(
        names=("random.",),
        instead="take a random.Random as a parameter: what cannot be replayed cannot be debugged",
        homes={},
        caught=("import random\nrandom.random()", "from random import choice\nchoice([1])"),
        passed=("from random import Random\nRandom(5).random()", "import secrets\nsecrets.token_hex()"),
        allowed=("random.Random",),
    ),
    Ban(
        names=("subprocess.", "asyncio.create_subprocess_exec", "os.fork", "os.spawnv", "os.posix_spawn"),
        instead="use core/processes.py: it gives a session, a log file, the system's mark and a pidfd",
        homes=KEEPER
        | ONE_SHOT
        | IN_CONTAINERS
        | {"core/processes.py": "the home of processes", "cli/image.py": "waits for Docker, which talks to people"},
        caught=("import subprocess\nsubprocess.run(['x'])", "from subprocess import Popen\nPopen(['x'])"),
        passed=("from colonnade.core import processes\nprocesses.start(command)",),
    ),
    Ban(
        names=("os.system", "os.popen", "asyncio.create_subprocess_shell", "shell=True"),
        instead="give a list of arguments: nothing of ours passes through a shell",
        homes={},
        caught=("import os\nos.system('x')", "run('x', shell=True)"),
        passed=("run(['x'], shell=False)",),
    ),
    Ban(
        names=("builtins.print", "builtins.input"),
        instead="emit an event (core/events.py) or return the text: only the command line talks to people",
        homes={"cli/": "talks to people"},
        caught=("print('x')",),
        passed=("console.print('x')", "def print_table(): ..."),
    ),
    Ban(
        names=("logging.",),
        instead="emit an event (core/events.py): one emission feeds screen, log and tests",
        homes=CLIENT,
        caught=("import logging\nlogging.info('x')", "from logging import getLogger\ngetLogger()"),
    ),
)


def test_nothing_banned_is_used_outside_its_home() -> None:
    found = [
        f"{path.relative_to(ROOT)}, line {line}: {name} is banned here: {ban.instead}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for name, line in names_in(path.read_text())
        for ban in BANS
        if is_banned(name, ban) and not is_home(path, ban)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(("ban", "text"), [(ban, text) for ban in BANS for text in ban.caught])
def test_a_ban_catches(ban: Ban, text: str) -> None:
    assert uses_of(ban, text)


@pytest.mark.parametrize(("ban", "text"), [(ban, text) for ban in BANS for text in ban.passed])
def test_a_ban_lets_pass(ban: Ban, text: str) -> None:
    assert not uses_of(ban, text)


def test_every_home_is_still_lived_in() -> None:
    empty = [
        f"{home} does not need its exception from {ban.names[0]}"
        for ban in BANS
        for home in ban.homes
        if not home.endswith("/")
        if not (PACKAGE / home).exists() or not uses_of(ban, (PACKAGE / home).read_text())
    ]
    assert empty == []


def is_home(path: Path, ban: Ban) -> bool:
    name = path.relative_to(PACKAGE).as_posix()
    return any(name == home or (home.endswith("/") and name.startswith(home)) for home in ban.homes)


def uses_of(ban: Ban, text: str) -> list[tuple[str, int]]:
    return [(name, line) for name, line in names_in(text) if is_banned(name, ban)]


def names_in(text: str) -> Iterator[tuple[str, int]]:
    """Each imported or built-in name that the text uses, by its full name, with the line; and `shell=True` as such."""
    tree = ast.parse(text)
    called = local_names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Load):
            name = dotted(node, called)
            if name:
                yield name, node.lineno
        elif isinstance(node, ast.keyword) and node.arg == "shell":
            yield f"shell={ast.unparse(node.value)}", node.value.lineno


def is_banned(name: str, ban: Ban) -> bool:
    if name in ban.allowed:
        return False
    return name in ban.names or any(prefix.endswith(".") and name.startswith(prefix) for prefix in ban.names)


def local_names(tree: ast.AST) -> dict[str, str]:
    """What imported names mean: {"t": "time", "Popen": "subprocess.Popen"}; `print` and `input` mean the builtins."""
    names = {"print": "builtins.print", "input": "builtins.input"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def dotted(node: ast.expr, called: dict[str, str]) -> str:
    """`a.b.c` of an attribute chain, its head replaced by what was imported; empty for names that were not."""
    if isinstance(node, ast.Attribute):
        head = dotted(node.value, called)
        return f"{head}.{node.attr}" if head else ""
    return called.get(node.id, "") if isinstance(node, ast.Name) else ""
