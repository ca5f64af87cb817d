"""A way to the gateways for whoever has none: `kubectl port-forward`, for the time of a drill.

It leads to one pod, and ends with it; so a URL is better. Faults that could end it are not made (`faults/whom`), and if
it ends all the same, the drill says that its figures are in doubt.
"""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from colonnade.core.errors import DriverUnavailable, HostError
from colonnade.drill.cluster.api import ClusterApi
from colonnade.drill.cluster.state import GATEWAY

START_S_MAX = 20.0
END_S_MAX = 5.0
COMPLAINT_BYTES_MAX = 4_000

_LINE = re.compile(rb"Forwarding from 127\.0\.0\.1:(\d+) ->")


@dataclass(frozen=True, slots=True)
class Forward:
    url: str
    process: asyncio.subprocess.Process

    @property
    def has_ended(self) -> bool:
        return self.process.returncode is not None


@asynccontextmanager
async def forwarded(api: ClusterApi) -> AsyncIterator[Forward]:
    """Raises HostError without kubectl, DriverUnavailable when it does not get through."""
    program = shutil.which("kubectl")
    if program is None:
        raise HostError(
            "a port-forward needs kubectl", subject="--port-forward", hint="say --url instead, or install it"
        )
    words = ("--context", api.context, "--namespace", api.namespace, "port-forward", "--address", "127.0.0.1")
    process = await asyncio.create_subprocess_exec(
        *(program, *words, f"service/{GATEWAY}", ":80"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for the drill, which still reads back through it
    )
    assert process.stdout is not None
    assert process.stderr is not None
    readers: list[asyncio.Task[bytes]] = []
    try:
        url = await _url_of(process)
        # It says a line for each connection: nobody reads them, and a full pipe would make it wait.
        readers = [asyncio.create_task(_drained(stream)) for stream in (process.stdout, process.stderr)]
        yield Forward(url, process)
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        with suppress(TimeoutError):
            async with asyncio.timeout(END_S_MAX):
                await process.wait()
        if process.returncode is None:
            process.kill()
            await process.wait()
        await asyncio.gather(*readers, return_exceptions=True)


async def _url_of(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    assert process.stderr is not None
    line = b""
    with suppress(TimeoutError):
        async with asyncio.timeout(START_S_MAX):
            line = await process.stdout.readline()
    match = _LINE.search(line)
    if match is not None:
        return f"http://127.0.0.1:{int(match[1])}"
    with suppress(ProcessLookupError):
        process.kill()
    complaint = (await process.stderr.read(COMPLAINT_BYTES_MAX)).decode(errors="replace").strip()
    raise DriverUnavailable(
        f"kubectl port-forward does not get through: {complaint or 'it says nothing'}",
        subject=f"service/{GATEWAY}",
        hint="let visitors in (--service-type NodePort, or a component) and say --url",
    )


async def _drained(stream: asyncio.StreamReader) -> bytes:
    while await stream.read(65_536):
        pass
    return b""
