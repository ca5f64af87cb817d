"""Why it is slow: what in the present numbers makes requests wait, strongest first. Pure.

Two looks a moment apart give rates; the machine's own load says whether a neighbour takes what we need. What was
not measured is not spoken of.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from colonnade.core.events import Event
from colonnade.core.histogram import Histogram, total_of
from colonnade.system.episodes import Role, episodes_of, role_of
from colonnade.system.sentences import Sentence, sentences_of

BUSY_FROM = 0.8
"""Share of a service's places from which bursts begin to wait: with 8 to 30 places an arrival finds none free in
some per cent of cases there (Erlang C), and ever more above."""

CPU_BUSY_FROM = 0.9
MEMORY_FREE_MIN = 0.05
"""Share of memory that is available; below it the kernel begins to write out and reread what it needs."""

OUTLIER_RATIO = 2.0
"""A replica is slow when its mean is this many times its peers' median …"""
OUTLIER_MS_MIN = 20.0
"""… and at least so much above it: of 1 ms against 2 nobody complains."""

ANSWERS_MIN = 3
"""Between the two looks, from which on half of a replica's answers say something."""

OBJECTIVE_ANSWERS_MIN = 30
"""Between the two looks, from which on the slowest of them are held against the objective."""

RECENT_S = 300.0
"""What happened longer ago does not make anything slow now."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What it did between two looks."""

    cores: int
    cpu_busy: float
    """Share of all cores that was busy, 0 to 1."""
    cpu_of_system: float
    """Share of all cores that this system's processes used."""
    memory_available: float
    """Share of the machine's memory."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A look at the system a moment before the present one, and the machine in between where that was looked at."""

    earlier: Mapping[str, Any]
    interval_s: float
    machine: Machine | None = None
    answers: Mapping[str, Histogram] = field(default_factory=dict)
    """By replica, what it answered between the two looks; empty where that is not known."""


def what_is_slow(
    service: str,
    status: Mapping[str, Any] | None,
    measured: Measured | None,
    events: Sequence[Event],
    now_s: float,
) -> list[Sentence]:
    """Findings about one service, or about all when it is empty; and what happened in the last minutes."""
    if status is None:
        return [Sentence("nothing runs here, so nothing can be measured", reason="not_running", hint="`colonnade up`")]
    services = [one for one in status["services"] if service in ("", one["name"])]
    findings = [*_of_database(status)]
    for one in services:
        about = [*_of_service(one, _rates(one, measured)), *_of_replicas(one, measured)]
        findings += about or [*_of_objective(one, measured)]
    machine = measured.machine if measured is not None else None
    findings += [*_of_machine(machine)]
    recent = [
        episode
        for episode in episodes_of(events)
        if now_s - episode.events[-1].at_s <= RECENT_S
        and any(role_of(event) is Role.CAUSE for event in episode.events)
        and (not service or episode.subject.rpartition("/")[0] in (service, "") or episode.subject == service)
        and not episode.subject.startswith(("controller", "system"))
    ]
    said = [sentence for _, sentence in sorted(findings, key=lambda pair: pair[0], reverse=True)]
    state = Sentence(
        "; ".join(_state(one, _rates(one, measured)) for one in services) + _machine(machine), reason="now"
    )
    if not said:
        said = [Sentence("nothing is slow here", reason="nothing_slow")]
    return [*said, state, *sentences_of(recent)]


Finding = tuple[float, Sentence]
"""A weight to sort by, chosen by how surely users notice, and the sentence."""


@dataclass(frozen=True, slots=True)
class _Rates:
    """Per second between the two looks; None where there was no earlier one."""

    requests: float | None = None
    errors: float | None = None
    rejected: float | None = None


def _rates(service: Mapping[str, Any], measured: Measured | None) -> _Rates:
    if measured is None or measured.interval_s <= 0:
        return _Rates()
    earlier = next((one for one in measured.earlier["services"] if one["name"] == service["name"]), None)
    if earlier is None:
        return _Rates()

    def rate(key: str) -> float | None:
        if key not in service or key not in earlier:
            return None
        # A gateway that was restarted meanwhile counts from 0 again.
        return max(0.0, float(service[key]) - float(earlier[key])) / measured.interval_s

    return _Rates(rate("requests"), rate("errors"), rate("rejected"))


def _of_database(status: Mapping[str, Any]) -> Iterator[Finding]:
    database = status["database"]
    if database is None or database.get("external"):
        return
    if not database["writable"]:
        text = f"the database takes no writes now, so whoever writes waits: {database['summary']}"
        yield 100, Sentence(text, reason="database_not_writable", hint="`colonnade why db`")
    elif (last := database.get("last_failover")) and not last["is_finished"]:
        text = f"a failover of the database is not over ({last['summary']}): {database['summary']}"
        yield 60, Sentence(text, reason="failover_going_on", hint="`colonnade why db`")


