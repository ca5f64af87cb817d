"""A question to a controller that does not answer: whoever gives it up is not kept waiting by its thread."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from colonnade.core.errors import DriverUnavailable
from colonnade.dashboard.control import Control


def test_closing_wakes_the_thread_that_waits_for_an_answer(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"

    async def run() -> None:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen()
            control = Control(path, timeout_s=60.0)
            asking = asyncio.create_task(control.ask("GET", "/status"))
            connection, _ = await asyncio.to_thread(listener.accept)
            with connection:
                await asyncio.to_thread(connection.recv, 1000)
                control.close()
                async with asyncio.timeout(5):
                    with pytest.raises(DriverUnavailable):
                        await asking

    asyncio.run(run())
