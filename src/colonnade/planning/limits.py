"""What runs out, and at which rate: places, processors, cores. From there on a queue grows without bound. Pure.

Read next: `capacity` for the rate at which a promise is broken, which is earlier.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from colonnade.planning.errors import Unstable
from colonnade.planning.holding import held, processors_of
from colonnade.planning.model import SystemModel

CORES = "cores"
"""The resource that all stations share."""


@dataclass(frozen=True, slots=True)
class Limit:
    """Something that runs out at a rate."""

    kind: str
    """`places`, `processors`, `cores` or `objective`."""
    subject: str
    """The station, or what else it belongs to."""
    rate_per_s: float
    message: str
    """One sentence with the numbers."""

    @property
    def is_hard(self) -> bool:
        return self.kind != "objective"


def hard_limits(model: SystemModel) -> tuple[Limit, ...]:
    """Places, processors and cores, ascending by rate."""
    found = [*_of_places(model), *_of_processors(model), *_of_cores(model)]
    return tuple(sorted(found, key=lambda each: each.rate_per_s))


def check_stable(model: SystemModel, rate_per_s: float) -> None:
    """Raises Unstable, naming what is too busy most."""
    first = next(iter(hard_limits(model)), None)
    if first is not None and rate_per_s >= first.rate_per_s:
        raise Unstable(
            rate_per_s / first.rate_per_s,
            arrival_rate=rate_per_s,
            capacity=first.rate_per_s,
            subject=f"{first.kind} of {first.subject}",
        )


def capacity(model: SystemModel) -> float:
    """The rate at which the first queue grows without bound, requests a second; infinite when nothing takes time."""
    return min((each.rate_per_s for each in hard_limits(model)), default=math.inf)


def _of_places(model: SystemModel) -> list[Limit]:
    found = []
    for station in model.stations:
        visits, time_s = model.visits(station.name), held(model, station).mean_s
        if visits * time_s > 0:
            rate = station.places / (visits * time_s)
            count = "1 replica" if station.replicas == 1 else f"{station.replicas} replicas"
            message = (
                f"all {station.places} places of {station.name} ({count} × {station.concurrency}) are taken, each for "
                f"{time_s * 1000:.3g} ms a visit"
            )
            found.append(Limit("places", station.name, rate, message))
    return found


def _of_processors(model: SystemModel) -> list[Limit]:
    found = []
    for station in model.stations:
        cores, cpu_s = processors_of(station), model.visits(station.name) * model.work(station.name).cpu_s
        if cpu_s > 0 and math.isfinite(cores):
            message = (
                f"the {cores:g} cores that the replicas of {station.name} can use ({station.cores_per_replica:g} each) "
                f"are busy, {cpu_s * 1000:.3g} ms for each request"
            )
            found.append(Limit("processors", station.name, cores / cpu_s, message))
    return found


def _of_cores(model: SystemModel) -> list[Limit]:
    cpu_s = math.fsum(model.visits(each.name) * model.work(each.name).cpu_s for each in model.stations)
    if cpu_s == 0 or math.isinf(model.cores):
        return []
    message = f"all {model.cores:.3g} cores of the machine are busy, {cpu_s * 1000:.3g} ms for each request"
    return [Limit(CORES, "machine", model.cores / cpu_s, message)]
