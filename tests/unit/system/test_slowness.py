"""What makes requests wait, from two looks and the machine's load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from colonnade.core.events import Event
from colonnade.core.histogram import BOUNDS_MS, BUCKETS_COUNT, Histogram
from colonnade.system.explanation import About, Facts, Question, explain
from colonnade.system.sentences import Sentence
from colonnade.system.slowness import Machine, Measured, answers_between

from .why_builders import ALL_WELL, WEB, events_of, replica, service, status_of


def measured(
    earlier: Mapping[str, Any] = ALL_WELL, answers: Mapping[str, Histogram] | None = None, **more: float
) -> Measured:
    return Measured(
        earlier=earlier,
        interval_s=2.0,
        machine=Machine(
            cores=2,
            cpu_busy=more.get("cpu_busy", 0.14),
            cpu_of_system=more.get("cpu_of_system", 0.1),
            memory_available=more.get("memory_available", 0.5),
        ),
        answers=answers or {},
    )


def slow(
    status: Mapping[str, Any], seen: Measured | None = None, events: Sequence[Event] = (), name: str = ""
) -> list[Sentence]:
    return explain(Question(About.SLOW, name), Facts(events, status, 1000.0, seen or measured()))


BUSY_WEB = service("web", replica("web/1", serving=8), replica("web/2", serving=8), queued=12)


@pytest.mark.parametrize(
    ("status", "seen", "reason", "says"),
    [
        (
            status_of(BUSY_WEB),
            None,
            "queued",
            "web: 12 requests wait in the gateway (at most 200 may), while 16 of 16 places on 2 replicas are busy",
        ),
        (
            status_of(service("web", replica("web/1", serving=8), replica("web/2", serving=6))),
            None,
            "busy",
            "web: 14 of 16 places are busy (88% of 2 × 8)",
        ),
        (
            status_of(service("web", replica("web/1"), replica("web/2", "starting"))),
            None,
            "replicas_missing",
            "web: 1 of 2 replicas carry the load of all (web/2 is starting)",
        ),
        (
            status_of(service("web", replica("web/1"), replica("web/2", gateway="DOWN"))),
            None,
            "replica_down",
            "web/2 runs and fails its health checks, so the others carry its load",
        ),
        (
            status_of(service("web", replica("web/1", "waiting"), desired=1)),
            None,
            "no_replica",
            "web has no replica that is ready",
        ),
        (
            status_of(service("web", replica("web/1"), replica("web/2"), errors=5)),
            None,
            "errors",
            "web: 2.5 answers a second have a status from 500",
        ),
        (
            status_of(service("web", replica("web/1"), replica("web/2"), rejected=30)),
            measured(status_of(service("web", rejected=10))),
            "rejected",
            "web: 10.0 requests a second are answered 503: the queue is full, or the wait too long "
            "(0 wait, at most 200 may; 0 of 16 places on 2 replicas are busy)",
        ),
        (
            status_of(service("web", replica("web/1", response_ms=250.0), replica("web/2", response_ms=50.0))),
            None,
            "slow_replica",
            "web/1 answers after 250 ms on average, its peers after 50 ms",
        ),
        (
            ALL_WELL,
            measured(cpu_busy=0.98, cpu_of_system=0.2),
            "processors_busy",
            "the machine's 2 processors are 98% busy: 20% by this system, 78% by others",
        ),
        (ALL_WELL, measured(memory_available=0.01), "memory_short", "1.0% of the machine's memory is available"),
        (
            status_of(WEB, database={"writable": False, "summary": "a does not run"}),
            None,
            "database_not_writable",
            "the database takes no writes now, so whoever writes waits: a does not run",
        ),
    ],
)
def test_what_makes_it_slow_is_told_with_its_numbers(
    status: Mapping[str, Any], seen: Measured | None, reason: str, says: str
) -> None:
    first = slow(status, seen)[0]
    assert (first.reason, first.text) == (reason, says)
    assert first.hint


def test_when_nothing_is_slow_that_is_said_with_the_numbers() -> None:
    first, state = slow(status_of(service("web", replica("web/1"), replica("web/2"), requests=150)))
    assert first.text == "nothing is slow here"
    assert state.text == (
        "web: 25 requests a second, 0 of 16 places busy, 0 waiting, answers begin after 12 ms, 0 ms of waiting before "
        "(means of the last 1,024); processors 14% busy, 10% by this system"
    )


def test_the_strongest_reason_comes_first() -> None:
    database = {"writable": False, "summary": "a does not run"}
    found = slow(status_of(BUSY_WEB, database=database), measured(cpu_busy=0.95))
    assert [one.reason for one in found[:3]] == ["database_not_writable", "queued", "processors_busy"]


def test_one_service_is_asked_about_alone_and_only_what_is_recent_counts() -> None:
    api = service("api", replica("api/1"), replica("api/2"))
    long_ago = (1.0, "replica_exited", "web/1", "exited", "web/1 exited with code 3")
    other = (990.0, "replica_exited", "api/1", "exited", "api/1 exited with code 1")
    stuck = (991.0, "replica_killed", "web/2", "stuck", "web/2 runs but fails its health checks for 1.0 s")
    found = slow(status_of(BUSY_WEB, api), events=events_of(long_ago, other, stuck), name="web")
    text = " ".join(one.text for one in found)
    assert "so it was killed" in text
    assert "api" not in text
    assert "code 3" not in text


def test_nothing_is_measured_of_what_does_not_run() -> None:
    (told,) = explain(Question(About.SLOW), Facts([], None, 0.0))
    assert told.reason == "not_running"


# Replicas beside their peers, by what they answered just now


def took(ms: int, count: int) -> Histogram:
    """So many answers, each within the bucket that begins at `ms`."""
    counts = [0] * BUCKETS_COUNT
    counts[BOUNDS_MS.index(ms) + 1] = count
    return Histogram(tuple(counts))


HOLDING = status_of(service("web", replica("web/1"), replica("web/2", serving=4, response_ms=2.0)))


@pytest.mark.parametrize(
    ("own", "peers", "reason"),
    [
        (took(300, 5), took(2, 100), "slow_replica"),
        (took(12, 5), took(2, 100), "nothing_slow"),
        (took(300, 2), took(2, 100), "nothing_slow"),
        (took(2, 0), took(2, 100), "silent_replica"),
        (took(2, 0), took(2, 2), "nothing_slow"),
        (took(300, 50), took(300, 50), "nothing_slow"),
    ],
)
def test_a_replica_is_compared_by_what_was_answered_just_now(own: Histogram, peers: Histogram, reason: str) -> None:
    first = slow(HOLDING, measured(HOLDING, {"web/1": peers, "web/2": own}))[0]
    assert first.reason == reason
    if reason != "nothing_slow":
        assert first.text.startswith("web/2 ")
        assert "`colonnade restart web/2`" in first.hint


def test_who_had_nothing_to_do_before_is_not_silent() -> None:
    seen = measured(ALL_WELL, {"web/1": took(2, 100), "web/2": took(2, 0)})
    assert slow(HOLDING, seen)[0].reason == "nothing_slow"


def test_answers_are_the_difference_of_two_counts() -> None:
    def said(first: Histogram) -> dict[str, Any]:
        return {"services": {"web": {"replicas": {"web/1": {"latency": list(first.counts)}}}}}

    assert answers_between(said(took(2, 5)), said(took(2, 8))) == {"web/1": took(2, 3)}
    assert answers_between({}, said(took(2, 8))) == {}


def test_of_a_machine_that_was_not_looked_at_nothing_is_said() -> None:
    """Not that its processors are 0% busy."""
    told = slow(status_of(BUSY_WEB), replace(measured(cpu_busy=0.99), machine=None))
    assert told, "what the two looks say is still said"
    assert not any("processors" in sentence.text for sentence in told)
    assert any("14% busy" in sentence.text for sentence in slow(status_of(BUSY_WEB)))


OBJECTIVE = {"slo": {"p99_s": 0.25, "availability": None}}


def answered(count: int, bucket: int) -> dict[str, Histogram]:
    counts = [0] * BUCKETS_COUNT
    counts[bucket] = count
    return {name: Histogram(tuple(counts)) for name in ("web/1", "web/2")}


@pytest.mark.parametrize(
    ("more", "answers", "reason"),
    [
        (OBJECTIVE, answered(50, 11), "over_objective"),
        (OBJECTIVE, answered(50, 5), "nothing_slow"),
        (OBJECTIVE, answered(5, 11), "nothing_slow"),  # too few to know a hundredth of
        ({}, answered(50, 11), "nothing_slow"),  # nothing was promised
        ({**OBJECTIVE, "queued": 12}, answered(50, 11), "queued"),  # the wait is reason enough
    ],
)
def test_replicas_that_are_all_slower_than_promised_are_told(
    more: Mapping[str, Any], answers: Mapping[str, Histogram], reason: str
) -> None:
    web = service("web", replica("web/1"), replica("web/2"), uses=["api"], **more)
    first = slow(status_of(web), measured(answers=answers))[0]
    assert first.reason == reason
    if reason == "over_objective":
        assert "of its 100 answers of the last 2.0 s, where 250 ms is promised" in first.text
        assert "`colonnade why slow api`" in first.hint


@pytest.mark.parametrize(
    ("mode", "hint"),
    [
        ("fixed", "`colonnade scale web=3`"),
        ("auto", "it is scaled by itself: `colonnade why scaled web`"),
        ("pinned", "`colonnade scale web=auto`"),
    ],
)
def test_more_replicas_are_advised_as_the_service_gets_them(mode: str, hint: str) -> None:
    assert hint in slow(status_of({**BUSY_WEB, "scaling": {"mode": mode}}))[0].hint
