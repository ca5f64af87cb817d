"""Visitors of the load generator against real servers: their cookies, their looks, their patience."""

import asyncio
import json
import statistics
from dataclasses import dataclass, field, replace

import pytest

from colonnade.drill.load.ledger import Outcome

from .load_servers import Peer, load, outcomes, plan

pytestmark = pytest.mark.slow


@dataclass
class Shelf:
    """A server that keeps what is written and shows the list; `is_stale` makes it forget what a cookie promises."""

    is_stale: bool = False
    titles: list[str] = field(default_factory=list)

    async def behave(self, peer: Peer) -> None:
        while (request := await peer.request()) is not None:
            what, body = request
            if what.startswith("POST"):
                self.titles.append(json.loads(body)["title"])
                peer.writer.write(reply(json.dumps({"id": len(self.titles)}), "201 Created", "Set-Cookie: seen=1\r\n"))
            elif what.startswith("GET /api/posts/"):
                number = int(what.rpartition("/")[2])
                peer.writer.write(reply(json.dumps({"id": number, "title": self.titles[number - 1]})))
            else:
                peer.writer.write(reply(json.dumps([{"title": each} for each in self.titles if not self.is_stale])))


def reply(body: str, status: str = "200 OK", headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(body)}\r\n\r\n{body}".encode()


@pytest.mark.parametrize("is_stale", [False, True])
def test_visitors_look_for_what_they_wrote_and_note_what_they_saw(*, is_stale: bool) -> None:
    history = load(Shelf(is_stale).behave, replace(plan(60, 4.0, write_share=0.25), session_share=1.0))
    looks = [operation for operation in history.operations if operation.found is not None]
    own_posts = [operation for operation in looks if operation.action == "own_post"]

    assert outcomes(history) == {Outcome.OK}
    assert {operation.kind for operation in history.operations if operation.session is None} == set()
    assert all(operation.found for operation in own_posts)
    assert own_posts
    assert {operation.found for operation in looks if operation.action == "own_in_list"} == {not is_stale}


def test_a_visitor_waits_for_the_page_and_the_waiting_counts_as_latency() -> None:
    async def slow_to_save(peer: Peer) -> None:
        while (request := await peer.request()) is not None:
            if request[0].startswith("POST"):
                await asyncio.sleep(1.0)
            peer.writer.write(reply('{"id": 1}', "201 Created" if request[0].startswith("POST") else "200 OK"))

    history = load(slow_to_save, replace(plan(40, 2.0, write_share=0.25), session_share=1.0))
    writes = {each.session: each for each in history.operations if each.token is not None}
    first_looks = {each.session: each for each in reversed(history.operations) if each.token is None}

    for session, look in first_looks.items():
        assert look.sent_at is not None
        assert look.sent_at >= writes[session].done_at
    assert any(look.latency_s > 0.5 for look in first_looks.values())
    lags_s = [look.lag_s for look in first_looks.values()]
    assert statistics.median(lags_s) < 0.3, "waiting for the page is not the generator's own being late"
