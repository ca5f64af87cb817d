"""The load generator against real servers that behave in the ways in which a generator can be fooled."""

import asyncio
import json
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from colonnade.core.errors import DriverError, DriverUnavailable
from colonnade.drill.checkers.finding import Verdict
from colonnade.drill.checkers.writes import WriteCheck, check_writes
from colonnade.drill.load.apart import START_S, run_load_apart
from colonnade.drill.load.arrivals import Arrivals
from colonnade.drill.load.connection import Attempt, open_connection
from colonnade.drill.load.history import History
from colonnade.drill.load.ledger import Outcome, from_lines
from colonnade.drill.load.readback import held_over_http, known_ids_over_http
from colonnade.drill.load.runner import run_load
from colonnade.drill.load.summary import summarize
from colonnade.drill.load.workload import BLOG

from .load_servers import OK, Behaviour, Peer, answer_ok, errors, load, outcomes, plan, serving

pytestmark = pytest.mark.slow


def test_every_planned_operation_is_sent_answered_and_attributed() -> None:
    history = load(answer_ok, plan(rate_per_s=200))
    summary = summarize(history)

    assert [operation.id for operation in sorted(history.operations, key=lambda o: o.id)] == list(range(200))
    assert (summary.reads.ok, summary.replies_by_replica) == (200, {"backend/1": 200})
    assert any(operation.on_reused_connection for operation in history.operations)


@pytest.mark.parametrize("idle_s", [0.002, 0.02])
def test_a_server_that_closes_idle_connections_causes_no_failure(idle_s: float) -> None:
    async def close_when_idle(peer: Peer) -> None:
        request = await peer.request()
        while request is not None:
            peer.writer.write(OK)
            try:
                async with asyncio.timeout(idle_s):
                    request = await peer.request()
            except TimeoutError:
                return

    history = load(close_when_idle, replace(plan(rate_per_s=50, duration_s=2.0), arrivals=Arrivals.POISSON))

    assert outcomes(history) == {Outcome.OK}
    assert history.dead_idle_connections > 10


def test_a_server_that_closes_after_each_reply_without_saying_so_causes_no_failure() -> None:
    async def answer_once(peer: Peer) -> None:
        if await peer.request() is not None:
            peer.writer.write(OK)

    history = load(answer_once, plan(rate_per_s=200, write_share=1.0))

    assert outcomes(history) == {Outcome.OK}


def test_a_goodbye_that_the_event_loop_has_not_read_yet_is_seen_before_the_connection_is_used() -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            connection = await open_connection(*listener.getsockname())
            peer, _ = listener.accept()
            exchange = asyncio.create_task(connection.exchange(b"GET / HTTP/1.1\r\n\r\n", Attempt()))
            await asyncio.sleep(0.01)
            peer.sendall(OK)
            await exchange
            assert connection.is_reusable()
            peer.close()
            # Nothing has been awaited since: only the kernel knows.
            assert not connection.is_reusable()
            connection.cut()
            await connection.closed

    asyncio.run(main())


def test_a_read_whose_kept_connection_ends_under_it_is_sent_once_more_and_that_is_counted() -> None:
    async def close_on_the_second_request(peer: Peer) -> None:
        if await peer.request() is not None:
            peer.writer.write(OK)
            await peer.request()

    history = load(close_on_the_second_request, plan(rate_per_s=20))

    assert outcomes(history) == {Outcome.OK}
    assert summarize(history).reads.retried > 5


def test_a_write_whose_kept_connection_ends_under_it_is_unknown_and_never_sent_again() -> None:
    bodies: list[bytes] = []

    async def close_on_the_second_request(peer: Peer) -> None:
        for is_first in (True, False):
            request = await peer.request()
            if request is None:
                return
            bodies.append(request[1])
            if is_first:
                peer.writer.write(OK)

    history = load(close_on_the_second_request, plan(rate_per_s=20, write_share=1.0))

    assert {(o.outcome, o.error) for o in history.operations} == {
        (Outcome.OK, None),
        (Outcome.UNKNOWN, "closed_on_reuse"),
    }
    assert len(bodies) == len(set(bodies)) == len(history.operations)


