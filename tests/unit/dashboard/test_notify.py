"""Webhooks against a real server that answers, fails, hangs and redirects."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from colonnade.core.clock import Clock, SimulatedClock, SystemClock
from colonnade.dashboard import notify
from colonnade.dashboard.control import Control
from colonnade.dashboard.look import Look
from colonnade.dashboard.notify import Notifier, Outbox, webhook_from
from colonnade.dashboard.undelivered import KEPT_S_MAX, UNDELIVERED_FILE, WEBHOOKS_MAX, Entry, Undelivered
from colonnade.observe import notices
from colonnade.observe.alert_rules import seen
from colonnade.observe.alerts import Alerts, step
from colonnade.observe.notices import ATTEMPTS_MAX, DELAY_MAX_S, Message, Webhook, body_of, judge, of_change, of_event
from colonnade.observe.sample import Sample, Sight

SECRET = "T00/B00/very-secret"
MESSAGE = Message("alerts", 1_700_000_000.0, "firing: a <thing> & more", "it is <b>", {"rule": "no_primary"})


class Receiver:
    """Answers each POST by the next word of its script, the last one for ever."""

    def __init__(self, *script: str) -> None:
        self._script = list(script)
        self.bodies: list[dict[str, Any]] = []
        self.paths: list[str] = []

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line[:15] == b"content-length:")
                self.bodies.append(json.loads(await reader.readexactly(length)))
                self.paths.append(head.split()[1].decode())
                word = self._script.pop(0) if len(self._script) > 1 else self._script[0]
                if word == "hang":
                    await asyncio.sleep(60)
                if word == "cut":
                    break
                writer.write(f"HTTP/1.1 {word}\r\nContent-Length: 0\r\n\r\n".encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def receiving(receiver: Receiver, port: int = 0) -> AsyncIterator[str]:
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(receiver.answer(reader, writer))
        tasks.add(task)

    server = await asyncio.start_server(accept, "127.0.0.1", port)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/{SECRET}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def undelivered(directory: Path, clock: Clock | None = None) -> Undelivered:
    """What one process has to send; another one with the same directory is its successor."""
    return Undelivered(directory / UNDELIVERED_FILE, clock or SystemClock())


def entry(number: int = 0, told_at_s: float | None = None) -> Entry:
    message = replace(MESSAGE, title=f"{MESSAGE.title} {number}" if number else MESSAGE.title)
    return Entry(message, "shop", SystemClock().wall() if told_at_s is None else told_at_s)


def deliver(
    receiver: Receiver, until: Callable[[Outbox], bool], count: int = 1, *, kept: Undelivered | None = None
) -> Outbox:
    """Send so many messages to it, until something is so."""
    import httpx

    async def run() -> Outbox:
        async with receiving(receiver) as url, httpx.AsyncClient(follow_redirects=False) as client:
            webhook = webhook_from({"url": url, "format": "generic", "about": ["alerts"]})
            outbox = Outbox(webhook, kept or undelivered(Path("/nowhere")), SystemClock(), Random(1))
            for _ in range(count):
                outbox.put(entry())
            sending = asyncio.create_task(outbox.run(client))
            async with asyncio.timeout(20):
                while not until(outbox):  # noqa: ASYNC110 — it tells nobody when it is done
                    await asyncio.sleep(0.005)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        return outbox

    return asyncio.run(run())


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "DELAY_FIRST_S", 0.01)


def test_a_message_arrives_as_it_was_told() -> None:
    receiver = Receiver("200 OK")
    outbox = deliver(receiver, lambda box: box.delivered == 2, count=2)
    assert receiver.bodies == [body_of(MESSAGE, "generic", "shop")] * 2
    assert receiver.paths == [f"/{SECRET}"] * 2
    assert outbox.trouble == ""


@pytest.mark.parametrize("script", [("503 Busy", "cut", "429 Later", "204 Fine"), ("500 No", "200 OK")])
def test_what_fails_is_tried_again_until_it_arrives(script: tuple[str, ...]) -> None:
    receiver = Receiver(*script)
    outbox = deliver(receiver, lambda box: box.delivered == 1)
    assert len(receiver.bodies) == len(script)
    assert (outbox.failed, outbox.dropped) == (0, 0)


@pytest.mark.parametrize("word", ["302 Found\r\nLocation: http://127.0.0.1:1/", "404 Gone", "400 Bad"])
def test_redirects_and_refusals_are_final(word: str) -> None:
    receiver = Receiver(word)
    outbox = deliver(receiver, lambda box: box.failed == 1)
    assert len(receiver.bodies) == 1
    assert outbox.trouble.startswith(f"127.0.0.1 answered {word[:3]}")


def test_one_that_hangs_is_given_up_and_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "ANSWER_TIMEOUT_S", 0.05)
    monkeypatch.setattr(notices, "ATTEMPTS_MAX", 2)
    receiver = Receiver("hang")
    outbox = deliver(receiver, lambda box: box.failed >= 1, count=notices.WAITING_MAX + 7)
    assert outbox.dropped == 7
    assert outbox.trouble == "127.0.0.1 no answer, 2 times"


def test_an_address_shows_nowhere(tmp_path: Path) -> None:
    webhook = webhook_from({"url": f"https://hooks.example.com/{SECRET}", "format": "slack", "about": ["alerts"]})
    kept = undelivered(tmp_path)
    notifier = Notifier(Control(Path("/nowhere")), kept, SystemClock(), Random(1))
    outbox = Outbox(webhook, kept, SystemClock(), Random(1))
    outbox.put(entry())
    outbox.trouble = "x"
    notifier._outboxes = (outbox,)
    file = tmp_path / UNDELIVERED_FILE
    assert file.stat().st_mode & 0o777 == 0o600
    for text in (repr(webhook), repr(outbox), str(notifier.describe()), repr(notifier), file.read_text()):
        assert SECRET not in text
        assert "hooks" not in file.read_text()
    assert notifier.describe()[0]["host"] == "hooks.example.com"


def test_only_what_one_asked_for_is_told() -> None:
    webhook = Webhook("http://127.0.0.1:1/", "generic", frozenset({"decisions"}))
    kept = undelivered(Path("/nowhere"))
    outbox = Outbox(webhook, kept, SystemClock(), Random(1))
    outbox.put(entry())
    assert len(kept.queue_for(webhook)) == 0


def test_what_is_told_before_anybody_knows_whom_to_tell_is_told_later(tmp_path: Path) -> None:
    receiver = Receiver("200 OK")

    class Controller(Control):
        def __init__(self, url: str) -> None:
            super().__init__(Path("/nowhere"))
            self.url = url

        async def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
            assert (method, path) == ("GET", "/webhooks")
            return {"webhooks": [{"url": self.url, "format": "generic", "about": ["decisions"]}]}

    async def run() -> None:
        async with receiving(receiver) as url:
            notifier = Notifier(Controller(url), undelivered(tmp_path), SystemClock(), Random(1))
            running = asyncio.create_task(notifier.run())
            event = {
                "seq": 1,
                "at_s": 1e12,
                "kind": "service_scaled",
                "subject": "web",
                "reason": "busy",
                "message": "m",
            }
            said = {"name": "shop", "services": [{}], "deployed_version": 1, "controller_pid": 2}
            notifier.take(Look(1e12, said, {}, [event], Sight(1e12, ())))
            async with asyncio.timeout(20):
                while not receiver.bodies:  # noqa: ASYNC110 — it tells nobody when it is done
                    await asyncio.sleep(0.005)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(run())
    assert [(body["system"], body["event"]["reason"]) for body in receiver.bodies] == [("shop", "busy")]


def test_what_did_not_arrive_is_sent_by_the_next_process_and_no_other(tmp_path: Path) -> None:
    """On one address throughout: nobody is there, then somebody is."""

    async def send(url: str, kept: Undelivered, until: Callable[[Outbox], bool], *new: Entry) -> Outbox:
        import httpx

        async with httpx.AsyncClient() as client:
            outbox = Outbox(Webhook(url, "generic", frozenset({"alerts"})), kept, SystemClock(), Random(1))
            for each in new:
                outbox.put(each)
            sending = asyncio.create_task(outbox.run(client))
            async with asyncio.timeout(20):
                while not until(outbox):  # noqa: ASYNC110 — it tells nobody when it is done
                    await asyncio.sleep(0.005)
            await asyncio.sleep(0.05)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        return outbox

    async def run() -> None:
        away, there = Receiver("503 Away"), Receiver("200 OK")
        async with receiving(away) as url:
            await send(url, undelivered(tmp_path), lambda box: bool(box.trouble), entry(1), entry(2))
        port = int(url.split(":")[2].split("/")[0])
        async with receiving(there, port) as same:
            assert same == url
            outbox = await send(url, undelivered(tmp_path), lambda box: box.delivered == 2)
            assert (outbox.failed, outbox.dropped) == (0, 0)
            assert [body["title"] for body in there.bodies] == [f"{MESSAGE.title} 1", f"{MESSAGE.title} 2"]
            assert there.bodies[0] == body_of(entry(1).message, "generic", "shop")
            await send(url, undelivered(tmp_path), lambda _: True)
        assert len(there.bodies) == 2, "what was taken is not sent again"

    asyncio.run(run())


def test_what_is_too_old_is_sent_to_nobody(tmp_path: Path) -> None:
    webhook = Webhook("http://127.0.0.1:1/", "generic", frozenset({"alerts"}))
    clock = SimulatedClock()
    kept = undelivered(tmp_path, clock)
    for number, told_at_s in enumerate((clock.wall() - KEPT_S_MAX - 1, clock.wall()), 1):
        kept.queue_for(webhook).append(entry(number, told_at_s))
    kept.save()
    assert [each.message.title[-1] for each in undelivered(tmp_path, clock).queue_for(webhook)] == ["2"]
    receiver = Receiver("200 OK")
    old = undelivered(tmp_path / "other")

    async def run() -> None:
        import httpx

        async with receiving(receiver) as url, httpx.AsyncClient() as client:
            outbox = Outbox(Webhook(url, "generic", frozenset({"alerts"})), old, SystemClock(), Random(1))
            outbox.put(entry(1, told_at_s=1.0))
            outbox.put(entry(2))
            sending = asyncio.create_task(outbox.run(client))
            async with asyncio.timeout(20):
                while not outbox.delivered:  # noqa: ASYNC110 — it tells nobody when it is done
                    await asyncio.sleep(0.005)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            assert outbox.failed == 1

    asyncio.run(run())
    assert [body["title"][-1] for body in receiver.bodies] == ["2"]


def test_a_disk_that_takes_nothing_keeps_nobody_from_being_told() -> None:
    kept = undelivered(Path("/nowhere"))
    assert deliver(Receiver("200 OK"), lambda box: box.delivered == 1, kept=kept).failed == 0
    assert kept.trouble.startswith("what waits for webhooks is in memory only")


def nested(levels: int) -> dict[str, Any]:
    inner: dict[str, Any] = {}
    for _ in range(levels):
        inner = {"x": inner}
    return inner


GOOD = {"system": "shop", "told_at_s": 1.0, "message": asdict(MESSAGE)}


@pytest.mark.parametrize(
    "value",
    [
        [],
        {"waiting": []},
        {"waiting": {"k": {}}},
        {"waiting": {"k": [None, 1, {}, {**GOOD, "told_at_s": float("inf")}, {**GOOD, "message": 1}]}},
        {"waiting": {"k": [{**GOOD, "message": {**asdict(MESSAGE), "about": ["alerts"]}}]}},
        {"waiting": {"k": [{**GOOD, "message": {**asdict(MESSAGE), "detail": {"x": "y" * 100_000}}}]}},
        {"waiting": {"k": [{**GOOD, "message": {**asdict(MESSAGE), "at_s": "soon"}}]}},
        {"waiting": {"k": [{**GOOD, "told_at_s": 1e12, "message": {**asdict(MESSAGE), "detail": nested(600)}}]}},
    ],
)
def test_what_others_wrote_into_the_file_is_sent_to_nobody(tmp_path: Path, value: object) -> None:
    (tmp_path / UNDELIVERED_FILE).write_text(json.dumps(value))
    kept = undelivered(tmp_path)
    kept.save()
    assert json.loads((tmp_path / UNDELIVERED_FILE).read_text()) == {"waiting": {}}


def test_what_waits_is_bounded(tmp_path: Path) -> None:
    kept = undelivered(tmp_path)
    for number in range(WEBHOOKS_MAX + 20):
        webhook = Webhook(f"http://127.0.0.1:1/{number}", "generic", frozenset({"alerts"}))
        for _ in range(3):
            kept.queue_for(webhook).append(entry())
    kept.save()
    assert len(json.loads((tmp_path / UNDELIVERED_FILE).read_text())["waiting"]) <= WEBHOOKS_MAX + 1
    (tmp_path / UNDELIVERED_FILE).write_text(json.dumps({"waiting": {"k": [GOOD] * 500}}))
    assert len(undelivered(tmp_path)._queue("k")) == notices.WAITING_MAX


def test_slack_gets_plain_text() -> None:
    assert body_of(MESSAGE, "slack", "shop") == {
        "text": "*shop* firing: a &lt;thing&gt; &amp; more\nit is &lt;b&gt;",
    }


def test_alerts_are_told_when_they_fire_and_when_they_are_over() -> None:
    bad, good = ([Sample("colonnade_database_writable", (), value)] for value in (0.0, 1.0))
    alerts: Alerts = {}
    told = []
    for second in range(80):
        alerts, changes = step(alerts, seen(second, bad if second < 30 else good))
        told += [message.title for change in changes if (message := of_change(change)) is not None]
    assert told == [
        "firing: The database takes no writes (page)",
        "resolved: The database takes no writes (page)",
    ]


def test_of_events_decisions_are_told() -> None:
    event = {
        "seq": 1,
        "at_s": 5.0,
        "kind": "service_scaled",
        "subject": "web",
        "reason": "busy",
        "message": "m",
        "data": {},
    }
    message = of_event(event)
    assert message is not None
    assert (message.title, message.sentence, message.detail["reason"]) == ("service scaled: web", "m", "busy")
    assert of_event({**event, "kind": "replica_ready"}) is None


@pytest.mark.parametrize("attempt", range(1, ATTEMPTS_MAX))
def test_waits_double_are_spread_and_end(attempt: int) -> None:
    delays = [judge(503, attempt, None, Random(seed)).retry_after_s or 0.0 for seed in range(20)]
    whole = min(DELAY_MAX_S, notices.DELAY_FIRST_S * 2 ** (attempt - 1))
    assert all(whole / 2 <= delay <= whole for delay in delays)
    assert len(set(delays)) == 20
    assert judge(503, ATTEMPTS_MAX, None, Random(1)).retry_after_s is None


def test_who_asks_to_wait_is_waited_for_within_reason() -> None:
    assert judge(429, 1, 30.0, Random(1)).retry_after_s == 30.0
    assert judge(429, 1, 1e9, Random(1)).retry_after_s == DELAY_MAX_S
