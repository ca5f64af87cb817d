"""What a rollout costs whoever is asking meanwhile: versions one after the other under steady load, bad ones, and the
controller killed at random moments.

    python bench/rollouts.py good -s 270     rollouts back to back
    python bench/rollouts.py bad             three bad versions, each undone by itself
    python bench/rollouts.py kills -n 50     kill -9 of the controller in rollouts and scalings
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Annotated, Any

import typer
from blog import Scratch, wait_for
from figures import distribution

from colonnade.core import processes
from colonnade.core.errors import ColonnadeError
from colonnade.drill.load.apart import START_S, run_load_apart
from colonnade.drill.load.history import History
from colonnade.drill.load.ledger import Kind, Outcome
from colonnade.drill.load.plan import Plan
from colonnade.drill.load.summary import summarize
from colonnade.drill.load.target import resolve_target
from colonnade.drill.load.workload import Action, Workload
from colonnade.runtime.launch import REPLICA_MARK

RATE_PER_S = float(os.environ.get("ROLLOUTS_RATE", "200"))
WAIT_S = 0.02
REPLICAS = 3

APP = """
import os, random, time

WAIT_S, ERROR_SHARE, NAME = {wait_s}, {error_share}, {name!r}
if {dies} and not os.environ["COLONNADE_REPLICA"].endswith("/0"):
    raise SystemExit("this version does not start")

def app(environ, start_response):
    if environ["PATH_INFO"] == "/readyz":
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    time.sleep(WAIT_S)
    status = "500 Internal Server Error" if random.random() < ERROR_SHARE else "200 OK"
    body = (NAME + " " + os.environ["COLONNADE_REPLICA"]).encode()
    served_by = ("X-Served-By", NAME.split()[0])
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body))), served_by])
    return [body]
"""

DECLARATION = f"""
[gateway]
listen = "127.0.0.1:{{port}}"

[services.web]
app = "tiny:app"
route = "/"
replicas = {REPLICAS}

