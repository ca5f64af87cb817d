"""Questions to the controller: one that is given up keeps nobody waiting, and what is read can be written again."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path

import pytest

from colonnade.core.errors import DriverUnavailable
from colonnade.dashboard.control import Control, _read


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


def test_the_name_of_a_file_that_is_no_text_can_be_written_again() -> None:
    told = {"message": "caf\udce9.txt changed", "subject": "\N{SMILING FACE WITH SUNGLASSES} é"}
    read = _read(json.dumps(told).encode())
    assert json.dumps(read, ensure_ascii=False).encode()
    assert read == {"message": "caf?.txt changed", "subject": told["subject"]}
