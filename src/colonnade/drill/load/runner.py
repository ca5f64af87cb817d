"""Carries out a plan: sends every operation at its intended time, whatever has become of the earlier ones.

An open loop: operations overlap as far as the system makes them, up to a named maximum. Only a visitor waits for the
page before their next step, which counts from when it was meant. Everything that happens is written down once, in the
ledger, and nothing is judged here.
Never sends a write twice. A read whose kept-alive connection ended under it, before a byte of reply, is sent once
more on a new connection, as every browser does; the ledger counts that.
Read next: `summary` for what a history says, `apart` for a run in a process of its own.
"""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from time import monotonic

from colonnade.drill.load.connection import Attempt, ExchangeFailed
from colonnade.drill.load.history import History
from colonnade.drill.load.ledger import ErrorKind, Kind, Operation, Outcome, classify
from colonnade.drill.load.mix import KnownIds, Mix, Request
from colonnade.drill.load.plan import Plan
from colonnade.drill.load.pool import Pool
from colonnade.drill.load.response import ReplyParser
from colonnade.drill.load.schedule import STEPS, Step, steps
from colonnade.drill.load.target import Target
from colonnade.drill.load.visitor import Visitor

NAP_S_MAX = 0.25
"""Longest sleep between two looks at `stop`, so that a slow rate does not delay the end of a run."""
BURST_MAX = 16
"""Overdue sends in a row before replies get a turn; chosen by feel."""


def ignore(_: Operation) -> None:
    """What observes a run that nobody observes."""


async def run_load(
    plan: Plan,
    target: Target,
    *,
    known_ids: Sequence[str] = (),
    start_at: float | None = None,
    observe: Callable[[Operation], None] = ignore,
    stop: asyncio.Event | None = None,
) -> History:
    """Send the planned load and return what happened.

    Starts at `start_at` of the monotonic clock, or at once. Ends at most `duration_s + timeout_s` after that, and a
    second for closing; with sessions each step of a visitor may take `timeout_s`, one after the other. `observe` is
    called with each operation as it ends and must be quick: it runs on the time of the generator. Setting `stop` ends
    the sending; what is in flight is waited for.
    """
    run = _Run(plan, target, known_ids, observe)
    try:
        return await run.carry_out(monotonic() if start_at is None else start_at, stop or asyncio.Event())
    finally:
        await run.pool.close()


@dataclass(frozen=True, slots=True)
class _Intention:
    """An operation to be carried out now."""

    id: int
    intended_at: float
    visitor: Visitor | None
    number: int
    """Of the visitor's steps."""


