"""The process in which the links of one drill run. It lives as long as somebody holds its standard input.

It is told on its standard input and answers on its output, one line of JSON each: first what it is to serve (`Job`),
which it answers with the links' ports; then orders, each answered when it is carried out. It decides nothing.
Read next: `client`, the other end of both pipes; `link`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from colonnade.core.errors import HostError
from colonnade.core.files import read_json, write_json_atomically
from colonnade.drill.links.link import Link, Place
from colonnade.drill.links.rule import LinkRule
from colonnade.drill.load.process import allow_open_files, loop_factory
from colonnade.system.detours import end_file, port_file

OPEN_FILES = 4096
"""Two for each connection; some hundred connections are open at a time."""

Name = tuple[str, str]
"""(who, whom): gateway, backend-2."""


@dataclass(frozen=True, slots=True)
class Job:
    """What the process is for."""

    directory: str
    names: tuple[Name, ...]
    seed: int

    def to_line(self) -> bytes:
        return json.dumps(asdict(self)).encode() + b"\n"

    @staticmethod
    def from_line(line: bytes) -> Job:
        fields = json.loads(line)
        return Job(fields["directory"], tuple((who, whom) for who, whom in fields["names"]), fields["seed"])


def find_end(directory: Path, who: str, whom: str) -> Place | None:
    """Where this way leads now; None while nobody has said so, or what is there says nothing."""
    try:
        end = read_json(end_file(directory, who, whom))
        return (str(end["host"]), int(end["port"])) if end is not None else None
    except (HostError, KeyError, TypeError, ValueError):
        return None


async def serve(job: Job) -> None:
    """Until standard input ends."""
    directory = Path(job.directory)
    random = Random(job.seed)  # noqa: S311 — draws delays that can be drawn again, guards nothing
    links: dict[Name, Link] = {}
    try:
        for who, whom in job.names:
            # Each with its own sequence, so that what one link carries does not change what another draws.
            own = Random(random.random())  # noqa: S311 — as above
            link = Link(partial(find_end, directory, who, whom), own)
            links[who, whom] = link
            write_json_atomically(port_file(directory, who, whom), {"port": link.port})
        _say({"number": 0, "ports": [[who, whom, link.port] for (who, whom), link in links.items()]})
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        try:
            while line := await reader.readline():
                order = json.loads(line)
                _say({"number": order["number"], **_carry_out(order, links)})
        finally:
            transport.close()
    finally:
        for name, link in links.items():
            port_file(directory, *name).unlink(missing_ok=True)
            await link.close()


def _carry_out(order: Mapping[str, Any], links: Mapping[Name, Link]) -> dict[str, Any]:
    wanted = [links[who, whom] for who, whom in order["links"]]
    match order["do"]:
        case "set":
            for link in wanted:
                link.set(LinkRule.from_json(order["rule"]))
            return {}
        case "reset":
            return {"count": sum(link.reset() for link in wanted)}
        case "count":
            return {"count": sum(link.connections_count for link in wanted)}
        case other:
            raise ValueError(f"an order that is none: {other!r}")


def _say(answer: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Entry point of the child."""
    job = Job.from_line(sys.stdin.buffer.readline())
    allow_open_files(OPEN_FILES)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(serve(job))


if __name__ == "__main__":
    main()