def test_a_stall_shows_in_the_latency_of_everything_that_was_meant_to_be_sent_during_it() -> None:
    began_at = time.monotonic()

    async def stall_for_a_second(peer: Peer) -> None:
        while await peer.request() is not None:
            since_s = time.monotonic() - began_at
            if 0.5 <= since_s < 1.5:
                await asyncio.sleep(1.5 - since_s)
            peer.writer.write(OK)

    summary = summarize(load(stall_for_a_second, plan(rate_per_s=100, duration_s=2.0)))

    # Half of the time the server stood still, and the waits of its visitors were spread evenly over that second. (A
    # busy machine only adds to that.)
    assert summary.reads.latency_ok.p90_ms > 600
    assert summary.reads.longest_gap is not None
    assert summary.reads.longest_gap.duration_s > 0.8
    assert summary.reads.longest_gap.intended_count > 80
    assert summary.in_flight_max > 80


def cut_reply(piece: bytes) -> Behaviour:
    async def behave(peer: Peer) -> None:
        if await peer.request() is not None:
            peer.writer.write(piece)
            await peer.writer.drain()
            await asyncio.sleep(0.005)
            peer.reset()

    return behave


async def half_and_die(peer: Peer) -> None:
    if await peer.request() is not None:
        peer.writer.write(OK[:-1])


def answer(raw: bytes) -> Behaviour:
    async def behave(peer: Peer) -> None:
        while await peer.request() is not None:
            peer.writer.write(raw)

    return behave


@pytest.mark.parametrize(
    ("behave", "error", "write_is"),
    [
        (cut_reply(OK[:30]), "reply_cut", Outcome.UNKNOWN),
        (cut_reply(b""), "closed_before_reply", Outcome.UNKNOWN),
        (half_and_die, "reply_cut", Outcome.UNKNOWN),
        (answer(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"), "http_503", Outcome.UNKNOWN),
        (answer(b"HTTP/1.1 422 Unprocessable\r\nContent-Length: 0\r\n\r\n"), "http_422", Outcome.FAILED),
        (answer(b"SSH-2.0-x\r\n\r\n"), "reply_malformed", Outcome.UNKNOWN),
    ],
)
def test_a_write_without_a_whole_good_answer_is_called_what_it_is(
    behave: Behaviour, error: str, write_is: Outcome
) -> None:
    writes = load(behave, plan(rate_per_s=50, duration_s=0.4, write_share=1.0))
    reads = load(behave, plan(rate_per_s=50, duration_s=0.4))

    assert (outcomes(writes), errors(writes)) == ({write_is}, {error})
    assert (outcomes(reads), errors(reads)) == ({Outcome.FAILED}, {error})


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nhello",
    ],
)
def test_bodies_by_chunks_and_by_length_are_read_and_the_connection_kept(raw: bytes) -> None:
    history = load(answer(raw), plan(rate_per_s=100, duration_s=0.5))

    assert outcomes(history) == {Outcome.OK}
    assert {operation.bytes_received for operation in history.operations} == {len(raw)}
    assert any(operation.on_reused_connection for operation in history.operations)


def test_a_write_that_could_not_even_be_sent_is_failed() -> None:
    async def main() -> History:
        async with serving(answer_ok) as target:
            pass
        return await run_load(plan(rate_per_s=50, duration_s=0.4, write_share=1.0), target)

    history = asyncio.run(main())

    assert (outcomes(history), errors(history)) == ({Outcome.FAILED}, {"connect_refused"})
    assert all(operation.sent_at is None for operation in history.operations)


async def silence(peer: Peer) -> None:
    while await peer.request() is not None:
        pass


