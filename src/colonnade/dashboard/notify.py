"""Sends messages to webhooks. Whoever tells something only puts it into a queue; an address that hangs or fails holds
up neither the looks nor the other addresses. What waits outlives this process (`undelivered.py`).

Addresses are secrets: they are asked of the controller, kept in memory, and never shown.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any

from colonnade.core.clock import Clock
from colonnade.core.errors import DriverError
from colonnade.dashboard.control import Control
from colonnade.dashboard.look import Look
from colonnade.dashboard.undelivered import Entry, Undelivered
from colonnade.observe.alerts import Change
from colonnade.observe.notices import WAITING_MAX, Message, Webhook, body_of, judge, of_change, of_event
from colonnade.observe.sample import Sample

if TYPE_CHECKING:
    import httpx

ANSWER_TIMEOUT_S = 10.0
"""For all of one attempt, from the name's lookup to the status."""


class Outbox:
    """What waits for one webhook, and the task that sends it."""

    def __init__(self, webhook: Webhook, kept: Undelivered, clock: Clock, random: Random) -> None:
        self.webhook = webhook
        self.delivered = self.failed = self.dropped = 0
        self.trouble = ""
        """What went wrong last; empty once something arrived."""
        self._clock = clock
        self._random = random
        self._kept = kept
        self._waiting = kept.queue_for(webhook)
        self._arrived = asyncio.Event()

    def put(self, entry: Entry) -> None:
        if entry.message.about not in self.webhook.about:
            return
        if len(self._waiting) >= WAITING_MAX:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(entry)
        self._kept.save()
        self._arrived.set()

    async def run(self, client: httpx.AsyncClient) -> None:
        """Send what comes, one after the other, until cancelled."""
        while True:
            while not self._waiting:
                self._arrived.clear()
                await self._arrived.wait()
            entry = self._waiting[0]
            if self._kept.is_too_old(entry):
                self.failed += 1
                self.trouble = f"{self.webhook.name} did not take it for an hour"
            else:
                await self._deliver(client, entry.message, entry.system)
            # While it was tried it may have been dropped for newer ones. Nothing comes between an answer and this.
            if self._waiting and self._waiting[0] is entry:
                self._waiting.popleft()
                self._kept.save()

    async def _deliver(self, client: httpx.AsyncClient, message: Message, system: str) -> None:
        attempt = 0
        while True:
            attempt += 1
            status, wait_s = await self._post(client, body_of(message, self.webhook.format, system))
            verdict = judge(status, attempt, wait_s, self._random)
            self.trouble = f"{self.webhook.name} {verdict.trouble}" if verdict.trouble else ""
            if verdict.is_delivered:
                self.delivered += 1
                return
            if verdict.retry_after_s is None:
                self.failed += 1
                return
            await self._clock.sleep(verdict.retry_after_s)

    async def _post(self, client: httpx.AsyncClient, body: Mapping[str, Any]) -> tuple[int | None, float | None]:
        """(status, seconds that we are asked to wait). No status: no answer in time. The answer's body is not read."""
        import httpx

        content = json.dumps(body, default=str).encode()
        headers = {"Content-Type": "application/json"}
        try:
            async with (
                asyncio.timeout(ANSWER_TIMEOUT_S),
                client.stream("POST", self.webhook.url, content=content, headers=headers) as answer,
            ):
                asked = answer.headers.get("Retry-After", "")
                return answer.status_code, float(asked) if asked.isdecimal() else None
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError):
            return None, None


class Notifier:
    """All webhooks. `on_change` and `take` are called by the looks; `run` beside them."""

    def __init__(self, control: Control, kept: Undelivered, clock: Clock, random: Random) -> None:
        self._control = control
        self._kept = kept
        self._clock = clock
        self._random = random
        self._outboxes: tuple[Outbox, ...] = ()
        self._knows_whom = False
        """What is told before that waits for it."""
        self._tasks: list[asyncio.Task[None]] = []
        self._client: httpx.AsyncClient | None = None
        self._system = ""
        self._asked_for: object = None
        self._changed = asyncio.Event()
        self._counts = {"delivered": 0, "failed": 0, "dropped": 0}
        self._tell_from_s = clock.wall()

    def on_change(self, change: Change) -> None:
        message = of_change(change)
        if message is not None:
            self._put(message)

    def take(self, look: Look) -> None:
        self._system = str(look.status.get("name", ""))
        # A declaration comes to count with a version or with another controller.
        declared = look.status.get("deployed_version"), look.status.get("controller_pid")
        if declared != self._asked_for and look.status.get("services"):
            self._asked_for = declared
            self._changed.set()
        for event in look.events:
            message = of_event(event) if event["at_s"] >= self._tell_from_s else None
            if message is not None:
                self._put(message)

    def _put(self, message: Message) -> None:
        entry = Entry(message, self._system, self._clock.wall())
        if not self._knows_whom:
            self._kept.early.append(entry)
            self._kept.save()
        for outbox in self._outboxes:
            outbox.put(entry)

    def describe(self) -> list[dict[str, Any]]:
        """For people: each webhook by its host, without its address."""
        return [
            {
                "host": outbox.webhook.name,
                "format": outbox.webhook.format,
                "about": sorted(outbox.webhook.about),
                "delivered": outbox.delivered,
                "failed": outbox.failed,
                "dropped": outbox.dropped,
                "trouble": outbox.trouble,
            }
            for outbox in self._outboxes
        ]

    def samples(self, _: Look) -> Iterator[Sample]:
        for outcome, before in self._counts.items():
            total = before + sum(getattr(outbox, outcome) for outbox in self._outboxes)
            yield Sample("colonnade_notifications_total", (("outcome", outcome),), float(total))

    async def run(self) -> None:
        """Until cancelled: learn whom to tell, again whenever the declaration may have changed."""
        try:
            while True:
                await self._changed.wait()
                self._changed.clear()
                try:
                    answer = await self._control.ask("GET", "/webhooks")
                except DriverError:  # it restarts, or is of a version that has none: the next one is asked again
                    self._asked_for = None
                    await self._clock.sleep(1.0)
                    continue
                await self._use([webhook_from(each) for each in answer["webhooks"]])
                self._tell_early()
        finally:
            await self._use([])

    def _tell_early(self) -> None:
        self._knows_whom = True
        for entry in list(self._kept.early):
            for outbox in self._outboxes:
                # The first look tells of alerts before it tells of whom they are.
                outbox.put(replace(entry, system=entry.system or self._system))
        if self._kept.early:
            self._kept.early.clear()
            self._kept.save()

    async def _use(self, webhooks: Sequence[Webhook]) -> None:
        """Tell these from now on; one that stays keeps what waits for it."""
        stay = {outbox.webhook: outbox for outbox in self._outboxes}
        if [*stay] == list(webhooks):
            return
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for outbox in self._outboxes:
            if outbox.webhook not in webhooks:
                for outcome in self._counts:
                    self._counts[outcome] += getattr(outbox, outcome)
        self._outboxes = tuple(
            stay.get(each) or Outbox(each, self._kept, self._clock, self._random) for each in webhooks
        )
        if self._client is not None:
            await self._client.aclose()
            self._client = None
        self._tasks = []
        if webhooks:
            import httpx  # 20 MB that only those need who want to be told

            self._client = httpx.AsyncClient(follow_redirects=False, timeout=ANSWER_TIMEOUT_S)
            self._tasks = [asyncio.create_task(outbox.run(self._client)) for outbox in self._outboxes]


def webhook_from(value: Mapping[str, Any]) -> Webhook:
    return Webhook(value["url"], value["format"], frozenset(value["about"]))
