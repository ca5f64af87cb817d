"""Messages that have yet to arrive, by webhook: in memory, and in a file, so that the next process sends what this one
could not. Written as soon as a message is told, and again as soon as it arrived: what a receiver has taken (2xx) is not
sent twice, what it may have taken without saying so is.

The address of a webhook is a secret, so the file has a digest in its place. Sends nothing: that is `notify`.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from math import isfinite
from pathlib import Path
from typing import Any

from colonnade.core.clock import Clock
from colonnade.core.errors import HostError
from colonnade.core.files import write_json_atomically
from colonnade.observe.notices import SENTENCE_MAX, WAITING_MAX, Message, Webhook

UNDELIVERED_FILE = "undelivered.json"

KEPT_S_MAX = 3600.0
"""From when it was told. What is older is of no use to who was not told."""

WEBHOOKS_MAX = 50
FILE_BYTES_MAX = 8 * 1024 * 1024

TITLE_MAX = 1_000
DETAIL_BYTES_MAX = 16 * 1024
DETAIL_DEPTH_MAX = 20
"""Ours are two levels deep at most. What is hundreds deep can be read, and not be written again (`asdict`)."""

EARLY = ""
"""Instead of a webhook: what was told before anybody knew whom to tell."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A message of a system, told at this time (seconds since the epoch)."""

    message: Message
    system: str
    told_at_s: float


class Undelivered:
    """All that waits. Whoever changes a queue calls `save` before anything else happens."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.trouble = ""
        """Why it is in memory only; empty when all is well."""
        self._path = path
        self._clock = clock
        self._queues = _read(path)

    def queue_for(self, webhook: Webhook) -> deque[Entry]:
        """Of this webhook; the oldest first."""
        return self._queue(key_of(webhook))

    @property
    def early(self) -> deque[Entry]:
        return self._queue(EARLY)

    def is_too_old(self, entry: Entry) -> bool:
        return self._clock.wall() - entry.told_at_s > KEPT_S_MAX

    def save(self) -> None:
        """What of it is not too old yet. One that is for a webhook of which nobody speaks waits all the same: the
        declaration may be read later."""
        told = {
            key: [asdict(entry) for entry in queue if not self.is_too_old(entry)] for key, queue in self._queues.items()
        }
        try:
            write_json_atomically(self._path, {"waiting": {key: entries for key, entries in told.items() if entries}})
            self.trouble = ""
        except HostError as error:
            self.trouble = f"what waits for webhooks is in memory only: {error}"

    def _queue(self, key: str) -> deque[Entry]:
        if key not in self._queues and len(self._queues) > WEBHOOKS_MAX:
            # Somebody declares others all the time: those without messages, then the oldest, make room.
            del self._queues[min(self._queues, key=lambda each: len(self._queues[each]))]
        return self._queues.setdefault(key, deque(maxlen=WAITING_MAX))


def key_of(webhook: Webhook) -> str:
    """The same for the same webhook, and nobody finds the address by it."""
    return sha256(f"{webhook.format} {sorted(webhook.about)} {webhook.url}".encode()).hexdigest()


def _read(path: Path) -> dict[str, deque[Entry]]:
    """Empty where there is nothing of ours: others may write the file, and nobody is stopped by it."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            return {}
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    waiting = value.get("waiting") if isinstance(value, dict) else None
    if not isinstance(waiting, dict):
        return {}
    found: dict[str, deque[Entry]] = {}
    for key, entries in list(waiting.items())[:WEBHOOKS_MAX]:
        read = [entry for each in entries if (entry := _entry(each))] if isinstance(entries, list) else []
        found[key] = deque(read, maxlen=WAITING_MAX)
    return found


def _entry(value: object) -> Entry | None:
    """None for what is none."""
    try:
        if not isinstance(value, Mapping):
            return None
        return Entry(_message(value["message"]), str(value["system"])[:TITLE_MAX], _time(value["told_at_s"]))
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
        return None


def _message(value: Mapping[str, Any]) -> Message:
    detail = value["detail"]
    if value["about"] not in ("alerts", "decisions") or not isinstance(detail, dict):
        raise ValueError("is no message")
    if not _is_within(DETAIL_DEPTH_MAX, detail) or len(json.dumps(detail)) > DETAIL_BYTES_MAX:
        raise ValueError("has too much to say")
    title, sentence = str(value["title"])[:TITLE_MAX], str(value["sentence"])[:SENTENCE_MAX]
    return Message(value["about"], _time(value["at_s"]), title, sentence, detail)


def _is_within(depth_max: int, value: object) -> bool:
    """Whether a value from JSON has this many levels at most."""
    if not isinstance(value, dict | list):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return depth_max > 0 and all(_is_within(depth_max - 1, each) for each in inner)


def _time(value: Any) -> float:
    if not isfinite(found := float(value)):
        raise ValueError("is no time")
    return found
