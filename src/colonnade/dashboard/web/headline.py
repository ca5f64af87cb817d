"""One sentence about the whole: is all well, and if not, what is the matter and where. Pure.

The gravest thing is told, with the number of the others; the picture shows them all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any


class Level(IntEnum):
    """How grave it is. Each has a colour and a sign on the page."""

    WELL = 0
    NOTICE = 1
    """Nobody is harmed: something starts, was asked for, or is being mended while others serve."""
    TROUBLE = 2
    """Some visitors may notice, or nothing more may fail."""
    OUTAGE = 3
    """Something that was promised is not served now."""


@dataclass(frozen=True, slots=True)
class Matter:
    """Something that is not as it should be. `where` names parts of the picture, `ask` is what to ask `why`."""

    level: Level
    text: str
    where: tuple[str, ...] = ()
    ask: str = ""


PHASES = {
    "starting": "the system starts",
    "adopting": "a new controller takes over what runs; visitors do not notice",
    "stopping": "the system is being taken down",
}


def matters_of(
    status: Mapping[str, Any] | None, parts: Sequence[Mapping[str, Any]], lately: Mapping[str, str]
) -> list[Matter]:
    """Everything that is not as it should be, the gravest first. `parts` are those of the picture, services first;
    `lately` is what happened a moment ago, by part."""
    if status is None:
        text = "the controller does not answer. What serves goes on; nothing is mended until it is back"
        return [Matter(Level.TROUBLE, text, ("controller",), "controller")]
    found = [*_of_phase(status), *_of_gateway(status), *_of_database(status, parts)]
    for part in parts:
        if part["kind"] == "service":
            found += _of_service(part, [one for one in parts if one.get("parent") == part["id"]])
    if not found:
        found = [Matter(Level.NOTICE, str(problem)) for problem in status["problems"]]
    told = {name for matter in found for name in matter.where}
    for part in parts:
        # A failover says it of its node as well.
        is_told = part["id"] in told or part.get("parent") in lately
        if part["id"] in lately and not is_told and part["health"] == "well":
            text = f"{_named(part)} is well again: {lately[part['id']]}"
            found.append(Matter(Level.NOTICE, text, (part["id"],), part["ask"]))
    return sorted(found, key=lambda matter: -matter.level)


def _named(part: Mapping[str, Any]) -> str:
    names = {"node": f"node {part['label']} of the database", "database": "the database"}
    return names.get(part["kind"], str(part["id"]))


def headline(matters: Sequence[Matter], parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What stands at the top of the page."""
    if not matters:
        return {"level": "well", "text": f"All is well: {_what_runs(parts)}.", "where": [], "ask": ""}
    first, others = matters[0], len(matters) - 1
    more = {0: "", 1: " One more thing is not as it should be."}.get(
        others, f" {others} more things are not as they should be."
    )
    is_name = first.text.partition(" ")[0] in {part["id"] for part in parts}
    text = (first.text if is_name else first.text[:1].upper() + first.text[1:]) + "." + more
    where = [name for matter in matters for name in matter.where]
    return {"level": first.level.name.lower(), "text": text, "where": where, "ask": first.ask}


def _what_runs(parts: Sequence[Mapping[str, Any]]) -> str:
    replicas = [part for part in parts if part["kind"] == "replica"]
    services = sum(1 for part in parts if part["kind"] == "service")
    nodes = [part for part in parts if part["kind"] == "node"]
    said = f"{_count(len(replicas), 'replica')} of {_count(services, 'service')} serve" + "s" * (len(replicas) == 1)
    if nodes:
        standbys = sum(1 for node in nodes if node["role"] != "primary")
        said += f", and the database has a primary and {_count(standbys, 'standby', 'standbys')}"
    return said


def _of_phase(status: Mapping[str, Any]) -> Iterator[Matter]:
    if status["phase"] in PHASES:
        yield Matter(Level.NOTICE, PHASES[status["phase"]])


