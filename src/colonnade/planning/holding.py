"""How long a place is held, and how many cores a station can use: what limits and waits are reckoned from. Pure."""

from __future__ import annotations

import math

from colonnade.planning.model import Call, Station, SystemModel, Work, walk


def processors_of(station: Station) -> float:
    """Cores that all replicas of the station can use; infinite when places run out first."""
    if station.cores_per_replica >= station.concurrency:
        return math.inf
    return station.replicas * station.cores_per_replica


def held(model: SystemModel, station: Station) -> Work:
    """How long a visit holds its place when nobody waits: its own work and, where the place is held, that of others for
    it. `cpu_share` is of no meaning here."""
    shares = model.shares()
    total, mean_s, square = 0.0, 0.0, 0.0
    for route in model.routes:
        for call, count in walk(route.call):
            if call.station == station.name:
                weight = shares[route.name] * count
                own_s, variance = alone(call) if station.holds_place else (call.work.mean_s, _variance(call.work))
                total += weight
                mean_s += weight * own_s
                square += weight * (variance + own_s**2)
    if total == 0 or mean_s == 0:
        return Work(0.0)
    mean_s, square = mean_s / total, square / total
    return Work(mean_s, max(0.0, square / mean_s**2 - 1))


def alone(call: Call) -> tuple[float, float]:
    """(mean, variance) of the time of one visit with all that it calls, when nobody else is there."""
    mean_s, variance = call.work.mean_s, _variance(call.work)
    for inner in call.calls:
        inner_s, inner_variance = alone(inner)
        share = inner.count - math.floor(inner.count)
        mean_s += inner.count * inner_s
        # A broken count is once more or not: a Bernoulli draw.
        variance += inner.count * inner_variance + share * (1 - share) * inner_s**2
    return mean_s, variance


def _variance(work: Work) -> float:
    return work.scv * work.mean_s**2