def _of_service(service: Mapping[str, Any], rates: _Rates) -> Iterator[Finding]:
    name = service["name"]
    ready = [replica for replica in service["replicas"] if replica["state"] == "ready"]
    places = service["threads"] * len(ready)
    busy = sum(replica.get("serving") or 0 for replica in ready)
    more = _more_replicas(service)
    if not ready and service["desired"]:
        yield 99, Sentence(f"{name} has no replica that is ready", reason="no_replica", hint=f"`colonnade why {name}`")
    if rates.rejected:
        text = (
            f"{name}: {rates.rejected:.1f} requests a second are answered 503: the queue is full, or the wait too long "
            f"({service['queued']} wait, at most {service['queue_max']} may; {busy} of {places} places on {len(ready)} "
            "replicas are busy)"
        )
        yield 95, Sentence(text, reason="rejected", hint=f"{more}; queue_max in colonnade.toml bounds who may wait")
    if service["queued"]:
        text = (
            f"{name}: {service['queued']} requests wait in the gateway (at most {service['queue_max']} may), while "
            f"{busy} of {places} places on {len(ready)} replicas are busy"
        )
        yield 90, Sentence(text, reason="queued", hint=more)
    elif places and busy / places >= BUSY_FROM:
        text = (
            f"{name}: {busy} of {places} places are busy ({busy / places:.0%} of {len(ready)} × {service['threads']})"
        )
        yield 70, Sentence(text, reason="busy", hint=more)
    if ready and len(ready) < service["desired"]:
        away = ", ".join(f"{one['id']} is {one['state']}" for one in service["replicas"] if one["state"] != "ready")
        text = f"{name}: {len(ready)} of {service['desired']} replicas carry the load of all" + f" ({away})" * bool(
            away
        )
        yield 65, Sentence(text, reason="replicas_missing", hint=f"`colonnade why {name}`")
    for replica in ready:
        if replica["gateway"] == "DOWN":
            text = f"{replica['id']} runs and fails its health checks, so the others carry its load"
            yield 64, Sentence(text, reason="replica_down", hint=f"`colonnade why {replica['id']}`")
    if rates.errors:
        text = f"{name}: {rates.errors:.1f} answers a second have a status from 500"
        yield 50, Sentence(text, reason="errors", hint=f"`colonnade logs {name}`")


def _more_replicas(service: Mapping[str, Any]) -> str:
    """How this service gets them: one that is scaled by itself would be held fast by `colonnade scale`."""
    name = service["name"]
    mode = service.get("scaling", {}).get("mode", "fixed")
    if mode == "auto":
        return f"it is scaled by itself: `colonnade why scaled {name}`"
    if mode == "pinned":
        return f"`colonnade scale {name}=auto` lets it scale by itself again"
    return f"`colonnade scale {name}={service['desired'] + 1}`, or replicas = {{ min = …, max = … }} in colonnade.toml"


def _of_objective(service: Mapping[str, Any], measured: Measured | None) -> Iterator[Finding]:
    """Slower than was promised, with nobody waiting and no replica alone in it: then it is what all of them do."""
    objective_s = (service.get("slo") or {}).get("p99_s")
    if objective_s is None or measured is None:
        return
    mine = {replica["id"] for replica in service["replicas"]}
    together = total_of(answers for name, answers in measured.answers.items() if name in mine)
    p99_s = together.quantile_s(0.99)
    if together.total() < OBJECTIVE_ANSWERS_MIN or p99_s is None or p99_s <= objective_s:
        return
    uses = service.get("uses") or ()
    text = (
        f"{service['name']} took {p99_s * 1000:.0f} ms or more for the slowest hundredth of its {together.total()} "
        f"answers of the last {measured.interval_s:.1f} s, where {objective_s * 1000:.0f} ms is promised; nobody waits "
        "now and none of its replicas stands out, so it is probably their own work, or what they all ask"
    )
    where = f"`colonnade why slow {uses[0]}`, which it asks; " if uses else ""
    yield 45, Sentence(text, reason="over_objective", hint=f"{where}traces show where the time goes (docs/tracing.md)")


