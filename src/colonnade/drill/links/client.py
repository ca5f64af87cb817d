"""Starts the process of the links and tells it what to do. A drill that dies ends its links: it holds their input.

Faults overlap, so each puts a rule of its own on a link and lifts that one; what the link does is all of them together.
Read next: `process`, the other end; `faults/links`, who uses it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from colonnade.core.errors import Bug
from colonnade.drill.links.process import Job, Name
from colonnade.drill.links.rule import LinkRule, together

ANSWER_S_MAX = 10.0
"""An order is carried out in a millisecond; a starved machine gets this long."""


class Links:
    """All links of one drill. Raises Bug when their process has ended or does not answer."""

    def __init__(self, names: Collection[Name], process: asyncio.subprocess.Process) -> None:
        self.names = tuple(names)
        self._process = process
        self._rules: dict[Name, dict[int, LinkRule]] = {name: {} for name in names}
        self._rules_count = 0
        self._orders_count = 0
        self._lock = asyncio.Lock()

    async def put(self, names: Collection[Name], rule: LinkRule) -> int:
        """Put one more rule on each of these; returns the number to lift it by."""
        self._rules_count += 1
        number = self._rules_count
        for name in names:
            self._rules[name][number] = rule
        await self._apply(names)
        return number

    async def lift(self, number: int) -> None:
        """Take away what `put` gave this number to; nothing happens the second time."""
        names = [name for name, rules in self._rules.items() if rules.pop(number, None) is not None]
        await self._apply(names)

    def rule_on(self, name: Name) -> LinkRule:
        """What this link does now."""
        return together(self._rules[name].values())

    async def reset(self, names: Iterable[Name]) -> int:
        """Reset every connection on these; returns how many there were."""
        return int((await self._order("reset", names))["count"])

    async def connections_count(self, names: Iterable[Name]) -> int:
        return int((await self._order("count", names))["count"])

    async def _apply(self, names: Collection[Name]) -> None:
        for name in names:
            await self._order("set", [name], rule=self.rule_on(name).to_json())

    async def _order(self, what: str, names: Iterable[Name], **more: Any) -> dict[str, Any]:
        async with self._lock:
            self._orders_count += 1
            order = {"number": self._orders_count, "do": what, "links": list(names), **more}
            return await _ask(self._process, self._orders_count, json.dumps(order).encode() + b"\n")


@asynccontextmanager
async def open_links(directory: Path, names: Collection[Name], seed: int) -> AsyncIterator[Links]:
    """Links for these ways, and in `directory` what `up --detours` needs to send the parts over them. They are gone
    when this ends; so are all connections over them."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "colonnade.drill.links.process"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for the drill, which heals first
    )
    try:
        await _ask(process, 0, Job(str(directory), tuple(names), seed).to_line())
        yield Links(names, process)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def _ask(process: asyncio.subprocess.Process, number: int, line: bytes) -> dict[str, Any]:
    """Send a line and return the answer of this number: one before it may be left of somebody who was interrupted."""
    if process.stdin is None or process.stdout is None:
        raise Bug("the pipes to the links are missing")
    try:
        process.stdin.write(line)
        async with asyncio.timeout(ANSWER_S_MAX):
            while True:
                found: dict[str, Any] = json.loads(await process.stdout.readline())
                if found["number"] == number:
                    return found
    except (OSError, ValueError, TimeoutError) as error:
        raise Bug(f"the process of the links does not answer ({error or type(error).__name__})") from error
