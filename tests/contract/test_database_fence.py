"""Who is ended by a fence: every process of the server, wherever its directory is; nobody who only stands there."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.contract.database_kit import credentials
from tests.contract.one_server import OneServer, play

from colonnade.core.processes import SYSTEM_MARK, start_ticks_of
from colonnade.database.fence import processes_in
from colonnade.database.secrets import SUPERUSER, load_or_make_secrets

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]


async def session_on(server: OneServer) -> psycopg.AsyncConnection[Any]:
    secrets = load_or_make_secrets(server.paths.root, credentials())
    return await psycopg.AsyncConnection.connect(
        host=str(server.paths.sockets),
        port=server.port,
        user=SUPERUSER,
        password=secrets.superuser,
        dbname="postgres",
        autocommit=True,
    )


def sleep_in(directory: Path, env: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "60"], cwd=directory, env={"PATH": "/usr/bin:/bin", **env})


def alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if start_ticks_of(pid) is not None]


def test_somebody_who_stands_in_the_directory_survives_a_fence_and_backends_do_not(work_dir: Path) -> None:
    async def case(server: OneServer) -> None:
        directory = server.paths.node("a")
        visitor, command = sleep_in(directory, {}), sleep_in(directory, {SYSTEM_MARK: str(work_dir)})
        try:
            sessions = [await session_on(server) for _ in range(2)]
            spin = asyncio.create_task(sessions[1].execute("DO $$ BEGIN LOOP END LOOP; END $$"))
            await asyncio.sleep(0.2)
            os.kill(sessions[0].info.backend_pid, signal.SIGSTOP)
            pids = [process.pid for process in server.processes()]
            assert {session.info.backend_pid for session in sessions} < set(pids)
            assert set(processes_in((directory,))) == {*pids, command.pid}
            await server.driver.fence("a")
            assert alive(pids) == []
            assert command.wait(1) == -signal.SIGKILL, "what a server of ours had started"
            assert visitor.poll() is None
            assert (await server.look()).is_proved_dead
            for session in sessions:
                await session.close()
            with contextlib.suppress(psycopg.Error):
                await spin
        finally:
            for process in (visitor, command):
                process.kill()
                process.wait()

    play(case, work_dir)


@pytest.mark.parametrize("lost", ["removed", "moved", "removed and its postmaster dead"])
def test_server_whose_directory_is_gone_is_fenced_all_the_same(work_dir: Path, lost: str) -> None:
    async def case(server: OneServer) -> None:
        directory = server.paths.node("a")
        pids = [process.pid for process in server.processes()]
        backend = await session_on(server)
        pids.append(backend.info.backend_pid)
        if lost == "moved":
            directory.rename(directory.with_name("elsewhere"))
        else:
            os.kill(backend.info.backend_pid, signal.SIGSTOP)
            if lost != "removed":
                os.kill(server.pid, signal.SIGKILL)
            while directory.exists():
                # A server that misses files ends, and takes its own away while we do.
                with contextlib.suppress(FileNotFoundError):
                    shutil.rmtree(directory)
        await server.driver.fence("a")
        assert alive(pids) == []
        await backend.close()

    play(case, work_dir)