def test_an_operation_without_an_answer_is_given_up_after_its_timeout() -> None:
    history = load(silence, replace(plan(rate_per_s=20, duration_s=0.5, write_share=1.0), timeout_s=0.5))

    assert (outcomes(history), errors(history)) == ({Outcome.UNKNOWN}, {"reply_timeout"})
    assert history.ended_at - history.started_at < 10
    assert all(operation.latency_s >= 0.49 for operation in history.operations)


def test_beyond_the_maximum_in_flight_nothing_is_sent_and_the_run_is_doubted() -> None:
    history = load(silence, replace(plan(rate_per_s=100, duration_s=0.5), timeout_s=1.0, in_flight_max=10))
    summary = summarize(history)

    assert summary.in_flight_max == 10
    assert summary.reads.errors == {"generator_saturated": 40, "reply_timeout": 10}
    assert "40 operations were not sent: generator_saturated" in summary.doubts


def test_a_run_that_is_told_to_stop_sends_no_more_and_says_so() -> None:
    async def main() -> History:
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(0.3, stop.set)
        async with serving(answer_ok) as target:
            return await run_load(plan(rate_per_s=1, duration_s=60), target, stop=stop)

    history = asyncio.run(main())

    assert history.stopped_at is not None
    assert history.ended_at - history.started_at < 1.0
    assert outcomes(history) == {Outcome.OK}


