"""Parts of a running system are killed, frozen and scaled under a steady trickle of requests, and nobody notices."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable

import pytest

from .harness import Runner, Trickle, children_of, is_alive, kill

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shared(make_runner: Callable[[], Runner]) -> Runner:
    runner = make_runner()
    runner.take_example("01-hello-flask")
    runner.up()
    return runner


@pytest.fixture
def hello(shared: Runner) -> Runner:
    """The first example, whole: three replicas in rotation."""
    if shared.status() is None:
        shared.up()
    shared.running()
    return shared


def test_three_replicas_answer_in_turn(hello: Runner) -> None:
    pids = set(hello.replicas("hello"))
    bodies = [hello.get().body for _ in range(9)]
    assert {replica: sum(f"from {replica} " in body for body in bodies) for replica in pids} == dict.fromkeys(pids, 3)


def test_a_killed_replica_is_replaced_and_no_request_fails(hello: Runner) -> None:
    before = hello.replicas("hello")
    with Trickle(hello) as trickle:
        os.killpg(before["hello/2"], signal.SIGKILL)
        hello.wait_until(lambda: hello.replicas("hello").get("hello/2", before["hello/2"]) != before["hello/2"], "new")
        hello.running()
        trickle.wait_for_answers(10)
    # What had begun to be answered cannot be asked for again: its head is with the client already.
    assert [failure for failure in trickle.failures if not failure.startswith("IncompleteRead")] == []
    assert len(trickle.failures) <= 1
    after = hello.replicas("hello")
    assert {name for name in after if after[name] != before[name]} == {"hello/2"}
    assert any(
        f"hello/2 (process {child})" in body for child in children_of(after["hello/2"]) for _, body in trickle.answers
    )


def test_a_server_that_lost_its_parent_leaves_no_worker_behind(hello: Runner) -> None:
    parent = hello.replicas("hello")["hello/1"]
    workers = children_of(parent)
    assert workers
    with Trickle(hello) as trickle:
        kill(parent)
        hello.wait_gone(parent, *workers)
        hello.running()
    assert trickle.failures == []


def test_a_server_that_lost_its_worker_is_replaced(hello: Runner) -> None:
    parent = hello.replicas("hello")["hello/3"]
    with Trickle(hello) as trickle:
        kill(*children_of(parent))
        hello.wait_gone(parent)
        hello.running()
    assert trickle.failures == []


def test_a_frozen_replica_is_killed_and_replaced(hello: Runner) -> None:
    parent = hello.replicas("hello")["hello/2"]
    family = [parent, *children_of(parent)]
    with Trickle(hello) as trickle:
        kill(*family, number=signal.SIGSTOP)
        hello.wait_gone(*family)
        hello.running()
    assert trickle.failures == []
    assert hello.events("replica_killed")[-1].reason == "stuck"


def test_a_killed_gateway_is_back_on_the_same_port_and_refuses_nobody(hello: Runner) -> None:
    before = hello.running()["gateway"]
    with Trickle(hello) as trickle:
        kill(before["pid"])
        hello.wait_gone(before["pid"])
        trickle.wait_for_answers(20)
    after = hello.running()["gateway"]
    assert after["pid"] != before["pid"]
    assert after["restarts"] == before["restarts"] + 1
    # Only what was sent and unanswered at that moment may be cut: at most one request of each client.
    assert len(trickle.failures) <= 2, trickle.failures
    assert not [failure for failure in trickle.failures if "Refused" in failure]


def test_a_killed_controller_is_replaced_and_adopts_everything_twice_within_a_second(hello: Runner) -> None:
    before = hello.running()
    pids = hello.replicas("hello")
    with Trickle(hello) as trickle:
        controller = before["controller_pid"]
        for _ in range(2):
            kill(controller)
            hello.wait_gone(controller)
            successor = hello.wait_until(lambda: hello.find_process("colonnade.system.controller"), "a next controller")
            assert isinstance(successor, int)
            controller = successor
        after = hello.running()
    assert trickle.failures == []
    assert hello.replicas("hello") == pids
    assert (after["gateway"]["pid"], after["keeper_pid"]) == (before["gateway"]["pid"], before["keeper_pid"])
    assert after["controller_pid"] != before["controller_pid"]
    assert [replica["restarts"] for replica in after["services"][0]["replicas"]] == [
        replica["restarts"] for replica in before["services"][0]["replicas"]
    ]


def test_a_killed_keeper_is_replaced_and_keeps_the_sockets(hello: Runner) -> None:
    before = hello.running()
    with Trickle(hello) as trickle:
        kill(before["keeper_pid"])
        hello.wait_until(lambda: (hello.status() or before)["keeper_pid"] != before["keeper_pid"], "a new keeper")
    after = hello.running()
    assert trickle.failures == []
    assert after["controller_pid"] == before["controller_pid"]
    assert is_alive(after["keeper_pid"])
    # The new one does the same for the next controller.
    kill(after["controller_pid"])
    hello.wait_gone(after["controller_pid"])
    assert hello.running()["gateway"]["pid"] == before["gateway"]["pid"]


def test_without_keeper_and_controller_the_application_serves_and_up_takes_over(hello: Runner) -> None:
    before = hello.running()
    pids = hello.replicas("hello")
    with Trickle(hello) as trickle:
        kill(before["keeper_pid"], before["controller_pid"])
        hello.wait_gone(before["keeper_pid"], before["controller_pid"])
        trickle.wait_for_answers(10)
        ran = hello.up()
        after = hello.running()
    assert "takes over" in ran.out
    assert trickle.failures == []
    assert hello.replicas("hello") == pids
    assert after["gateway"]["pid"] == before["gateway"]["pid"]


def test_a_takeover_without_the_sockets_binds_the_same_addresses_anew(hello: Runner) -> None:
    before = hello.running()
    pids = hello.replicas("hello")
    kill(before["keeper_pid"], before["controller_pid"])
    hello.wait_gone(before["keeper_pid"], before["controller_pid"])
    # As where the kernel refuses (ptrace_scope): under these numbers HAProxy holds nothing.
    listeners = hello.paths.root / "listeners.json"
    entries = json.loads(listeners.read_text())
    listeners.write_text(json.dumps({name: entry | {"fd": entry["fd"] + 700} for name, entry in entries.items()}))
    assert "takes over" in hello.up().out
    assert hello.running()["gateway"]["pid"] != before["gateway"]["pid"]
    assert hello.replicas("hello") == pids
    assert hello.get().status == 200
    now = json.loads(listeners.read_text())
    assert {name: entry["port"] for name, entry in now.items()} == {n: entry["port"] for n, entry in entries.items()}


def test_a_second_up_says_that_it_runs_and_where(hello: Runner) -> None:
    before = hello.running()
    ran = hello.run("up", "--detach")
    assert ran.exit_code == 0
    assert f"is running already: http://127.0.0.1:{hello.port}" in ran.out
    assert hello.running()["controller_pid"] == before["controller_pid"]


def test_scaling_under_load_loses_nothing_and_reloads_nothing(hello: Runner) -> None:
    before = hello.running()["gateway"]
    with Trickle(hello) as trickle:
        for count in (5, 2, 3):
            ran = hello.run("scale", f"hello={count}")
            assert ran.exit_code == 0, ran.text
            hello.wait_until(lambda n=count: len(hello.replicas("hello")) == n, f"{count} replicas")  # type: ignore[misc]
            hello.running()
            names = {f"hello/{number}" for number in range(1, count + 1)}
            assert set(hello.replicas("hello")) == names
            trickle.wait_for_answers(4 * count)
            recent = [body for _, body in trickle.answers[-2 * count :]]
            assert {name for name in names if any(f"from {name} " in body for body in recent)} == names
    after = hello.running()["gateway"]
    assert trickle.failures == []
    assert (after["pid"], after["reloads"], after["restarts"]) == (before["pid"], before["reloads"], before["restarts"])
    assert after["uptime_s"] >= before["uptime_s"]


def test_a_scaled_service_stays_scaled_across_a_controller(hello: Runner) -> None:
    assert hello.run("scale", "hello=4").exit_code == 0
    hello.wait_until(lambda: len(hello.replicas("hello")) == 4, "four replicas")
    before = hello.running()["controller_pid"]
    kill(before)
    hello.wait_gone(before)
    assert hello.running()["services"][0]["desired"] == 4
    assert hello.run("scale", "hello=3").exit_code == 0
    hello.wait_until(lambda: len(hello.replicas("hello")) == 3, "three again")


def test_a_restart_that_was_asked_for_loses_nothing(hello: Runner) -> None:
    before = hello.replicas("hello")
    with Trickle(hello) as trickle:
        one = hello.run("restart", "hello-2")
        assert one.exit_code == 0, one.text
        assert "hello/2 starts anew, as asked" in one.out
        hello.running()
        after_one = hello.replicas("hello")
        assert {name for name in after_one if after_one[name] != before[name]} == {"hello/2"}
        every = hello.run("restart", "hello")
        assert every.exit_code == 0, every.text
        trickle.wait_for_answers(10)
    assert trickle.failures == []
    hello.running()
    after = hello.replicas("hello")
    assert after.keys() == before.keys()
    assert not set(after.values()) & set(after_one.values())


def test_a_drained_replica_stays_without_requests_until_it_is_given_back(hello: Runner) -> None:
    pids, controller = hello.replicas("hello"), hello.running()["controller_pid"]
    with Trickle(hello) as trickle:
        assert hello.run("drain", "hello/2").exit_code == 0
        hello.wait_until(lambda: state_of(hello, "hello/2") == ("draining", True), "it is out of rotation")
        trickle.wait_for_answers(4)
        asked = len(trickle.answers)
        kill(controller)  # the next one knows that it was asked for
        hello.wait_until(lambda: (hello.status() or {}).get("controller_pid") not in (None, controller), "the next one")
        hello.wait_until(lambda: (hello.status() or {})["phase"] == "running", "it runs")
        trickle.wait_for_answers(12)
        assert state_of(hello, "hello/2") == ("draining", True)
        assert not [body for _, body in trickle.answers[asked:] if "from hello/2 " in body]
        assert "hello/2 drained, as asked" in hello.run("status").out
        assert hello.run("drain", "hello/2", "--undo").exit_code == 0
        hello.running()
        trickle.wait_for_answers(12)
        assert [body for _, body in trickle.answers[-12:] if "from hello/2 " in body]
    assert trickle.failures == []
    assert hello.replicas("hello") == pids


def state_of(runner: Runner, name: str) -> tuple[str, bool] | None:
    services = (runner.status() or {"services": []})["services"]
    found = [one for service in services for one in service["replicas"] if one["id"] == name]
    return (found[0]["state"], found[0]["is_drained"]) if found else None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("hello=0", ["expected 1 to"]),
        ("hello=100000", ["expected 1 to"]),
        ("helo=3", ["helo", "hello"]),
        ("hello", ["SERVICE=N"]),
        ("hello=-1", ["SERVICE=N"]),
    ],
)
def test_scaling_out_of_bounds_is_refused(hello: Runner, change: str, words: list[str]) -> None:
    ran = hello.run("scale", change)
    assert ran.exit_code == 2
    assert all(word in ran.err for word in ["error", "→", *words]), ran.err
    assert len(hello.replicas("hello")) == 3


def test_a_keeper_that_dies_before_its_new_controller_asked_for_the_sockets(hello: Runner) -> None:
    before = hello.running()
    pids = hello.replicas("hello")
    with Trickle(hello) as trickle:
        kill(before["controller_pid"])
        hello.wait_gone(before["controller_pid"])
        hello.wait_until(lambda: hello.find_process("colonnade.system.controller"), "the next controller")
        kill(before["keeper_pid"])
        hello.wait_gone(before["keeper_pid"])
        after = hello.running()
    assert trickle.failures == []
    assert hello.replicas("hello") == pids
    assert (after["gateway"]["pid"], after["gateway"]["restarts"]) == (before["gateway"]["pid"], 0)
