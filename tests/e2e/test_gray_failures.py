"""Replicas that live, pass their checks and are sick all the same: noticed, replaced, told; or only look so.

The application does to a replica what a file of that name says, so that a test can make one replica
sick while it runs; a new process of the same replica is well again, because it takes the file away at its start.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from colonnade.core.events import Event

from .harness import Runner, Trickle

pytestmark = pytest.mark.slow

APP = """
import os, time

NAME = os.environ["COLONNADE_REPLICA"].replace("/", "-")
PLACE = os.environ["ILL_IN"]
HOARD = []
LEAK_BYTES = 250_000
IS_SLOWER = "SLOWER" in os.environ

def ill(what):
    return os.path.exists(f"{PLACE}/{what}-{NAME}")

for what in ("slow", "erring", "silent", "leaking"):
    if os.path.exists(f"{PLACE}/{what}-{NAME}"):
        os.remove(f"{PLACE}/{what}-{NAME}")

def app(environ, start_response):
    status = "200 OK"
    if environ["PATH_INFO"] != "/readyz":
        if ill("silent"):
            time.sleep(60)
        if ill("leaking"):
            HOARD.append(bytearray(LEAK_BYTES))
        if ill("erring"):
            status = "500 Internal Server Error"
        time.sleep(0.1 if IS_SLOWER or ill("slow") else 0.005)
    body = f"{NAME} {os.getpid()}".encode()
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""

SERVICE = """
[services.{name}]
app = "ill:app"
kind = "wsgi"
route = "{route}"
"""

ALIKE = "replicas = 4\n"

WEB = SERVICE.format(name="web", route="/")
OTHER = SERVICE.format(name="other", route="/other") + ALIKE
"""A second pool, where nobody may be replaced while one of the first is: one start, and the same time for both."""

NOTICED_S = 60.0
"""Ten seconds of warm-up, five to ten until it is certain; the rest is for a busy machine."""


@contextmanager
def load(runner: Runner, path: str = "/") -> Iterator[Trickle]:
    with Trickle(runner, path, clients=4, interval_s=0.02) as trickle:
        yield trickle


def start(runner: Runner, more: str = "", replicas: str = ALIKE) -> dict[str, int]:
    runner.write("ill.py", APP)
    runner.env["ILL_IN"] = str(runner.directory)
    runner.declare(WEB + replicas + more)
    # As root the replicas run as another user, who takes the files away.
    runner.directory.chmod(0o777)
    runner.up()
    runner.running()
    return runner.replicas()


def make(runner: Runner, what: str, which: str) -> None:
    runner.write(f"{what}-{which}", "")


def changed(runner: Runner, before: dict[str, int], service: str = "web") -> set[str]:
    now = runner.replicas(service)
    return {name for name in before if now.get(name, before[name]) != before[name]}


def wait_replaced(runner: Runner, before: dict[str, int], timeout_s: float = NOTICED_S) -> set[str]:
    """The names of those that have a new process, once the system is whole again."""
    runner.wait_until(lambda: changed(runner, before), "one is replaced", timeout_s)
    runner.running()
    return changed(runner, before)


def wait_event(runner: Runner, kind: str, timeout_s: float = NOTICED_S) -> Event:
    runner.wait_until(lambda: runner.events(kind), f"{kind} is told", timeout_s)
    return runner.events(kind)[0]


def test_a_slow_replica_is_replaced_and_nobody_where_that_is_switched_off(runner: Runner) -> None:
    before = start(runner, OTHER + "[services.other.health]\noutliers = false\n")
    alone = runner.replicas("other")
    with load(runner) as trickle, load(runner, "/other") as left_alone:
        for what, which in (("slow", "other-2"), ("erring", "other-3"), ("slow", "web-2")):
            make(runner, what, which)
        assert wait_replaced(runner, before) == {"web/2"}
        trickle.wait_for_answers(50)
        known = len(left_alone.failures)
        runner.wait_until(lambda: len(left_alone.failures) > known + 100, "it goes on", NOTICED_S)
    assert trickle.failures == []
    assert changed(runner, alone, "other") == set()
    assert runner.events("replica_expected_to_fail", "pool_sick_together") == []
    (event,) = runner.events("replica_sick")
    assert (event.subject, event.reason) == ("web/2", "replica_slow")
    assert "ms" in event.message


def test_an_erring_replica_is_replaced_and_when_all_are_sick_together_nobody(runner: Runner) -> None:
    before = start(runner, OTHER)
    together = runner.replicas("other")
    with load(runner) as trickle, load(runner, "/other") as all_sick:
        for name in together:
            make(runner, "erring", name.replace("/", "-"))
        make(runner, "erring", "web-3")
        assert wait_replaced(runner, before) == {"web/3"}
        told = wait_event(runner, "pool_sick_together")
        known, known_together = len(trickle.failures), len(all_sick.failures)
        trickle.wait_for_answers(100)
        assert len(trickle.failures) == known
        # Half as long again as it took to replace one that is sick alone.
        runner.wait_until(lambda: len(all_sick.failures) > 1.5 * known_together, "it goes on", NOTICED_S)
    assert told.subject == "other"
    assert changed(runner, together, "other") == set()
    (event,) = runner.events("replica_sick")
    assert (event.subject, event.reason) == ("web/3", "replica_erring")


def test_a_replica_that_answers_its_checks_only_is_ended_and_what_it_held_is_answered_by_others(runner: Runner) -> None:
    before = start(runner)
    with Trickle(runner, clients=12, interval_s=0.02) as trickle:
        make(runner, "silent", "web-1")
        assert wait_replaced(runner, before) == {"web/1"}
        trickle.wait_for_answers(50)
    assert trickle.failures == []
    (event,) = runner.events("replica_sick")
    assert (event.subject, event.reason) == ("web/1", "replica_silent")


def test_a_leaking_replica_is_replaced_before_it_reaches_its_bound(runner: Runner) -> None:
    before = start(runner, 'memory_max = "1200MB"\n')
    with load(runner) as trickle:
        make(runner, "leaking", "web-4")
        assert wait_replaced(runner, before, timeout_s=95) == {"web/4"}
        trickle.wait_for_answers(50)
    assert trickle.failures == []
    (event,) = runner.events("replica_expected_to_fail")
    assert (event.subject, event.reason) == ("web/4", "memory_grows")
    assert not runner.events("replica_exited"), "it did not die of it"


def test_a_replica_that_stays_slower_is_sent_little_and_the_gateway_is_not_reloaded(runner: Runner) -> None:
    groups = 'balance = "adaptive"\nweights = [{ env = { SLOWER = "yes" } }, { replicas = 3 }]\n'
    before = start(runner, replicas=groups)
    gateway = runner.running()["gateway"]
    with load(runner) as trickle:

        def share_of_first() -> float:
            recent = [body for _, body in trickle.answers[-400:]]
            return sum(body.startswith("web-1 ") for body in recent) / 400

        trickle.wait_for_answers(400)
        assert share_of_first() > 0.03
        runner.wait_until(lambda: share_of_first() <= 0.015, "it is sent little", NOTICED_S)
    assert trickle.failures == []
    assert changed(runner, before) == set(), "its group is its own, so nobody is an outlier"
    after = runner.running()["gateway"]
    assert (after["pid"], after["reloads"]) == (gateway["pid"], gateway["reloads"])