@dataclass
class TinyBlog:
    """The API of posts in memory. It can be told to forget an acknowledged post, to keep one twice, or to keep one
    that it refuses; `seen` counts its writes."""

    per_page_max: int = 7
    forget: int | None = None
    double: int | None = None
    refuse_but_keep: int | None = None
    titles: list[str] = field(default_factory=list, init=False)
    seen: int = field(default=0, init=False)

    async def behave(self, peer: Peer) -> None:
        while (request := await peer.request()) is not None:
            status, content = self._answer(*request)
            body = json.dumps(content).encode()
            peer.writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body)

    def _answer(self, line: str, body: bytes) -> tuple[int, object]:
        if line.startswith("POST"):
            self.seen += 1
            copies = {self.forget: 0, self.double: 2}.get(self.seen, 1)
            self.titles += [json.loads(body)["title"]] * copies
            return (422, {}) if self.seen == self.refuse_but_keep else (201, {"id": len(self.titles)})
        if "page=" in line:
            page = int(line.partition("page=")[2].partition("&")[0])
            first = (page - 1) * self.per_page_max
            posts = [{"id": first + i + 1, "title": t} for i, t in enumerate(self.titles[first:][: self.per_page_max])]
            pages = -(-len(self.titles) // self.per_page_max) or 1
            return 200, {"posts": posts, "page": page, "pages": pages, "total": len(self.titles)}
        return 200, {}


@pytest.mark.parametrize(
    ("planted", "verdict", "lost", "doubled", "phantom"),
    [
        ({}, Verdict.VALID, 0, 0, 0),
        ({"forget": 10}, Verdict.INVALID, 1, 0, 0),
        ({"double": 10}, Verdict.INVALID, 0, 1, 0),
        ({"refuse_but_keep": 10}, Verdict.INVALID, 0, 0, 1),
    ],
)
def test_what_a_system_does_wrong_with_writes_is_found_by_reading_back(
    planted: dict[str, int], verdict: Verdict, lost: int, doubled: int, phantom: int
) -> None:
    blog = TinyBlog(**planted)
    planned = plan(rate_per_s=100, duration_s=0.5, write_share=0.6)

    async def main() -> tuple[History, WriteCheck]:
        async with serving(blog.behave) as target:
            history = await run_load(planned, target, known_ids=await known_ids_over_http(target, BLOG))
            return history, check_writes(history.operations, await held_over_http(target, BLOG, planned.run_id))

    history, check = asyncio.run(main())

    assert (check.verdict, len(check.lost), len(check.doubled), len(check.phantom)) == (verdict, lost, doubled, phantom)
    assert check.acknowledged == summarize(history).writes.ok > 15


def test_a_list_that_cannot_be_read_whole_is_an_error_and_not_a_loss() -> None:
    async def read_back(behave: Behaviour) -> None:
        async with serving(behave) as target:
            await held_over_http(target, BLOG, "run")

    for behave in (answer(OK), answer(b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n")):
        with pytest.raises(DriverError):
            asyncio.run(read_back(behave))
    with pytest.raises(DriverUnavailable):
        asyncio.run(read_back(half_and_die))


def test_load_from_another_process_begins_when_agreed_and_ends_when_told() -> None:
    async def main() -> tuple[History, float]:
        stop = asyncio.Event()
        start_at = time.monotonic() + START_S
        asyncio.get_running_loop().call_later(START_S + 0.5, stop.set)
        async with serving(answer_ok) as target:
            return await run_load_apart(plan(duration_s=60), target, start_at=start_at, stop=stop), start_at

    history, start_at = asyncio.run(main())

    assert history.started_at == start_at
    assert history.stopped_at == pytest.approx(start_at + 0.5, abs=0.3)
    assert outcomes(history) == {Outcome.OK}


def test_load_from_another_process_that_is_cancelled_leaves_nothing_running() -> None:
    accepted = 0

    async def count(peer: Peer) -> None:
        nonlocal accepted
        accepted += 1
        await answer_ok(peer)

    async def main() -> None:
        async with serving(count) as target:
            task = asyncio.create_task(run_load_apart(plan(duration_s=60), target))
            async with asyncio.timeout(10):
                while not accepted:  # noqa: ASYNC110 a connection from another process is no event of ours
                    await asyncio.sleep(0.02)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    assert accepted


def run_command(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "colonnade.drill.load", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_command_measures_checks_and_writes_its_files(tmp_path: Path) -> None:
    figures, ledger = tmp_path / "figures.json", tmp_path / "ledger.jsonl"

    async def main() -> subprocess.CompletedProcess[str]:
        async with serving(TinyBlog().behave) as target:
            url = f"http://{target.host_header}"
            options = ("--url", url, "--rate", "50", "--duration", "1", "--check", "--json", str(figures))
            return await asyncio.to_thread(run_command, *options, "--ledger", str(ledger))

    done = asyncio.run(main())

    # A starved machine makes the generator late: then it says so and judges nothing, which is not what is tried here.
    is_late = "could not keep up" in done.stdout
    assert (done.returncode, done.stderr) == (6 if is_late else 0, "")
    assert "check       valid: all" in done.stdout
    content = json.loads(figures.read_text())
    operations = list(from_lines(ledger.read_text().splitlines()))
    assert content["summary"]["reads"]["ok"] + content["summary"]["writes"]["ok"] == len(operations)
    assert content["check"]["verdict"] == "valid"


@pytest.mark.parametrize(
    ("options", "exit_code", "words"),
    [
        (["--url", "127.0.0.1:8080"], 2, "scheme must be http"),
        (["--url", "http://127.0.0.1:1", "--rate", "0"], 2, "--rate"),
        (["--url", "http://192.0.2.1"], 2, "--allow-remote"),
        (["--url", "http://127.0.0.1:1"], 5, "connect_refused"),
        (["--url", "http://127.0.0.1:1", "--path", "/"], 5, "connect_refused"),
        (["--url", "http://127.0.0.1:1", "--path", "x"], 2, "begins with /"),
    ],
)
def test_the_command_says_what_is_wrong_and_what_to_do(options: list[str], exit_code: int, words: str) -> None:
    done = run_command(*options)

    assert (done.returncode, done.stdout) == (exit_code, "")
    assert words in done.stderr
    assert "hint: " in done.stderr
    assert "Traceback" not in done.stderr