def _of_replicas(service: Mapping[str, Any], measured: Measured | None) -> Iterator[Finding]:
    """Replicas that take much longer than their peers, or that answer nothing while their peers do."""
    ready = [replica for replica in service["replicas"] if replica["state"] == "ready"]
    answers = measured.answers if measured is not None else {}
    counted = [one["id"] for one in ready if one["id"] in answers]
    for replica in ready:
        name = replica["id"]
        cure = f"`colonnade restart {name}` replaces it, `colonnade logs {name}` shows what it does"
        peers = total_of(answers[other] for other in counted if other != name)
        if measured is None or name not in answers or peers.total() < ANSWERS_MIN:
            yield from _by_means(replica, ready, cure)
            continue
        own = answers[name]
        if own.total() == 0 and replica.get("serving") and _was_busy(name, measured):
            text = (
                f"{name} holds {replica['serving']} requests and has answered none for {measured.interval_s:.1f} s, "
                f"while its peers answered {peers.total()}"
            )
            yield 61, Sentence(text, reason="silent_replica", hint=cure)
        elif own.total() >= ANSWERS_MIN and _is_slow(own_ms := _median_ms(own), peers_ms := _median_ms(peers)):
            text = (
                f"{name} is slow: half of its {own.total()} answers of the last {measured.interval_s:.1f} s took more "
                f"than {own_ms:.0f} ms, half of its peers' {peers.total()} more than {peers_ms:.0f} ms"
            )
            yield 60, Sentence(text, reason="slow_replica", hint=cure)


def _by_means(replica: Mapping[str, Any], ready: Sequence[Mapping[str, Any]], cure: str) -> Iterator[Finding]:
    """By the means of the last 1,024 answers, where nothing newer is known."""
    own_ms = replica.get("response_ms")
    peers = [one["response_ms"] for one in ready if one["id"] != replica["id"] and one.get("response_ms")]
    if own_ms and peers and _is_slow(own_ms, median(peers)):
        text = f"{replica['id']} answers after {own_ms:.0f} ms on average, its peers after {median(peers):.0f} ms"
        yield 60, Sentence(text, reason="slow_replica", hint=cure)


def _is_slow(own_ms: float, peers_ms: float) -> bool:
    return own_ms > max(OUTLIER_RATIO * peers_ms, peers_ms + OUTLIER_MS_MIN)


def _median_ms(answers: Histogram) -> float:
    return (answers.quantile_s(0.5) or 0.0) * 1000


def _was_busy(name: str, measured: Measured) -> bool:
    """At the look before, too: otherwise it may have had no time to answer."""
    replicas = [one for service in measured.earlier["services"] for one in service["replicas"]]
    return any(one["id"] == name and one.get("serving") for one in replicas)


def answers_between(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Histogram]:
    """By replica, from two answers to `/measurements`; a gateway that began anew in between counts from then on."""
    earlier = _counts_of(before)
    return {name: now.since(earlier[name]) for name, now in _counts_of(after).items() if name in earlier}


def _counts_of(measurements: Mapping[str, Any]) -> dict[str, Histogram]:
    services = (measurements.get("services") or {}).values()
    return {
        name: Histogram(tuple(replica["latency"]))
        for service in services
        for name, replica in service["replicas"].items()
    }


def _of_machine(machine: Machine | None) -> Iterator[Finding]:
    if machine is None:
        return
    if machine.cpu_busy >= CPU_BUSY_FROM:
        others = max(0.0, machine.cpu_busy - machine.cpu_of_system)
        text = (
            f"the machine's {machine.cores} processors are {machine.cpu_busy:.0%} busy: "
            f"{machine.cpu_of_system:.0%} by this system, {others:.0%} by others"
        )
        yield (
            80,
            Sentence(text, reason="processors_busy", hint="more replicas do not help here; fewer neighbours would"),
        )
    if machine.memory_available < MEMORY_FREE_MIN:
        text = f"{machine.memory_available:.1%} of the machine's memory is available"
        yield 75, Sentence(text, reason="memory_short", hint="`top -o %MEM` shows who has it")


def _state(service: Mapping[str, Any], rates: _Rates) -> str:
    ready = [replica for replica in service["replicas"] if replica["state"] == "ready"]
    busy = sum(replica.get("serving") or 0 for replica in ready)
    parts = [f"{busy} of {service['threads'] * len(ready)} places busy", f"{service['queued']} waiting"]
    if rates.requests is not None:
        parts.insert(0, f"{rates.requests:.0f} requests a second")
    if service["requests"]:
        parts.append(
            f"answers begin after {service['response_ms']:.0f} ms, {service['queue_ms']:.0f} ms of waiting before "
            "(means of the last 1,024)"
        )
    return f"{service['name']}: {', '.join(parts)}"


def _machine(machine: Machine | None) -> str:
    if machine is None:
        return ""
    return f"; processors {machine.cpu_busy:.0%} busy, {machine.cpu_of_system:.0%} by this system"