def _of_gateway(status: Mapping[str, Any]) -> Iterator[Matter]:
    if status["phase"] == "running" and status["gateway"].get("pid") is None:
        yield Matter(
            Level.OUTAGE, "the gateway does not run: visitors wait in the kernel's queue", ("gateway",), "gateway"
        )


def _of_database(status: Mapping[str, Any], parts: Sequence[Mapping[str, Any]]) -> Iterator[Matter]:
    database = status["database"]
    if database is None or database.get("external") or status["phase"] == "starting":
        return
    nodes = [part for part in parts if part["kind"] == "node"]
    if not database["writable"]:
        sick = [part for part in nodes if part["health"] != "well"]
        cause = ", ".join(f"{part['label']} {part['why']}" for part in sick) or database["summary"]
        where = tuple(part["id"] for part in sick) or ("database",)
        yield Matter(Level.OUTAGE, f"the database takes no writes now: {cause}", where, "db")
        return
    for part in nodes:
        if part["health"] == "dead" or part["health"] == "sick":
            yield Matter(Level.TROUBLE, f"node {part['label']} of the database {part['why']}", (part["id"],), "db")
        elif part["health"] != "well":
            yield Matter(Level.NOTICE, f"node {part['label']} of the database {part['why']}", (part["id"],), "db")


def _of_service(service: Mapping[str, Any], replicas: Sequence[Mapping[str, Any]]) -> Iterator[Matter]:
    name, wanted, ready = service["label"], service["desired"], service["ready"]
    here = (service["id"],)
    bad = [one for one in replicas if one["health"] in ("dead", "sick")]
    if wanted and not ready:
        level = Level.NOTICE if replicas and all(one["health"] == "coming" for one in replicas) else Level.OUTAGE
        yield Matter(level, f"{name} has no replica that serves", here, name)
    if service["rejected_per_s"]:
        rate = f"{service['rejected_per_s']:.1f} requests a second"
        text = f"{name} turns away {rate}: its queue is full, or the wait too long"
        yield Matter(Level.OUTAGE, text, here, f"slow {name}")
    if service["errors_per_s"]:
        yield Matter(
            Level.TROUBLE, f"{name} answers {service['errors_per_s']:.1f} requests a second with an error", here, name
        )
    if service["queued"]:
        text = (
            f"{_count(service['queued'], 'request')} to {name} wait" + "s" * (service["queued"] == 1) + " in its queue"
        )
        level = Level.TROUBLE if service["queued"] > service["queue_max"] / 2 else Level.NOTICE
        yield Matter(level, text, here, f"slow {name}")
    if len(bad) == 1:
        yield Matter(Level.TROUBLE, f"{bad[0]['id']} {bad[0]['why']}", (bad[0]["id"],), bad[0]["id"])
    elif bad:
        dead = sum(1 for one in bad if one["health"] == "dead")
        said = [f"{dead} {'is' if dead == 1 else 'are'} dead"] * bool(dead) + [f"{len(bad) - dead} sick"] * (
            len(bad) > dead
        )
        text = f"{len(bad)} of {wanted} replicas of {name} do not serve as they should: {' and '.join(said)}"
        yield Matter(Level.TROUBLE, text, tuple(one["id"] for one in bad), name)
    if service["rollout"]:
        yield Matter(Level.NOTICE, f"{name} is being replaced: {service['rollout']}", here, name)
    held = [one["id"] for one in replicas if one["health"] == "held"]
    if held:
        yield Matter(Level.NOTICE, f"{', '.join(held)} out of rotation, as asked", tuple(held), held[0])
    coming = [one for one in replicas if one["health"] == "coming"]
    if len(coming) == 1 and ready and not bad:
        yield Matter(Level.NOTICE, f"{coming[0]['id']} {coming[0]['why']}", (coming[0]["id"],), coming[0]["id"])
    elif coming and ready and not bad:
        where = tuple(one["id"] for one in coming)
        yield Matter(Level.NOTICE, f"{_count(len(coming), 'replica')} of {name} start", where, name)


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
