"""What goes wrong at a start: told in the user's terms with a way out, an exit code, and nothing left behind."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from colonnade.core.errors import AppError, HostError, SpecError

from .harness import IS_ROOT, TINY_APP, TINY_SERVICE, Ran, Runner, SmallDisk, kill

pytestmark = pytest.mark.slow

OTHER_USER = 12345


def assert_refused(runner: Runner, ran: Ran, exit_code: int, *words: str) -> None:
    """One message, one hint, none of our tracebacks, and nothing left."""
    assert ran.exit_code == exit_code, ran.text + runner.story()
    assert "\nerror " in f"\n{ran.err}", ran.err
    assert "→ " in ran.err
    assert "colonnade/cli" not in ran.text
    assert "colonnade/system" not in ran.text
    missing = [word for word in words if word not in ran.text]
    assert not missing, f"{missing} not in:\n{ran.text}"
    runner.assert_nothing_left()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, ["colonnade.toml", "colonnade init"]),
        ("[services.web\napp = 1", ["colonnade.toml", "TOML"]),
        ('[services.web]\napp = "tiny:app"\nrout = "/"', ["services.web.rout", "route"]),
        ('[services.web]\napp = "tiny:app"\nroute = "/"\nreplicas = "many"', ["services.web.replicas"]),
        ("", ["services"]),
    ],
    ids=["no file", "broken TOML", "a wrong key", "a wrong type", "an empty file"],
)
def test_a_declaration_that_cannot_be_read_starts_nothing(runner: Runner, text: str | None, words: list[str]) -> None:
    if text is not None:
        runner.write("colonnade.toml", text)
    ran = runner.run("up", "--detach")
    assert_refused(runner, ran, SpecError.exit_code, *words)
    assert not runner.paths.root.exists()


def test_an_application_that_cannot_be_imported_shows_its_own_traceback(runner: Runner) -> None:
    runner.declare()
    runner.write("tiny.py", "def load():\n    raise RuntimeError('no more coffee')\n\nload()\n")
    ran = runner.run("up", "--detach")
    assert_refused(runner, ran, AppError.exit_code, "RuntimeError: no more coffee", "tiny.py", "services.web.app")
    assert "importlib" not in ran.err


def test_an_application_with_a_misspelt_name_is_told_the_nearest(runner: Runner) -> None:
    runner.declare(TINY_SERVICE.replace("tiny:app", "tiny:ap"))
    runner.write("tiny.py", TINY_APP)
    assert_refused(runner, runner.run("up", "--detach"), AppError.exit_code, "did you mean `app`?")


def test_an_application_that_ends_at_once_is_a_crash_loop_with_its_last_words(runner: Runner) -> None:
    runner.declare('[services.web]\ncommand = "python serve.py"\nroute = "/"')
    runner.write("serve.py", "import sys\nsys.exit('cannot find the cellar')\n")
    ran = runner.run("up", "--detach")
    words = ["cannot find the cellar", "exited with code 1, 3 times in a row", ".log"]
    assert_refused(runner, ran, AppError.exit_code, *words)
    assert ran.duration_s < 20


def test_an_application_that_never_gets_ready_is_given_up_in_time(runner: Runner) -> None:
    runner.declare(
        '[services.web]\ncommand = "python serve.py"\nroute = "/"\nreplicas = 1\nhealth = { start_timeout = "1s" }'
    )
    runner.write("serve.py", "import time\nprint('thinking', flush=True)\ntime.sleep(99)\n")
    ran = runner.run("up", "--detach")
    assert_refused(runner, ran, AppError.exit_code, "not ready after 1 s (limit 1 s)", "thinking", "$PORT", "/readyz")


def test_an_application_that_answers_503_is_not_ready(runner: Runner) -> None:
    runner.declare('[services.web]\napp = "tiny:app"\nroute = "/"\nreplicas = 1\nhealth = { start_timeout = "1s" }')
    runner.write("tiny.py", TINY_APP.replace("200 OK", "503 Service Unavailable"))
    assert_refused(runner, runner.run("up", "--detach"), AppError.exit_code, "limit 1 s", "answered 503")


def test_a_program_that_is_not_there_is_named(runner: Runner) -> None:
    runner.declare('[services.web]\ncommand = "no-such-server --port $PORT"\nroute = "/"')
    ran = runner.run("up", "--detach")
    assert ran.exit_code != 0
    assert "no-such-server" in ran.err
    runner.assert_nothing_left()


def test_a_taken_port_is_told_before_any_replica_starts(runner: Runner) -> None:
    runner.declare()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", runner.port))
        other.listen()
        ran = runner.run("up", "--detach")
    assert_refused(runner, ran, HostError.exit_code, f"port {runner.port} is taken", "ss -ltnp")
    assert not runner.events("replica_started")


def test_a_port_that_needs_privileges_or_an_address_that_is_not_ours_is_told(runner: Runner) -> None:
    runner.declare()
    runner.write("colonnade.toml", '[gateway]\nlisten = "192.0.2.1:8080"\n' + TINY_SERVICE)
    ran = runner.run("up", "--detach")
    assert_refused(runner, ran, HostError.exit_code, "192.0.2.1 is not an address of this machine")


@pytest.mark.parametrize("release", ["python release.py", "no-such-program"])
def test_a_release_that_fails_stops_the_start(runner: Runner, release: str) -> None:
    runner.declare(f'{TINY_SERVICE}release = "{release}"\n')
    runner.write("release.py", "import sys\nprint('migrating')\nsys.exit('column id exists')\n")
    ran = runner.run("up", "--detach")
    assert ran.exit_code != 0
    assert "error" in ran.err
    assert release.split()[0] in ran.err
    if release.endswith(".py"):
        assert_refused(runner, ran, AppError.exit_code, "migrating", "column id exists", "services.web.release")
    assert not runner.events("replica_started")
    runner.assert_nothing_left()


# The state directory


def test_a_file_in_the_place_of_the_state_directory_is_told(runner: Runner) -> None:
    runner.declare()
    runner.write(".colonnade", "")
    assert_refused(runner, runner.run("up", "--detach"), HostError.exit_code, ".colonnade")


@pytest.mark.skipif(not IS_ROOT, reason="needs root to become another user")
def test_a_state_directory_that_cannot_be_written_is_told(runner: Runner) -> None:
    runner.declare()
    runner.user_id = OTHER_USER
    assert_refused(runner, runner.run("up", "--detach"), HostError.exit_code, "permission denied", "--state-dir")


@pytest.mark.skipif(not IS_ROOT, reason="needs root to give a directory away")
def test_a_state_directory_of_somebody_else_is_left_alone(runner: Runner) -> None:
    runner.declare()
    runner.paths.root.mkdir()
    os.chown(runner.paths.root, OTHER_USER, OTHER_USER)
    ran = runner.run("up", "--detach")
    assert_refused(runner, ran, HostError.exit_code, f"belongs to user {OTHER_USER}, you are 0", "--state-dir")
    assert list(runner.paths.root.iterdir()) == []


def test_a_state_directory_from_a_newer_version_is_left_alone(runner: Runner) -> None:
    runner.declare()
    runner.paths.root.mkdir()
    runner.paths.version.write_text(json.dumps({"state_version": 99}))
    ran = runner.run("up", "--detach")
    assert_refused(runner, ran, HostError.exit_code, "newer Colonnade", "99", "pip install -U colonnade")
    assert [path.name for path in runner.paths.root.iterdir()] == ["version.json"]


def fill(directory: Path, *, leave_bytes: int) -> None:
    """Fill the disk but for this much."""
    filler = directory / "filler"
    about = os.statvfs(directory)
    with filler.open("wb") as file:
        file.write(bytes(max(0, about.f_bavail * about.f_frsize - leave_bytes)))


@pytest.mark.parametrize("leave_bytes", [0, 4096, 8 * 4096])
def test_a_full_disk_ends_the_start_and_leaves_nothing(
    runner: Runner, work_dir: Path, small_disk: SmallDisk, leave_bytes: int
) -> None:
    runner.declare()
    place = small_disk(work_dir / "small", 1024 * 1024)
    runner.state_directory = place / "state"
    fill(place, leave_bytes=leave_bytes)
    ran = runner.run("up", "--detach")
    if ran.exit_code == 0:
        pytest.skip("there was room enough")
    assert "Traceback" not in ran.text
    assert "full" in ran.text or "No space left" in ran.text, ran.text
    runner.assert_nothing_left()


def test_a_disk_that_fills_up_while_it_runs_stops_nothing(
    runner: Runner, work_dir: Path, small_disk: SmallDisk
) -> None:
    runner.declare()
    place = small_disk(work_dir / "small", 4 * 1024 * 1024)
    runner.state_directory = place / "state"
    runner.up()
    before = runner.running()
    fill(place, leave_bytes=0)
    killed = runner.replicas()["web/1"]
    kill(killed)
    runner.wait_until(lambda: runner.replicas().get("web/1", killed) != killed, "web/1 is replaced")
    assert runner.get().status == 200
    (place / "filler").unlink()
    assert runner.running()["controller_pid"] == before["controller_pid"]
    assert runner.run("down").exit_code == 0
    runner.assert_nothing_left()


@pytest.mark.parametrize("text", ["{", '{"directory": 3}'])
def test_a_garbled_record_is_no_obstacle_to_a_new_start(runner: Runner, text: str) -> None:
    runner.declare()
    runner.paths.root.mkdir()
    for path in (runner.paths.registry, runner.paths.accepted, runner.paths.failure):
        path.write_text(text)
    runner.up()
    runner.running()


def test_an_edit_while_it_runs_changes_nothing_for_the_next_controller(runner: Runner) -> None:
    runner.declare()
    runner.up()
    before = runner.running()
    pids = runner.replicas()
    runner.write("colonnade.toml", "[[[ half an edit")
    kill(before["controller_pid"])
    runner.wait_gone(before["controller_pid"])
    assert runner.running()["gateway"]["pid"] == before["gateway"]["pid"]
    assert runner.replicas() == pids
    assert "is running already" in runner.run("up", "--detach").out


def test_records_that_rot_while_it_runs_are_told_and_the_application_serves(runner: Runner) -> None:
    runner.declare()
    runner.up()
    before = runner.running()
    good = runner.paths.registry.read_text()
    runner.paths.registry.write_text("{ rot")
    kill(before["controller_pid"])
    runner.wait_gone(before["controller_pid"])
    runner.wait_until(lambda: runner.events("adoption_failed"), "the next controller says what is wrong")
    told = runner.events("adoption_failed")[-1]
    assert "replicas.json" in told.subject
    assert runner.get().status == 200
    runner.wait_until(lambda: "replicas.json" in str((runner.status() or {}).get("problems")), "`status` tells, too")
    runner.paths.registry.write_text(good)
    runner.running()
    # And if nobody mends it, the system can at least be ended.
    runner.paths.registry.write_text("{ rot")
    told_before = len(runner.events("adoption_failed"))
    kill((runner.status() or {})["controller_pid"])
    runner.wait_until(lambda: len(runner.events("adoption_failed")) > told_before, "it is told again")
    ran = runner.run("down")
    assert ran.exit_code == 0, ran.text
    runner.assert_nothing_left()
