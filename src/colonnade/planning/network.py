"""Several queues: open networks in which a request visits stations, and requests that split and join.

Symbols: λ requests a second from outside, V visits to a station for each of them, S seconds of service of a visit, c
servers. What this model assumes: a server is free while others work on the request (a tandem, not a thread that waits
for an answer; that is `layers`), and the queues are independent of each other.

Sources: J. R. Jackson, "Networks of Waiting Lines" (1957) and "Jobshop-like Queueing Systems" (1963): with exponential
service each station is an M/M/c of its own; R. Nelson, A. Tantawi, "Approximate Analysis of Fork/Join Synchronization
in Parallel Queues" (1988), eq. 10 and 14; L. Flatto, S. Hahn (1984) for two branches, exact.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from colonnade.planning.errors import Unstable
from colonnade.planning.model import SystemModel
from colonnade.planning.queues import Queue, ggc, mm1

BRANCHES_MAX = 32
"""Of a fork-join, as far as Nelson and Tantawi checked their formula."""


@dataclass(frozen=True, slots=True)
class Network:
    """What requests meet in an open network. `response_s_mean` is over all stations: ΣV·T."""

    stations: Mapping[str, Queue]
    visits: Mapping[str, float]
    response_s_mean: float
    present_mean: float
    """Requests in the whole network: λ times `response_s_mean`."""


def jackson(model: SystemModel, rate_per_s: float) -> Network:
    """Each station as M/G/c for its own stream V·λ. Exact for exponential service (Jackson); with other scv an
    approximation that takes the streams between stations for Poisson. Raises Unstable, naming the station."""
    stations, visits = {}, {}
    for station in model.stations:
        work, count = model.work(station.name), model.visits(station.name)
        try:
            queue = ggc(rate_per_s * count, work.mean_s, station.places, scv_service=work.scv)
        except Unstable as error:
            error.subject = station.name
            raise
        stations[station.name], visits[station.name] = queue, count
    response_s = math.fsum(visits[name] * queue.response_s_mean for name, queue in stations.items())
    return Network(stations, visits, response_s, rate_per_s * response_s)


def visits_by_routing(outside: Sequence[float], routing: Sequence[Sequence[float]]) -> list[float]:
    """The rates λ = γ + λ·P at each station, from the rates γ from outside and the probabilities P[i][j] that a request
    goes on from i to j (traffic equations; Jackson 1957). Raises ValueError when requests never leave."""
    count = len(outside)
    if any(len(row) != count or min(row, default=0) < 0 or sum(row) > 1 + 1e-9 for row in routing) or (
        len(routing) != count
    ):
        raise ValueError("expected for each station a row of probabilities that sum up to at most 1")
    # (I − Pᵀ)·λ = γ, by elimination with pivots.
    rows = [[float(i == j) - routing[j][i] for j in range(count)] + [float(outside[i])] for i in range(count)]
    for column in range(count):
        pivot = max(range(column, count), key=lambda row: abs(rows[row][column]))
        if abs(rows[pivot][column]) < 1e-12:
            raise ValueError("requests never leave this network")
        rows[column], rows[pivot] = rows[pivot], rows[column]
        for row in range(count):
            if row != column:
                factor = rows[row][column] / rows[column][column]
                rows[row] = [a - factor * b for a, b in zip(rows[row], rows[column], strict=True)]
    return [rows[i][count] / rows[i][i] for i in range(count)]


def fork_join_response_s_mean(arrival_rate: float, service_time_s: float, branches: int) -> float:
    """A request that asks `branches` equal M/M/1 stations at once and waits for the last answer.

    Exact for 1 and 2 branches: T₂ = (12 − ρ)/8·T₁. Up to 32 within 5 %: Tₙ = [Hₙ/H₂ + 4ρ/11·(1 − Hₙ/H₂)]·T₂, with the
    harmonic numbers H. For ρ → 0 it is Hₙ·S, the longest of n services.
    """
    if not 1 <= branches <= BRANCHES_MAX:
        raise ValueError(f"expected 1 to {BRANCHES_MAX} branches, got {branches}")
    one = mm1(arrival_rate, service_time_s)
    if branches == 1:
        return one.response_s_mean
    ratio = harmonic(branches) / harmonic(2)
    two_s = (12 - one.utilization) / 8 * one.response_s_mean
    return (ratio + 4 * one.utilization / 11 * (1 - ratio)) * two_s


def harmonic(count: int) -> float:
    """Hₙ = 1 + 1/2 + … + 1/n."""
    return math.fsum(1 / each for each in range(1, count + 1))
