"""Turns a plan's workload into requests, one operation after the other.

Draws the kind and the action from the seed, fills in the templates, and knows which items reads may ask for.
Never sends anything and never reads a clock. Read next: `runner`.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from random import Random
from urllib.parse import quote
from uuid import NAMESPACE_URL, uuid5

from colonnade.drill.load.ledger import Kind
from colonnade.drill.load.plan import Plan
from colonnade.drill.load.schedule import lone_write_share
from colonnade.drill.load.visitor import Visitor
from colonnade.drill.load.workload import Action

KNOWN_IDS_MAX = 1_000
"""Enough for reads to spread over; the oldest are forgotten first."""
SETTLE_S = 5.0
"""How old an acknowledged item must be before reads of it count: standbys answer reads, and a reader without a
session is owed nothing about a write of a moment ago."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request ready to be sent, and what is needed to judge its answer."""

    action: Action
    data: bytes
    token: str | None


def token_prefix(run_id: str) -> str:
    """What the marks of all writes of one run begin with."""
    return f"drill-{run_id}-"


def token_of(run_id: str, operation_id: int) -> str:
    """The mark of one write. Unique as long as run ids are."""
    return f"{token_prefix(run_id)}{operation_id}"


class KnownIds:
    """Items that reads may ask for: listed before the run, or acknowledged some time ago. Bounded."""

    def __init__(self, random: Random, ids: Iterable[str] = ()) -> None:
        self._random = random
        self._ids: deque[str] = deque((quote(item_id, safe="") for item_id in ids), maxlen=KNOWN_IDS_MAX)
        self._settling: deque[tuple[float, str]] = deque()

    def learn(self, item_id: str, now: float) -> None:
        """Remember an item acknowledged now; ids go into paths, so they are quoted."""
        # When full, the newest is left out: dropping the oldest would let none ever settle at a high rate.
        if len(self._settling) < KNOWN_IDS_MAX:
            self._settling.append((now, quote(item_id, safe="")))

    def pick(self, now: float) -> str | None:
        """One of the items, or None while there is none."""
        while self._settling and self._settling[0][0] <= now - SETTLE_S:
            self._ids.append(self._settling.popleft()[1])
        return self._random.choice(self._ids) if self._ids else None


class Mix:
    """Turns operation numbers into requests. The same seed gives the same reads and writes in the same order;
    which item a read asks for also depends on what the system has acknowledged by then."""

    def __init__(self, plan: Plan, host: str, known_ids: KnownIds, random: Random) -> None:
        self._plan = plan
        self._known_ids = known_ids
        self._host = host
        self._random = random
        self._write_share = lone_write_share(plan)
        self._menus = {
            (kind, may_need_id): _menu(plan.workload.actions, kind, may_need_id=may_need_id)
            for kind in Kind
            for may_need_id in (False, True)
        }

    def next_request(self, operation_id: int, now: float) -> Request:
        """A passer-by's request for this operation. Raises ValueError when the workload has none of the kind drawn."""
        kind = Kind.WRITE if self._random.random() < self._write_share else Kind.READ
        item_id = self._known_ids.pick(now)
        actions, weights = self._menus[kind, item_id is not None]
        if not actions:
            raise ValueError(f"the workload has no {kind} that can be sent while no item is known")
        action = self._random.choices(actions, cum_weights=weights)[0]
        token = token_of(self._plan.run_id, operation_id) if kind is Kind.WRITE else None
        return Request(action, render(action, self._host, item_id or "", token), token)

    def visitors_request(self, operation_id: int, number: int, visitor: Visitor) -> Request:
        """What this visitor asks in this step: 0 is their write. Draws nothing, so that it may be decided late, when
        the cookies of the step before are known."""
        if number == 0:
            token = token_of(self._plan.run_id, operation_id)
            action = next(each for each in self._plan.workload.actions if each.kind is Kind.WRITE and not each.needs_id)
            return Request(action, render(action, self._host, token=token, cookies=visitor.cookie_header()), token)
        ways = [each for each in self._plan.workload.read_own if _can_be_asked(each, visitor)]
        if not ways:  # their write has not been answered: they look at something else meanwhile
            ways = [each for each in self._plan.workload.actions if each.kind is Kind.READ and not each.needs_id]
        action = ways[(visitor.number + number) % len(ways)]
        item_id = quote(visitor.item_id or "", safe="")
        return Request(action, render(action, self._host, item_id, visitor.token, visitor.cookie_header()), None)


def _can_be_asked(action: Action, visitor: Visitor) -> bool:
    """Whether the visitor knows all that this look for their item needs."""
    knows_id, knows_token = visitor.item_id is not None, visitor.token is not None
    return (knows_id or not action.needs_id) and (knows_token or not action.needs_token)


def _menu(actions: Iterable[Action], kind: Kind, *, may_need_id: bool) -> tuple[list[Action], list[float]]:
    chosen = [a for a in actions if a.kind is kind and a.weight > 0 and (may_need_id or not a.needs_id)]
    return chosen, list(accumulate(action.weight for action in chosen))


def render(action: Action, host: str, item_id: str = "", token: str | None = None, cookies: str = "") -> bytes:
    """The bytes of a request, placeholders filled in. `token` also decides the idempotency key."""
    values = {"{id}": item_id}
    if token is not None:
        values |= {"{token}": token, "{key}": str(uuid5(NAMESPACE_URL, token))}
    body = _fill(action.body, values).encode()
    lines = [f"{action.method} {_fill(action.path, values)} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {_fill(value, values)}" for name, value in action.headers]
    if cookies:
        lines.append(f"Cookie: {cookies}")
    if body or action.method not in ("GET", "HEAD"):
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


def _fill(template: str, values: dict[str, str]) -> str:
    if "{" in template:
        for placeholder, value in values.items():
            template = template.replace(placeholder, value)
    return template
