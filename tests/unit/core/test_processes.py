"""Real processes: started apart from us, recognised again, ended with all their workers."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from colonnade.core import processes
from colonnade.core.errors import HostError
from colonnade.core.processes import (
    SYSTEM_MARK,
    Command,
    Process,
    ProcessId,
    adopt,
    group_members,
    is_alive,
    kill,
    marked_processes,
    name_of,
    start,
    start_ticks_of,
    stop,
)

Start = Callable[..., Process]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Start]:
    """Starts a program in a group of its own; ends every group afterwards."""
    started: list[Process] = []

    def run(*argv: str, env: dict[str, str] | None = None) -> Process:
        process = start(Command(argv, tmp_path, {"PATH": os.environ["PATH"], **(env or {})}, tmp_path / "x.log"))
        started.append(process)
        return process

    yield run
    for process in started:
        process.send_group(signal.SIGKILL)
        wait_until(lambda process=process: not process.group_is_alive())  # type: ignore[misc]
        process.has_exited()  # reaps it
        process.close()


def wait_until(condition: Callable[[], bool]) -> None:
    """Look until it is so: what other processes do takes real time, which cannot be simulated."""
    deadline_s = time.monotonic() + 5.0
    while not condition():
        assert time.monotonic() < deadline_s, "it did not become so within 5 s"
        time.sleep(0.002)


def log_of(directory: Path) -> str:
    return (directory / "x.log").read_text()


def test_output_goes_to_the_end_of_a_file(begin: Start, tmp_path: Path) -> None:
    (tmp_path / "x.log").write_text("earlier\n")
    process = begin("sh", "-c", "echo out; echo err >&2")
    wait_until(process.has_exited)
    assert log_of(tmp_path) == "earlier\nout\nerr\n"


def test_output_is_a_file_and_no_pipe(begin: Start, tmp_path: Path) -> None:
    """Through a pipe, the end of the reader would break every print of the application."""
    process = begin("sleep", "60")
    for number in (1, 2):
        assert Path(os.readlink(f"/proc/{process.pid}/fd/{number}")) == tmp_path / "x.log"
        flags = Path(f"/proc/{process.pid}/fdinfo/{number}").read_text().split("flags:")[1].split()[0]
        assert int(flags, 8) & os.O_APPEND
    assert os.readlink(f"/proc/{process.pid}/fd/0") == "/dev/null"


def test_it_inherits_nothing_but_what_is_given(begin: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OURS", "1")
    process = begin("sh", "-c", "env; ls -l /proc/self/fd | grep -c pipe", env={"THEIRS": "2"})
    wait_until(process.has_exited)
    assert "THEIRS=2" in log_of(tmp_path)
    assert "OURS" not in log_of(tmp_path)


def test_it_leads_a_session_of_its_own(begin: Start) -> None:
    process = begin("sleep", "60")
    assert os.getsid(process.pid) == os.getpgid(process.pid) == process.pid


@pytest.mark.parametrize(("script", "exit_code"), [("exit 3", 3), ("exit 0", 0), ("kill -9 $$", -9)])
def test_how_it_ended_is_known(begin: Start, script: str, exit_code: int) -> None:
    process = begin("sh", "-c", script)
    wait_until(process.has_exited)
    assert process.exit_code == exit_code


@pytest.mark.parametrize("argv", [("no-such-program-anywhere",), ("/",)])
def test_a_program_that_cannot_be_run_is_told_with_a_hint(begin: Start, argv: tuple[str, ...]) -> None:
    with pytest.raises(HostError, match="cannot be started") as caught:
        begin(*argv)
    assert caught.value.subject == argv[0]
    assert "by hand" in caught.value.hint


def test_a_log_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="the log cannot be opened"):
        start(Command(["true"], tmp_path, {}, tmp_path / "missing" / "x.log"))


def test_the_environment_is_not_in_the_representation(tmp_path: Path) -> None:
    assert "s3cret" not in repr(Command(["true"], tmp_path, {"KEY": "s3cret"}, tmp_path / "x.log"))


def test_a_running_process_is_adopted_by_whoever_comes_next(begin: Start) -> None:
    process = begin("sleep", "60")
    again = adopt(process.identity)
    assert again is not None
    assert not again.has_exited()
    asyncio.run(kill(again))
    assert again.has_exited()
    again.close()


def test_a_later_process_with_the_same_pid_is_not_adopted(begin: Start) -> None:
    process = begin("sleep", "60")
    earlier = ProcessId(process.pid, process.identity.start_ticks - 1)
    assert not is_alive(earlier)
    assert adopt(earlier) is None


def test_what_is_gone_is_not_adopted(begin: Start) -> None:
    process = begin("true")
    wait_until(process.has_exited)
    assert adopt(process.identity) is None


def test_a_zombie_is_dead(begin: Start) -> None:
    process = begin("sleep", "60")
    os.kill(process.pid, signal.SIGKILL)
    wait_until(lambda: Path(f"/proc/{process.pid}/stat").read_text().split(")")[1].split()[0] == "Z")
    assert start_ticks_of(process.pid) is None
    assert not is_alive(process.identity)
    assert adopt(process.identity) is None
    assert not process.group_is_alive()


def test_whatever_a_process_calls_itself_it_is_found(begin: Start) -> None:
    """The name stands in the middle of /proc/PID/stat: brackets and half a character of it must not matter."""
    code = (
        "import time; open('/proc/self/comm', 'wb').write(b') Z 1 (\\xc3'); print('named', flush=True); time.sleep(60)"
    )
    process = begin(sys.executable, "-S", "-c", code)
    wait_until(lambda: b"\xc3" in Path(f"/proc/{process.pid}/comm").read_bytes())
    assert is_alive(process.identity)
    assert list(group_members(process.pid)) == [process.pid]
    assert name_of(process.pid) == ") Z 1 (\N{REPLACEMENT CHARACTER}"


def test_a_descriptor_beyond_what_select_takes_is_watched_too(begin: Start) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 1200:
        pytest.skip("this machine allows no more than 1024 descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 1200), hard))
    high = 1100
    process = begin("sleep", "60")
    try:
        os.dup2(os.pidfd_open(process.pid), high, inheritable=False)
        other = Process(process.identity, high)
        assert not other.has_exited()
        other.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_worker_that_outlives_its_parent_is_ended_with_the_group(begin: Start, tmp_path: Path) -> None:
    """As application servers do: their worker goes on serving when only the parent is killed."""
    process = begin("sh", "-c", "sleep 60 & echo $!; wait")
    wait_until(lambda: log_of(tmp_path).endswith("\n"))
    worker = int(log_of(tmp_path))
    process.send(signal.SIGKILL)
    wait_until(process.has_exited)
    assert process.group_is_alive()
    assert list(group_members(process.pid)) == [worker]
    asyncio.run(kill(process))
    assert not process.group_is_alive()
    assert start_ticks_of(worker) is None


def test_stopping_lets_it_finish(begin: Start, tmp_path: Path) -> None:
    process = begin("sh", "-c", "trap 'echo finished; exit 0' TERM; echo ready; while :; do sleep 0.01; done")
    wait_until(lambda: "ready" in log_of(tmp_path))
    assert asyncio.run(stop(process, grace_period_s=5.0)) is True
    assert process.exit_code == 0
    assert "finished" in log_of(tmp_path)


def test_what_does_not_listen_to_sigterm_is_killed_after_the_grace_period(begin: Start, tmp_path: Path) -> None:
    process = begin("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.01; done")
    wait_until(lambda: "ready" in log_of(tmp_path))
    assert asyncio.run(stop(process, grace_period_s=0.05)) is False
    assert process.exit_code == -signal.SIGKILL
    assert not process.group_is_alive()


def test_stopping_what_has_ended_already_is_no_error(begin: Start) -> None:
    process = begin("true")
    wait_until(process.has_exited)
    assert asyncio.run(stop(process, grace_period_s=0.05)) is True


def test_a_group_that_does_not_die_is_told(begin: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    # Patched: a process that survives SIGKILL needs a sick disk.
    monkeypatch.setattr(Process, "group_is_alive", lambda self: True)
    monkeypatch.setattr(processes, "KILL_WAIT_S", 0.01)
    process = begin("sleep", "60")
    with pytest.raises(HostError, match="does not die") as caught:
        asyncio.run(kill(process))
    assert "wchan" in caught.value.hint
    monkeypatch.undo()


def test_its_end_is_heard_at_once_and_by_all(begin: Start) -> None:
    heard: list[str] = []

    async def main() -> None:
        process = begin("sleep", "60")
        process.on_exit(lambda: heard.append("first"))
        process.on_exit(lambda: heard.append("second"))
        process.send(signal.SIGKILL)
        assert await process.wait(5.0)
        await asyncio.sleep(0)
        process.on_exit(lambda: heard.append("late"))
        await asyncio.sleep(0)

    asyncio.run(main())
    assert heard == ["first", "second", "late"]


def test_waiting_in_short_steps_leaves_nothing_behind(begin: Start) -> None:
    async def main() -> int:
        process = begin("sleep", "60")
        for _ in range(20):
            assert await process.wait(0.001) is False
        return len(process._callbacks)

    assert asyncio.run(main()) == 0


def test_a_closed_handle_signals_nobody(begin: Start) -> None:
    process = begin("sleep", "60")
    other = adopt(process.identity)
    assert other is not None
    other.close()
    other.close()
    other.send(signal.SIGKILL)
    assert is_alive(process.identity)


@pytest.mark.slow  # looks at every process of the machine
def test_processes_are_found_by_the_mark_of_their_system(begin: Start, tmp_path: Path) -> None:
    mark = str(tmp_path / "state")
    ours = begin("sleep", "60", env={SYSTEM_MARK: mark, "ROLE": "x"})
    begin("sleep", "60", env={SYSTEM_MARK: f"{mark}-other", "ROLE": "x"})
    wait_until(lambda: marked_processes(mark) == [ours.pid])
    assert marked_processes(mark, with_variable="ROLE") == [ours.pid]
    assert marked_processes(mark, with_variable="ROL") == []


def test_processes_are_found_by_where_they_work_when_they_overwrote_their_environment(
    begin: Start, tmp_path: Path
) -> None:
    # With an environment: somebody's shell that went there to look at a log.
    begin("sleep", "60")
    ours = begin("env", "-i", "sleep", "60")
    wait_until(lambda: marked_processes(str(tmp_path)) == [ours.pid])
