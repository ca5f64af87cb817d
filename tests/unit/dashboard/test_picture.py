"""The picture: what is broken is seen in its place, by colour, shape and words, and the headline says it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from colonnade.core.histogram import BUCKETS_COUNT
from colonnade.dashboard.web.looks import Look, Looks
from colonnade.dashboard.web.picture import picture, without_controller
from colonnade.dashboard.web.reading import answer_why
from colonnade.dashboard.web.recent import recent_ms

from ..observe.said import replica, service, status

Change = Callable[[dict[str, Any]], None]


def pictured(change: Change = lambda _: None, *, events: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    """After `change`, one second after a look at the same system before it."""
    now = status(service("web", 3))
    change(now)
    return picture(Look(101.0, now, events), Look(100.0, status(service("web", 3))))


def part(found: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in found["parts"] if one["id"] == name)


def web(now: dict[str, Any]) -> dict[str, Any]:
    return dict(now["services"][0])


def set_replica(number: int, **values: Any) -> Change:
    return lambda now: now["services"][0]["replicas"][number - 1].update(values)


def set_service(**values: Any) -> Change:
    return lambda now: now["services"][0].update(values)


def set_node(name: str, **values: Any) -> Change:
    def change(now: dict[str, Any]) -> None:
        next(node for node in now["database"]["nodes"] if node["name"] == name).update(values)

    return change


def test_all_is_well() -> None:
    found = pictured()
    assert found["headline"]["level"] == "well"
    assert found["headline"]["text"].startswith("All is well: 3 replicas of 1 service serve")
    assert {one["health"] for one in found["parts"]} == {"well"}


@pytest.mark.parametrize(
    ("change", "level", "where", "health", "words"),
    [
        (set_replica(2, state="waiting", gateway="—", pid=None), "trouble", "web/2", "dead", "web/2 died"),
        (set_replica(2, gateway="DOWN"), "trouble", "web/2", "sick", "does not answer the gateway's checks"),
        (set_replica(2, response_ms=400.0), "trouble", "web/2", "sick", "is slow: answers take 400 ms"),
        (set_replica(2, state="starting", gateway="—"), "notice", "web/2", "coming", "web/2 starts"),
        (set_replica(2, state="draining", is_drained=True), "notice", "web/2", "held", "out of rotation, as asked"),
        (set_service(queued=150), "trouble", "web", "sick", "150 requests to web wait"),
        (set_service(rejected=90), "outage", "web", "sick", "turns away 88.0 requests a second"),
        (set_service(errors=11), "trouble", "web", "sick", "answers 10.0 requests a second with an error"),
        (set_node("b", state="stopped"), "trouble", "database/b", "dead", "Node b of the database does not run"),
        (set_node("b", state="silent"), "trouble", "database/b", "sick", "does not answer"),
        (set_node("b", lag_bytes=99_000_000), "trouble", "database/b", "sick", "99 MB behind"),
        (lambda now: now["gateway"].update(pid=None), "outage", "gateway", "dead", "gateway does not run"),
    ],
)
def test_what_is_broken_is_seen_where_it_is(change: Change, level: str, where: str, health: str, words: str) -> None:
    found = pictured(change)
    assert found["headline"]["level"] == level
    assert words in found["headline"]["text"]
    assert where in found["headline"]["where"]
    assert part(found, where)["health"] == health or where == "web"
    assert sum(1 for one in found["parts"] if one["health"] != "well") <= 2, "it, and what it is part of"


def test_a_database_that_takes_no_writes_is_an_outage() -> None:
    found = pictured(lambda now: now["database"].update(writable=False, summary="the primary is gone"))
    assert found["headline"]["level"] == "outage"
    assert "takes no writes now: the primary is gone" in found["headline"]["text"]


def test_a_replica_that_was_found_sick_stays_marked_until_it_is_replaced() -> None:
    sick = {"kind": "replica_sick", "subject": "web/1", "message": "web/1 takes ten times as long", "at_s": 90.0}
    ready = {"kind": "replica_ready", "subject": "web/1", "message": "", "at_s": 91.0}
    assert part(pictured(events=(sick,)), "web/1")["health"] == "sick"
    assert part(pictured(events=(sick, ready)), "web/1")["health"] == "well"


def test_what_was_mended_within_a_second_is_told_for_a_moment() -> None:
    event = {"kind": "replica_exited", "subject": "web/2", "message": "web/2 was ended by signal 9", "at_s": 100.5}
    found = pictured(events=(event,))
    assert found["headline"]["level"] == "notice"
    assert found["headline"]["text"] == "web/2 is well again: web/2 was ended by signal 9."
    assert found["headline"]["where"] == ["web/2"]
    assert pictured(events=({**event, "at_s": 50.0},))["headline"]["level"] == "well"


def test_a_failover_that_is_over_already_is_told_where_it_was() -> None:
    event = {
        "kind": "failover_finished",
        "subject": "database",
        "message": "a → b in 0.12 s (detect 4 ms)",
        "at_s": 100.5,
    }
    exited = {"kind": "node_exited", "subject": "database/a", "message": "the server 17 ended", "at_s": 100.1}
    found = pictured(events=(exited, event))
    assert found["headline"]["text"] == "The database is well again: a → b in 0.12 s (detect 4 ms)."
    assert found["headline"]["where"] == ["database"]


def counted(slow: int, quick: int) -> dict[str, Any]:
    """What the gateway counted so far: of web/1, answers of up to 300 ms, of the others only quick ones."""
    latencies = {1: (0, 0, 0, min(quick, 1050), 0, 0, 0, 0, 0, 0, slow), 2: (0, 0, 0, quick), 3: (0, 0, 0, quick)}
    padded = {slot: (*counts, *(0,) * (BUCKETS_COUNT - len(counts))) for slot, counts in latencies.items()}
    return {
        "services": {"web": {"replicas": {f"web/{slot}": {"latency": list(counts)} for slot, counts in padded.items()}}}
    }


def test_a_replica_that_has_just_become_slow_is_seen_before_its_mean_tells() -> None:
    now = status(service("web", 3))
    looks = [
        Look(float(at_s), now, measurements=counted(slow, quick))
        for at_s, slow, quick in ((98, 0, 1000), (99, 0, 1030), (100, 10, 1050), (101, 22, 1080))
    ]
    assert [round(recent_ms(looks[:seen]).get("web/1", 0)) for seen in (1, 2, 3)] == [0, 6, 206]
    found = picture(looks[-1], looks[0], recent_ms(looks))
    assert part(found, "web/1")["health"] == "sick"
    assert part(found, "web/1")["ask"] == "slow web"
    assert [part(found, f"web/{slot}")["health"] for slot in (2, 3)] == ["well", "well"]
    assert found["headline"]["where"] == ["web/1"]
    kept = Looks()
    for look in looks:
        kept.take(look.at_s, look.status, (), look.measurements)
    (told, *_) = answer_why("slow web", kept, 101.0, count=5)
    assert (told["reason"], told["hint"][:25]) == ("slow_replica", "`colonnade restart web/1`")


def test_the_gravest_is_told_first_and_the_others_are_counted() -> None:
    def change(now: dict[str, Any]) -> None:
        set_replica(1, state="waiting", gateway="—")(now)
        now["database"].update(writable=False)

    found = pictured(change)
    assert "database" in found["headline"]["text"]
    assert found["headline"]["text"].endswith("One more thing is not as it should be.")
    assert [one["level"] for one in found["matters"]] == ["outage", "trouble"]


def test_traffic_has_its_widths() -> None:
    flows = {(one["from"], one["to"]): one for one in pictured(set_service(requests=280))["flows"]}
    assert flows["visitors", "gateway"]["per_s"] == 100.0
    assert flows["gateway", "web"]["per_s"] == 100.0


def test_without_an_earlier_look_nothing_is_said_of_rates() -> None:
    found = picture(Look(101.0, status()), None)
    assert part(found, "web")["requests_per_s"] is None


def test_a_controller_that_is_away_is_told_and_the_rest_is_kept() -> None:
    found = without_controller(pictured())
    assert not found["is_answering"]
    assert "controller does not answer" in found["headline"]["text"]
    assert part(found, "web/1")["health"] == "well"


def test_two_hundred_replicas_are_two_hundred_parts() -> None:
    def change(now: dict[str, Any]) -> None:
        now["services"][0]["replicas"] = [replica(f"web/{number}", number) for number in range(1, 201)]
        set_service(desired=200)(now)
        set_replica(77, state="waiting", gateway="—")(now)

    found = pictured(change)
    assert sum(1 for one in found["parts"] if one["kind"] == "replica") == 200
    assert found["headline"]["where"] == ["web/77"]


def test_rates_are_not_taken_over_a_gateway_that_began_anew() -> None:
    looks = Looks()
    before, now = status(), status()
    now["gateway"] = {**now["gateway"], "pid": 99}
    looks.take(100.0, before)
    looks.take(101.0, now)
    assert looks.earlier() is None
