"""Requests drawn from a workload."""

import json
from dataclasses import replace
from random import Random
from uuid import UUID

import pytest

from colonnade.drill.load.ledger import Kind
from colonnade.drill.load.mix import KNOWN_IDS_MAX, SETTLE_S, KnownIds, Mix, Request, render
from colonnade.drill.load.workload import BLOG, Workload

from .test_plan import PLAN


def mix(*known_ids: str, write_share: float = 0.2, workload: Workload = BLOG) -> Mix:
    plan = replace(PLAN, write_share=write_share, workload=workload)
    return Mix(plan, "127.0.0.1:8080", KnownIds(Random(1), known_ids), Random(2))


def requests(source: Mix, count: int = 2_000) -> list[Request]:
    return [source.next_request(number, 0.0) for number in range(count)]


def test_the_same_seed_gives_the_same_kinds_whatever_items_are_known() -> None:
    with_ids, without = requests(mix("1", "2")), requests(mix())

    assert [r.action.kind for r in with_ids] == [r.action.kind for r in without]
    assert [r.token for r in with_ids] == [r.token for r in without]


def test_reads_and_writes_come_in_their_shares() -> None:
    drawn = requests(mix("1"))

    assert sum(r.action.kind is Kind.WRITE for r in drawn) / len(drawn) == pytest.approx(0.2, abs=0.03)
    homes = sum(r.action.name == "home" for r in drawn)
    assert homes / sum(r.action.kind is Kind.READ for r in drawn) == pytest.approx(0.3, abs=0.04)


def test_without_a_known_item_no_request_asks_for_one() -> None:
    assert not any(r.action.needs_id for r in requests(mix()))


def test_every_write_carries_its_own_token_and_its_own_key() -> None:
    writes = requests(mix(write_share=1.0), 50)
    heads_and_bodies = [r.data.split(b"\r\n\r\n") for r in writes]

    titles = {json.loads(body)["title"] for _, body in heads_and_bodies}
    keys = {UUID(head.decode().split("Idempotency-Key: ")[1].split("\r\n")[0]) for head, _ in heads_and_bodies}

    assert titles == {f"drill-abc123-{number}" for number in range(50)}
    assert len(keys) == 50


def test_a_rendered_write_says_how_long_its_body_is() -> None:
    create = next(action for action in BLOG.actions if action.kind is Kind.WRITE)

    head, body = render(create, "h:1", token="drill-x-1").split(b"\r\n\r\n")

    assert head.startswith(b"POST /api/posts HTTP/1.1\r\nHost: h:1\r\n")
    assert b"Content-Length: %d" % len(body) in head


def test_an_item_is_read_only_once_it_has_settled() -> None:
    ids = KnownIds(Random(1))
    ids.learn("7", now=10.0)

    assert ids.pick(10.0 + SETTLE_S - 0.1) is None
    assert ids.pick(10.0 + SETTLE_S) == "7"


def test_ids_are_quoted_because_they_go_into_paths() -> None:
    assert KnownIds(Random(1), ["a/b c\r\n"]).pick(0.0) == "a%2Fb%20c%0D%0A"


def test_items_settle_even_when_more_are_written_than_can_be_remembered() -> None:
    ids = KnownIds(Random(1))
    for number in range(3 * KNOWN_IDS_MAX):
        ids.learn(str(number), now=number / 1_000)

    picked = ids.pick(SETTLE_S + 0.5)

    assert picked is not None
    assert int(picked) <= 500