class _Run:
    def __init__(
        self, plan: Plan, target: Target, known_ids: Sequence[str], observe: Callable[[Operation], None]
    ) -> None:
        self.pool = Pool(target)
        self._plan = plan
        self._observe = observe
        self._operations: list[Operation] = []
        self._visitors: dict[int, Visitor] = {}
        self._in_flight = 0
        # Separate streams, so that what the system answers cannot shift the times or the kinds.
        self._arrivals_random = Random(f"{plan.seed} arrivals")  # noqa: S311 a workload is no secret
        self._known_ids = KnownIds(Random(f"{plan.seed} ids"), known_ids)  # noqa: S311
        self._mix = Mix(plan, target.host_header, self._known_ids, Random(f"{plan.seed} mix"))  # noqa: S311

    async def carry_out(self, started_at: float, stop: asyncio.Event) -> History:
        cpu_s_before = time.process_time()
        plan = self._plan
        overdue = 0
        async with asyncio.TaskGroup() as tasks:
            for operation_id, step in enumerate(steps(plan, self._arrivals_random)):
                intended_at = started_at + step.offset_s
                overdue = await _wait_until(intended_at, overdue, stop)
                if stop.is_set():
                    break
                operation = _Intention(operation_id, intended_at, self._visitor(step), step.number)
                request = None if operation.visitor else self._mix.next_request(operation_id, intended_at)
                if self._in_flight >= plan.in_flight_max:
                    self._record_saturated(operation, request or self._visitors_request(operation))
                    continue
                self._in_flight += 1
                tasks.create_task(self._operate(operation, request))
            stopped_at = monotonic() if stop.is_set() else None
        return History(
            plan=plan,
            operations=tuple(self._operations),
            started_at=started_at,
            ended_at=monotonic(),
            stopped_at=stopped_at,
            cpu_s=time.process_time() - cpu_s_before,
            connections_opened=self.pool.opened_count,
            dead_idle_connections=self.pool.dead_idle_count,
        )

    def _visitor(self, step: Step) -> Visitor | None:
        """The visitor whose step this is, remembered from their first to their last."""
        if step.session < 0:
            return None
        visitor = self._visitors.setdefault(step.session, Visitor(step.session))
        if step.number == STEPS - 1:
            del self._visitors[step.session]
        return visitor

    def _visitors_request(self, operation: _Intention) -> Request:
        assert operation.visitor is not None
        return self._mix.visitors_request(operation.id, operation.number, operation.visitor)

    async def _operate(self, operation: _Intention, request: Request | None) -> None:
        """Carry out one operation; without a request it is a visitor's, and waits until it is their turn."""
        started_at = monotonic()
        try:
            if request is not None:
                await self._ask(operation, request, started_at)
            elif operation.visitor is not None:
                async with operation.visitor.turn:
                    await self._ask(operation, self._visitors_request(operation), started_at)
        finally:
            self._in_flight -= 1

    async def _ask(self, operation: _Intention, request: Request, started_at: float) -> None:
        attempts: list[Attempt] = []
        reply: ReplyParser | None = None
        error: str | None = None
        try:
            async with asyncio.timeout(self._plan.timeout_s):
                reply = await self._send(request, attempts)
        except ExchangeFailed as failure:
            error = failure.kind
        except TimeoutError:
            error = ErrorKind.REPLY_TIMEOUT if attempts[-1].sent_at else ErrorKind.CONNECT_TIMEOUT
        done_at = monotonic()
        status = reply.status if reply else None
        is_expected = request.action.is_expected(status)
        if status is not None and not is_expected:
            error = f"http_{status}"
        last = attempts[-1]
        outcome = classify(
            request.action.kind,
            was_sent=any(attempt.sent_at is not None for attempt in attempts),
            is_expected=is_expected,
            status=status,
        )
        item_id = self._learn(reply, done_at) if outcome is Outcome.OK and request.token and reply else None
        found = self._tell_visitor(operation, request, reply, outcome, item_id)
        self._record(
            Operation(
                id=operation.id,
                kind=request.action.kind,
                action=request.action.name,
                token=request.token,
                intended_at=operation.intended_at,
                started_at=started_at,
                sent_at=attempts[0].sent_at,
                first_byte_at=last.first_byte_at,
                done_at=done_at,
                outcome=outcome,
                status=status,
                error=error,
                served_by=reply.headers.get("x-served-by") if reply else None,
                bytes_received=last.bytes_received,
                retries=len(attempts) - 1,
                on_reused_connection=last.on_reused_connection,
                item_id=item_id,
                session=operation.visitor.number if operation.visitor else None,
                found=found,
            )
        )

    def _tell_visitor(
        self,
        operation: _Intention,
        request: Request,
        reply: ReplyParser | None,
        outcome: Outcome,
        item_id: str | None,
    ) -> bool | None:
        """Let the visitor take from the answer what they carry on. Returns whether it shows their item."""
        visitor = operation.visitor
        if visitor is None:
            return None
        if reply is not None:
            visitor.keep(reply.set_cookies)
        if request.token is not None:
            visitor.token, visitor.item_id = request.token, item_id
        if reply is None or request.action not in self._plan.workload.read_own:
            return None
        return visitor.has_found(outcome, reply.status, reply.body)

    async def _send(self, request: Request, attempts: list[Attempt]) -> ReplyParser:
        try:
            return await self._exchange(request, attempts, is_retry=False)
        except ExchangeFailed as failure:
            if failure.kind is not ErrorKind.CLOSED_ON_REUSE or request.action.kind is Kind.WRITE:
                raise
        return await self._exchange(request, attempts, is_retry=True)

    async def _exchange(self, request: Request, attempts: list[Attempt], *, is_retry: bool) -> ReplyParser:
        attempt = Attempt()
        attempts.append(attempt)
        connection = await (self.pool.open() if is_retry else self.pool.take())
        reply = await connection.exchange(request.data, attempt)
        self.pool.give_back(connection)
        return reply

    def _learn(self, reply: ReplyParser, now: float) -> str | None:
        """Remember the new item, where the reply names it; a reply in another shape only gives reads less choice."""
        item_id = id_in(bytes(reply.body))
        if item_id is not None:
            self._known_ids.learn(item_id, now)
        return item_id

    def _record_saturated(self, operation: _Intention, request: Request) -> None:
        now = monotonic()
        self._record(
            Operation(
                id=operation.id,
                kind=request.action.kind,
                action=request.action.name,
                token=request.token,
                intended_at=operation.intended_at,
                started_at=now,
                sent_at=None,
                first_byte_at=None,
                done_at=now,
                outcome=Outcome.FAILED,
                error=ErrorKind.GENERATOR_SATURATED,
                session=operation.visitor.number if operation.visitor else None,
            )
        )

    def _record(self, operation: Operation) -> None:
        self._operations.append(operation)
        self._observe(operation)


def id_in(body: bytes) -> str | None:
    """What a JSON answer calls the item that was made: the `id` of the object, or of the one object in it that has
    one, as in `{"data": {"id": 7}}`. None for an answer in another shape."""
    try:
        answer = json.loads(body)
    except ValueError:
        return None
    if not isinstance(answer, dict):
        return None
    inner = (value for value in answer.values() if isinstance(value, dict))
    ids = [each["id"] for each in ([answer] if "id" in answer else inner) if isinstance(each.get("id"), int | str)]
    return str(ids[0]) if len(ids) == 1 else None


async def _wait_until(moment: float, overdue: int, stop: asyncio.Event) -> int:
    """Sleep until the moment, or until `stop` is set. Returns how many sends in a row have been overdue."""
    if moment <= monotonic():
        if overdue >= BURST_MAX:
            await asyncio.sleep(0)
            return 0
        return overdue + 1
    # In slices, because waiting for the event and the moment together would cost a task for every send.
    while not stop.is_set() and (left_s := moment - monotonic()) > 0:  # noqa: ASYNC110
        await asyncio.sleep(min(left_s, NAP_S_MAX))
    return 0
