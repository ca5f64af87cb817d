"""`why` on a real system that things happen to: the answers name what was done to it."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .harness import Runner, Trickle, kill

pytestmark = pytest.mark.slow

SLEEPY = """
import os
import pathlib
import time

def app(environ, start_response):
    if environ["PATH_INFO"] == "/sleep":
        time.sleep(6)
    slow = pathlib.Path(os.environ["SLOW"])
    if slow.exists() and slow.read_text() in (os.environ["COLONNADE_REPLICA"], "all"):
        time.sleep(0.4)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""


@pytest.fixture(scope="module")
def shop(make_work_dir: Callable[[], Path], free_port: Callable[[], int]) -> Iterator[Runner]:
    runner = Runner(make_work_dir(), free_port())
    slow = runner.directory / "slow"
    runner.declare(
        '[services.web]\napp = "sleepy:app"\nroute = "/"\nreplicas = 2\nthreads = 2\nqueue_max = 20\n'
        f'env = {{ SLOW = "{slow}" }}\n[database]\nstandbys = 2\n'
    )
    runner.write("sleepy.py", SLEEPY)
    runner.up()
    yield runner
    runner.finish()


def why(runner: Runner, *words: str) -> list[dict[str, Any]]:
    ran = runner.run("why", "--json", *words)
    assert ran.exit_code == 0, ran.text
    answer: list[dict[str, Any]] = json.loads(ran.out)
    return answer


def test_a_replica_that_was_killed_from_outside(shop: Runner) -> None:
    kill(shop.replicas()["web/1"])
    shop.wait_until(lambda: shop.events("replica_exited"), "its death is noticed")
    shop.running()
    now, newest, *_ = why(shop, "web-1")
    assert now["text"].startswith("web/1 is ready")
    assert "restarted once" in now["text"]
    assert newest["text"].startswith(
        "web/1 was ended by signal 9; it starts again now; Colonnade did not send that signal"
    )
    assert "ready again" in newest["text"]
    assert 0 <= newest["ago_s"] < 60
    assert why(shop, "web/1")[1]["events"] == newest["events"]


def test_a_replica_that_was_frozen(shop: Runner) -> None:
    kill(*(pid for pid in shop.processes() if _is_of(pid, "web/2")), number=signal.SIGSTOP)
    shop.wait_until(lambda: shop.events("replica_killed"), "it is killed")
    shop.running()
    newest = why(shop, "web-2")[1]["text"]
    assert newest.startswith("web/2 was taken out of rotation by the gateway, since it did not answer the health check")
    assert "so it was killed; it was ready again" in newest
    shown = shop.run("why", "web-2").out
    assert "s ago: web/2 was taken out of rotation" in shown
    assert "→ `colonnade logs web/2`" in shown


def _is_of(pid: int, replica: str) -> bool:
    return f"COLONNADE_REPLICA={replica}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")


def test_a_change_of_the_number_of_replicas(shop: Runner) -> None:
    assert shop.run("scale", "web=3").exit_code == 0
    shop.running()
    told = why(shop, "scaled", "web")[1]["text"]
    assert told.startswith("asked for by `colonnade scale`: web goes from 2 to 3 replicas; web/3 was ready ")


def test_slowness_and_its_absence(shop: Runner) -> None:
    # The machine may be busy with others, and that is said, too.
    ours = {"queued", "busy", "rejected", "replicas_missing", "no_replica", "replica_down", "errors"}
    assert not ours & {sentence["reason"] for sentence in why(shop, "slow")}
    clients = [threading.Thread(target=shop.get, args=("/sleep", 20.0)) for _ in range(9)]
    for client in clients:
        client.start()
    shop.wait_until(lambda: (shop.status() or {})["services"][0]["queued"] > 0, "requests wait")
    first = why(shop, "slow", "web")[0]
    for client in clients:
        client.join()
    assert first["reason"] == "queued", first
    assert "requests wait in the gateway (at most 20 may), while 6 of 6 places on 3 replicas are busy" in first["text"]


def test_a_replica_that_is_slow(shop: Runner) -> None:
    with Trickle(shop, clients=4):
        shop.write("slow", "web/2")
        shop.wait_until(lambda: "web/2" in " ".join(_slow(shop)), "it is found")
        text, hint = _slow_replica(shop)
    (shop.directory / "slow").unlink()
    assert text.startswith("web/2 ")
    assert "its peers" in text
    assert "`colonnade restart web/2`" in hint


def _slow(runner: Runner) -> list[str]:
    return [one["text"] for one in why(runner, "slow") if one["reason"] in ("slow_replica", "silent_replica")]


def _slow_replica(runner: Runner) -> tuple[str, str]:
    found = [one for one in why(runner, "slow", "web") if one["reason"] in ("slow_replica", "silent_replica")]
    assert len(found) == 1, found
    return found[0]["text"], found[0]["hint"]


def test_a_queue_that_is_full(shop: Runner) -> None:
    shop.write("slow", "all")
    with Trickle(shop, clients=40):
        shop.wait_until(lambda: (shop.status() or {})["services"][0]["rejected"] > 0, "some are turned away")
        first = why(shop, "slow", "web")[0]
    (shop.directory / "slow").unlink()
    assert first["reason"] == "rejected", first
    assert "requests a second are answered 503" in first["text"]
    assert "at most 20 may" in first["text"]
    assert "`colonnade scale web=4`" in first["hint"]
    assert "queue_max" in first["hint"]


def test_a_primary_that_was_killed(shop: Runner) -> None:
    database = (shop.status() or {})["database"]
    nodes = {node["name"]: node["pid"] for node in database["nodes"]}
    kill(nodes[database["primary"]])
    shop.wait_until(lambda: shop.events("failover_finished"), "another one has taken over")
    shop.running()
    now, newest, *_ = why(shop, "db")
    assert "is primary" in now["text"]
    assert newest["text"].startswith(f"{database['primary']}: the server ")
    assert f"its last words are in db-{database['primary']}.log" in newest["text"]
    assert "was promoted" in newest["text"]
    assert "writers had a primary again" in newest["text"]
    assert "`colonnade db status`" in newest["hint"]


def test_a_name_that_nobody_knows(shop: Runner) -> None:
    ran = shop.run("why", "wbe-1")
    assert ran.exit_code == 2
    assert "did you mean `web/1`?" in ran.text


def test_everything_while_it_runs_and_afterwards(shop: Runner) -> None:
    shop.running()
    assert why(shop)[0]["text"].startswith("all is as wanted (running): web has 3 of 3 replicas ready; database: ")
    assert shop.run("down").exit_code == 0
    now, newest, *_ = why(shop)
    assert now["reason"] == "taken_down"
    assert newest["text"].startswith("the system was taken down")
    assert "was ended by signal 9" in " ".join(one["text"] for one in why(shop, "web-1"))
