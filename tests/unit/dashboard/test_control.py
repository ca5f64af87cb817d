"""Questions to the controller: one that is given up keeps nobody waiting, and what is read can be written again."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path

import pytest

from colonnade.core.errors import DriverUnavailable
from colonnade.dashboard.control import Control, _read


def test_closing_wakes_who_waits_for_an_answer(tmp_path: Path) -> None:
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


def test_an_answer_that_nobody_waited_for_is_not_taken_for_the_next_one(tmp_path: Path) -> None:
    asked: list[bytes] = []
    is_asked, is_given_up = asyncio.Event(), asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                asked.append((await reader.readuntil(b"\r\n\r\n")).split(b" ")[1])
                if asked[-1] == b"/slow":
                    is_asked.set()
                    await is_given_up.wait()
                body = b'{"at": "%b"}' % asked[-1]
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        except (OSError, EOFError):
            writer.close()

    async def run() -> None:
        async with await asyncio.start_unix_server(answer, tmp_path / "control.sock"):
            control = Control(tmp_path / "control.sock")
            assert [await control.ask("GET", path) for path in ("/a", "/b")] == [{"at": "/a"}, {"at": "/b"}]
            asking = asyncio.create_task(control.ask("GET", "/slow"))
            await is_asked.wait()
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            is_given_up.set()
            assert await control.ask("GET", "/c") == {"at": "/c"}
            control.close()
            await asyncio.sleep(0.01)  # for both ends to be gone

    asyncio.run(run())


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\n\r\n{}", b"no HTTP\r\n\r\n", b"x" * 100_000])
def test_what_is_no_answer_is_none(tmp_path: Path, answer: bytes) -> None:
    async def say(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        writer.close()

    async def run() -> None:
        async with await asyncio.start_unix_server(say, tmp_path / "control.sock"):
            with pytest.raises(DriverUnavailable):
                await Control(tmp_path / "control.sock").ask("GET", "/status")
            await asyncio.sleep(0.01)  # for both ends to be gone

    asyncio.run(run())


@pytest.mark.parametrize("path", ["/a b", "/a\r\n\r\nPOST /down HTTP/1.1", "/\x7f", "/\N{SNOWMAN}"])
def test_a_path_is_one_word_and_never_a_second_question(tmp_path: Path, path: str) -> None:
    with pytest.raises(DriverUnavailable, match="no path"):
        asyncio.run(Control(tmp_path / "control.sock").ask("GET", path))


def test_the_name_of_a_file_that_is_no_text_can_be_written_again() -> None:
    told = {"message": "caf\udce9.txt changed", "subject": "\N{SMILING FACE WITH SUNGLASSES} é"}
    read = _read(json.dumps(told).encode())
    assert json.dumps(read, ensure_ascii=False).encode()
    assert read == {"message": "caf?.txt changed", "subject": told["subject"]}