[services.web.rollout]
canary_time = "{{canary_s}}s"
"""

WORKLOAD = Workload(
    "tiny",
    (
        Action("get", Kind.READ, "GET", "/"),
        Action("post", Kind.WRITE, "POST", "/write", body="{token}", headers=(("Content-Type", "text/plain"),)),
    ),
)

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def code(name: str, *, wait_s: float = WAIT_S, error_share: float = 0.0, dies: bool = False) -> str:
    return APP.format(name=name, wait_s=wait_s, error_share=error_share, dies=dies)


class Tiny(Scratch):
    """A small application whose versions differ in what they are told to do badly."""

    def __init__(self, canary_s: float) -> None:
        super().__init__({"tiny.py": code("v1")}, DECLARATION.replace("{canary_s}", str(canary_s)))

    def write(self, text: str) -> None:
        (self.directory / "tiny.py").write_text(text, encoding="utf-8")

    def deploy(self, text: str) -> tuple[int, str]:
        """Exit code of `colonnade deploy` of this code, and its last line."""
        self.write(text)
        argv = [sys.executable, "-m", "colonnade.cli.main", "deploy"]
        done = subprocess.run(argv, cwd=self.directory, capture_output=True, text=True, timeout=180, check=False)
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        return done.returncode, lines[0] if done.stderr else lines[-1]


@dataclass(frozen=True, slots=True)
class Loaded:
    """What happened to the requests while something was done."""

    history: History
    done: Any

    def figures(self) -> dict[str, Any]:
        summary = summarize(self.history)
        failed = [item for item in self.history.operations if item.outcome is not Outcome.OK]
        return {
            "requests": len(self.history.operations),
            "gets_failed": summary.reads.failed,
            "posts_failed": summary.writes.failed + summary.writes.unknown,
            "gets_sent_again": summary.reads.retried,
            "failures": dict(Counter(item.error or f"http_{item.status}" for item in failed)),
            "failed_by": dict(Counter(item.served_by or "the gateway" for item in failed)),
            "connections": summary.connections_opened,
            "p50_ms": round(summary.reads.latency_ok.p50_ms, 1),
            "p99_ms": round(summary.reads.latency_ok.p99_ms, 1),
            "max_ms": round(max(summary.reads.latency_ok.max_ms, summary.writes.latency_ok.max_ms), 1),
            "doubts": list(summary.doubts),
        }


def under_load(system: Scratch, duration_s: float, work: Callable[[], Any]) -> Loaded:
    """`work` in a thread while the load goes on; the load ends with it, or with `duration_s` at most."""

    async def run() -> Loaded:
        target = await resolve_target(system.url)
        plan = Plan(
            url=system.url,
            rate_per_s=RATE_PER_S,
            duration_s=duration_s,
            run_id=f"r{time.monotonic_ns()}",
            write_share=0.3,
            workload=WORKLOAD,
        )
        stop = asyncio.Event()
        start_at = time.monotonic() + START_S
        load = asyncio.create_task(run_load_apart(plan, target, start_at=start_at, stop=stop))
        await asyncio.sleep(start_at - time.monotonic() + 1.0)
        done = await asyncio.to_thread(work)
        await asyncio.sleep(1.0)
        stop.set()
        return Loaded(await load, done)

    return asyncio.run(run())


def pids(system: Scratch) -> tuple[int, int]:
    gateway = system.status()["gateway"]
    return gateway["pid"], gateway["reloads"]


@app.command()
def good(
    seconds: Annotated[float, typer.Option("-s", help="Of load")] = 60.0,
    canary_s: Annotated[float, typer.Option(help="How long each version is judged")] = 2.0,
) -> None:
    """Good versions back to back."""
    with Tiny(canary_s) as system:
        system.up()
        before = pids(system)
        ends_at = time.monotonic() + seconds - 10

        def rolls() -> list[tuple[float, int, str]]:
            found: list[tuple[float, int, str]] = []
            while time.monotonic() < ends_at:
                began = time.monotonic()
                exit_code, said = system.deploy(code(f"v{len(found) + 2}"))
                found.append((time.monotonic() - began, exit_code, said))
            return found

        loaded = under_load(system, seconds + 60, rolls)
        tell(
            "good",
            {
                "rollouts": len(loaded.done),
                "undone": [said for _, exit_code, said in loaded.done if exit_code != 0],
                "rollout_s": distribution([took for took, _, _ in loaded.done], 1),
                "gateway_reloaded": pids(system) != before,
                **loaded.figures(),
            },
        )


BAD = {
    "does_not_start": code("bad", dies=True),
    "errs_5_percent": code("bad", error_share=0.05),
    "is_3_times_slower": code("bad", wait_s=3 * WAIT_S),
}


@app.command()
def bad(
    repeats: Annotated[int, typer.Option("-n", help="Of each kind")] = 3,
    canary_s: Annotated[float, typer.Option(help="How long each version is judged")] = 10.0,
) -> None:
    """Bad versions, which must be undone by themselves."""
    for name, text in BAD.items():
        with Tiny(canary_s) as system:
            system.up()

            def tries(system: Tiny = system, text: str = text) -> list[tuple[float, int, str]]:
                found: list[tuple[float, int, str]] = []
                for number in range(repeats):
                    began = time.monotonic()
                    exit_code, said = system.deploy(f"{text}\n# {number}\n")
                    found.append((time.monotonic() - began, exit_code, said))
                return found

            loaded = under_load(system, repeats * (canary_s + 30), tries)
            answers = Counter(item.served_by for item in loaded.history.operations if item.served_by)
            tell(
                name,
                {
                    "tries": repeats,
                    "undone": sum(1 for _, exit_code, _ in loaded.done if exit_code == 4),
                    "said": sorted({said for _, _, said in loaded.done}),
                    "undone_after_s": distribution([took for took, _, _ in loaded.done], 1),
                    "answered_by_bad": answers["bad"],
                    **loaded.figures(),
                },
            )


@dataclass(frozen=True, slots=True)
class Killed:
    """One controller that was killed in the middle of something, and how it ended."""

    during: str
    stage: str
    exit_code: int
    whole_after_s: float
    trouble: str


@app.command()
def kills(
    count: Annotated[int, typer.Option("-n", help="Of kills")] = 50,
    seed: Annotated[int, typer.Option(help="Of the moments")] = 1,
) -> None:
    """kill -9 of the controller at random moments of rollouts and scalings."""
    random = Random(seed)  # noqa: S311 — moments, no secrets
    with Tiny(1.0) as system:
        system.up()
        loaded = under_load(system, count * 30, lambda: [one_kill(system, number, random) for number in range(count)])
        done: list[Killed] = loaded.done
        tell(
            "kills",
            {
                "kills": len(done),
                "during": dict(Counter(f"{one.during} {one.stage}".strip() for one in done)),
                "rollouts_not_done": sum(1 for one in done if one.exit_code != 0 and one.during == "rollout"),
                "scalings_to_be_asked_again": sum(1 for one in done if one.exit_code != 0 and one.during == "scaling"),
                "troubles": [f"{one.during} {one.stage}: {one.trouble}" for one in done if one.trouble],
                "whole_after_s": distribution([one.whole_after_s for one in done], 1),
                **loaded.figures(),
            },
        )


def one_kill(system: Tiny, number: int, random: Random) -> Killed:
    """Begin a change, kill the controller somewhere in it, wait until all is as it should be."""
    is_rollout = random.random() < 0.7
    count = REPLICAS if is_rollout else random.choice((2, 4, 5, 6))
    if is_rollout:
        system.write(code(f"k{number}"))
    argv = ["deploy"] if is_rollout else ["scale", f"web={count}"]
    change = subprocess.Popen(
        [sys.executable, "-m", "colonnade.cli.main", *argv],
        cwd=system.directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    # A command is there after half a second; a rollout takes five, a scaling one.
    time.sleep(0.5 + random.random() * (5.5 if is_rollout else 1.0))
    status = system.status()
    os.kill(status["controller_pid"], signal.SIGKILL)
    killed_at = time.monotonic()
    rollout = status["services"][0]["rollout"]
    deployment = status["deployment"] or {}
    stage = rollout["stage"] if rollout else deployment["stage"] if deployment.get("is_open") else "before or after"
    said, _ = change.communicate(timeout=120)
    wait_for("the change is complete", lambda: not trouble_of(system, None), timeout_s=60)
    took_s = time.monotonic() - killed_at
    trouble = trouble_of(system, f"k{number}" if is_rollout else None)
    if change.returncode != 0:
        trouble += said[-300:] if is_rollout else ""  # whoever scales sees that nobody answered, and asks again
    if not is_rollout:
        system.command("scale", f"web={REPLICAS}")
        wait_for("the scaling is over", lambda: not trouble_of(system, None), timeout_s=60)
    return Killed("rollout" if is_rollout else "scaling", stage, change.returncode, took_s, trouble)


def trouble_of(system: Tiny, name: str | None) -> str:
    """What is lost, doubled or stuck; empty when all is well. `name` is what every replica should answer with."""
    try:
        status = system.status()
    except ColonnadeError as error:
        return str(error)
    service = status["services"][0] if status["services"] else None
    if status["phase"] != "running" or service is None:
        return f"it is {status['phase']}"
    found = [(replica["state"], replica["gateway"], replica["version"]) for replica in service["replicas"]]
    if found != [("ready", "UP", service["version"])] * service["desired"] or service["rollout"]:
        return f"{found}, wanted {service['desired']} of {service['version']}, {service['rollout']}"
    if (status["deployment"] or {}).get("is_open"):
        return f"the deployment is {status['deployment']['stage']}"
    found_pids = processes.marked_processes(system.paths.mark, with_variable=REPLICA_MARK)
    leaders = {processes.group_of(pid) for pid in found_pids}
    if leaders != {replica["pid"] for replica in service["replicas"]}:
        return f"processes {sorted(filter(None, leaders))} and replicas {[r['pid'] for r in service['replicas']]}"
    if name is not None:
        with urllib.request.urlopen(system.url, timeout=5) as answer:
            said = answer.read().decode()
        if not said.startswith(f"{name} "):
            return f"{said!r} answers instead of {name}"
    return ""


def tell(name: str, figures: dict[str, Any]) -> None:
    place = Path(__file__).parent.parent / ".bench"
    place.mkdir(exist_ok=True)
    with (place / "rollouts.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"what": name, **figures}) + "\n")
    sys.stdout.write(json.dumps({"what": name, **figures}, indent=2) + "\n")


if __name__ == "__main__":
    app()
