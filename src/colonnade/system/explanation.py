"""`colonnade why`: a question, what was recorded and what is so now, to sentences with the newest cause first. Pure.

It decides nothing and asks nobody: whoever calls it brings the events, the status (None when nothing runs) and, for
`why slow`, what was measured. `episodes.py` has what belongs together, `sentences.py` the words, `slowness.py` what
makes a service slow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from colonnade.core.errors import SpecError
from colonnade.core.events import Event
from colonnade.spec.problem import suggestion
from colonnade.system.episodes import REPLICA, Episode, episodes_of
from colonnade.system.sentences import Sentence, duration, sentences_of
from colonnade.system.slowness import Measured, what_is_slow

PARTS = ("gateway", "dbgate", "controller", "keeper")
DATABASE_WORDS = ("db", "database", "failover")


class About(Enum):
    """What can be asked about."""

    EVERYTHING = "everything"
    REPLICA = "replica"
    SERVICE = "service"
    PART = "part"
    SCALED = "scaled"
    SLOW = "slow"
    DATABASE = "database"


@dataclass(frozen=True, slots=True)
class Question:
    """`name` is a replica, a service or a part, or empty: all of them."""

    about: About
    name: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """All that an answer may rest on. Events are oldest first; times are wall time."""

    events: Sequence[Event]
    status: Mapping[str, Any] | None
    now_s: float
    measured: Measured | None = None
    failure: str = ""
    """Why the last start ended before the system ran, if it did."""

    @property
    def services(self) -> list[str]:
        """Those that run; of a system that is down, those that are recorded."""
        if self.status is not None and self.status["services"]:
            return [service["name"] for service in self.status["services"]]
        return sorted({replica.rpartition("/")[0] for replica in self.replicas})

    @property
    def replicas(self) -> list[str]:
        """Those that there are or ever were, as far as it is recorded."""
        recorded = {event.subject for event in self.events if event.kind.startswith("replica_")}
        known = {name for name in recorded if REPLICA.fullmatch(name)}
        for service in (self.status or {"services": []})["services"]:
            known |= {replica["id"] for replica in service["replicas"]}
        return sorted(known, key=lambda name: (name.rpartition("/")[0], int(name.rpartition("/")[2])))


def parse_question(words: Sequence[str], facts: Facts) -> Question:
    """What was asked. Raises SpecError for a name that nobody knows, with the nearest one that somebody does."""
    match list(words):
        case []:
            return Question(About.EVERYTHING)
        case ["scaled" | "slow" as what]:
            return Question(About(what))
        case ["scaled" | "slow" as what, service]:
            return Question(About(what), _known(service, facts.services, what="services"))
        case [word] if word in DATABASE_WORDS:
            return Question(About.DATABASE)
        case [word] if word in PARTS and word not in facts.services:
            return Question(About.PART, word)
        case [word] if word in facts.services:
            return Question(About.SERVICE, word)
        case [word]:
            service, _, number = word.replace("/", "-").rpartition("-")
            if service in facts.services and number.isdecimal():
                return Question(About.REPLICA, _known(f"{service}/{number}", facts.replicas, what="replicas"))
            known = [*facts.services, *facts.replicas, *PARTS, "scaled", "slow", "db", "failover"]
            return Question(About.SERVICE, _known(word, known, what="you may ask about"))
        case _:
            hint = "for example `colonnade why backend-2`, `why scaled backend`, `why slow`, `why db`, or `why` alone"
            raise SpecError(f"one thing at a time, got {' '.join(words)!r}", subject="why", hint=hint)


def _known(name: str, known: Iterable[str], *, what: str) -> str:
    names = list(known)
    if name in names:
        return name
    raise SpecError(f"nothing is known of {name!r}", subject="why", hint=suggestion(name, names, what=what))


def explain(question: Question, facts: Facts) -> list[Sentence]:
    """The answer: what is so now, then why, newest first. Never empty, and never more than was recorded."""
    match question.about:
        case About.SLOW:
            return what_is_slow(question.name, facts.status, facts.measured, facts.events, facts.now_s)
        case About.EVERYTHING:
            return _everything(facts)
        case About.REPLICA:
            return [_replica_now(question.name, facts), *_story(facts, lambda one: one.subject == question.name)]
        case About.SERVICE:
            return [_service_now(question.name, facts), *_story(facts, lambda one: _is_of(one, question.name))]
        case About.PART:
            return [_part_now(question.name, facts), *_story(facts, lambda one: one.subject == question.name)]
        case About.SCALED:
            return _scaled(question.name, facts)
        case About.DATABASE:
            return [_database_now(facts), *_story(facts, lambda one: one.subject == "database")]


def _story(facts: Facts, is_asked: Callable[[Episode], bool]) -> list[Sentence]:
    """Sentences about the episodes that were asked for, newest first; one that says so when there is none."""
    told = sentences_of([episode for episode in episodes_of(facts.events) if is_asked(episode)])
    return told or [Sentence(_nothing_recorded(facts), reason="not_recorded")]


def _nothing_recorded(facts: Facts) -> str:
    if not facts.events:
        return "nothing is recorded here"
    return "nothing is recorded of it; events go back to the one that comes first in `colonnade events --last 100000`"


def _is_of(episode: Episode, service: str) -> bool:
    return episode.subject == service or (
        REPLICA.fullmatch(episode.subject) is not None and episode.subject.rpartition("/")[0] == service
    )


# What is so now


def _everything(facts: Facts) -> list[Sentence]:
    """What is not as declared, each with its cause if one is recorded, and then what happened last."""
    episodes = episodes_of(facts.events)
    if facts.status is None:
        now = [_not_running(facts)]
    elif facts.status["problems"]:
        now = [Sentence(str(problem), reason="not_as_declared") for problem in facts.status["problems"]]
    else:
        now = [_all_well(facts.status)]
    open_now = [one for one in episodes if not one.is_over] if facts.status is not None else []
    told = {event.seq for one in open_now for event in one.events}
    rest = [sentence for sentence in sentences_of(episodes) if not told & set(sentence.events)]
    return [*now, *sentences_of(open_now), *rest]


def _not_running(facts: Facts) -> Sentence:
    if facts.failure:
        return Sentence(f"nothing runs here; the last start failed: {facts.failure}", reason="start_failed")
    phases = [event for event in facts.events if event.kind.startswith("system_")]
    if phases and phases[-1].kind == "system_stopping":
        ago = duration(facts.now_s - phases[-1].at_s)
        return Sentence(f"nothing runs here: it was taken down {ago} ago", reason="taken_down")
    if phases:
        text = "nothing runs here, and how it ended is not recorded: it was killed, or the machine went down"
        return Sentence(text, reason="end_not_recorded", hint="`colonnade up` starts it")
    return Sentence("nothing runs here, and nothing ever ran", reason="never_ran", hint="`colonnade up` starts it")


def _all_well(status: Mapping[str, Any]) -> Sentence:
    parts = [
        f"{service['name']} has {_ready(service)} of {service['desired']} replicas ready"
        for service in status["services"]
    ]
    if status["database"]:
        parts.append(f"database: {status['database']['summary']}")
    return Sentence(f"all is as wanted ({status['phase']}): {'; '.join(parts)}", reason="as_wanted")


def _replica_now(name: str, facts: Facts) -> Sentence:
    if facts.status is None:
        return _not_running(facts)
    for service in facts.status["services"]:
        for replica in service["replicas"]:
            if replica["id"] == name:
                return _describe(replica)
    wanted = next((one["desired"] for one in facts.status["services"] if one["name"] == name.rpartition("/")[0]), 0)
    return Sentence(f"{name} is not there: {wanted} replicas are wanted", reason="not_wanted")


def _describe(replica: Mapping[str, Any]) -> Sentence:
    restarts = replica["restarts"]
    again = {0: "never restarted", 1: "restarted once"}.get(restarts, f"restarted {restarts} times")
    where = f"pid {replica['pid']}, " if replica["pid"] else ""
    flight = f"{replica['in_flight']} requests in flight, " if replica["in_flight"] is not None else ""
    loop = ", in a crash loop" if replica["is_crash_loop"] else ""
    text = f"{replica['id']} is {replica['state']}{loop} ({where}{flight}{again}"
    return Sentence(f"{text}; the gateway has it as {replica['gateway']})", reason=replica["state"])


def _service_now(name: str, facts: Facts) -> Sentence:
    service = next((one for one in (facts.status or {"services": []})["services"] if one["name"] == name), None)
    if service is None:
        return _not_running(facts)
    text = f"{name} has {_ready(service)} of {service['desired']} wanted replicas ready"
    others = [f"{one['id']} is {one['state']}" for one in service["replicas"] if one["state"] != "ready"]
    reason = "not_as_declared" if others or _ready(service) < service["desired"] else "as_wanted"
    return Sentence(": ".join([text, *([", ".join(others)] if others else [])]), reason=reason)


def _ready(service: Mapping[str, Any]) -> int:
    return sum(1 for replica in service["replicas"] if replica["state"] == "ready")


def _part_now(name: str, facts: Facts) -> Sentence:
    if facts.status is None:
        return _not_running(facts)
    part = facts.status.get(name)
    pid = part["pid"] if isinstance(part, Mapping) else facts.status[f"{name}_pid"]
    return Sentence(f"{name} runs as pid {pid}" if pid else f"{name} does not run", reason="running" if pid else "down")


def _database_now(facts: Facts) -> Sentence:
    if facts.status is None:
        return _not_running(facts)
    database = facts.status["database"]
    if database is None:
        return Sentence("no database is declared", reason="not_declared", hint="[database] in colonnade.toml adds one")
    return Sentence(f"the database: {database['summary']}", reason=str(database.get("reason", "external")))


def _scaled(name: str, facts: Facts) -> list[Sentence]:
    """Each change of a number of replicas, with who asked or which numbers were compared."""
    services = [name] if name else facts.services
    now = [_not_running(facts)]
    if facts.status is not None:
        now = [
            sentence for service in services for sentence in (_service_now(service, facts), *_decided(service, facts))
        ]
    episodes = episodes_of(facts.events)
    changes = {one.events[0].seq for one in episodes if one.subject in services and _is_about_scaling(one.events[0])}
    asked = [
        one
        for one in episodes
        if one.events[0].seq in changes or (one.trigger is not None and one.trigger.seq in changes)
    ]
    if asked:
        return [*now, *sentences_of(asked)]
    since = " and ".join(services) or "nothing"
    return [*now, Sentence(f"no change of the number of replicas of {since} is recorded", reason="never_scaled")]


def _decided(name: str, facts: Facts) -> Iterator[Sentence]:
    """What the autoscaler last decided, which is most often to leave the number as it is."""
    services = (facts.status or {"services": []})["services"]
    scaling = next((one.get("scaling") for one in services if one["name"] == name), None)
    if scaling is not None and scaling["mode"] != "fixed":
        yield Sentence(f"the autoscaler: {scaling['message']}", reason=scaling["reason"])


def _is_about_scaling(event: Event) -> bool:
    return event.kind == "service_scaled" or event.kind.startswith(("scaling_", "autoscal"))
