"""How long requests wait for a free place, and how many places they need: Erlang's formulas and one correction.

Symbols, the same everywhere here: λ `arrival_rate` (requests a second), S `service_time_s` (seconds that a request
occupies a place), a = λ·S `offered` (erlangs: places that would be busy if there were enough), c `servers` (places; a
replica has as many as it has threads), ρ = a/c `utilization`. Arrivals are Poisson, the queue is one and first come
first served. Pure: no I/O, no clock.

Sources: A. K. Erlang, "Solution of some problems in the theory of probabilities" (1917) for B and C; D. Gross,
C. Harris, "Fundamentals of Queueing Theory" (2.3, M/M/c) for the waiting times; A. O. Allen, "Probability, Statistics
and Queueing Theory" (1990, 5.3) for the Allen–Cunneen approximation.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

SERVERS_MAX = 100_000
"""More is a slip of units (milliseconds for seconds), not a system: bounds every loop here."""

UNDERFLOW = 745.2
"""e^(−x) is 0 in double precision for any larger x."""


@dataclass(frozen=True, slots=True)
class Objective:
    """What the places have to achieve: a wait that the share `quantile` of requests stays within, and a utilization."""

    wait_s_max: float = math.inf
    quantile: float = 0.99
    utilization_max: float = 1.0
    """Share of the places that may be busy on average; the model itself needs less than 1."""

    def __post_init__(self) -> None:
        if self.wait_s_max < 0 or not 0 < self.quantile < 1 or not 0 < self.utilization_max <= 1:
            raise ValueError(f"not an objective: {self}")


def erlang_b(servers: int, offered: float) -> float:
    """Probability that all c places are busy when those who find none free leave (M/G/c/c, Erlang's B).

    By the recursion B(0) = 1, B(c) = a·B(c−1) / (c + a·B(c−1)), which is exact and stays within [0, 1] for any number
    of servers, where powers and factorials would overflow. (Gross and Harris, 2.5; c ≥ 0, a ≥ 0.)
    """
    _check(servers, offered)
    # By Chernoff's bound on a Poisson count it is less than the smallest number there is: not worth thousands of steps.
    if 0 < offered < servers and servers * math.log(servers / offered) - servers + offered > UNDERFLOW:
        return 0.0
    blocked = 1.0
    for count in range(1, servers + 1):
        blocked = _next_b(blocked, count, offered)
    return blocked


def erlang_c(servers: int, offered: float) -> float:
    """Probability that a request has to wait (M/M/c, Erlang's C): C = B / (1 − ρ·(1 − B)); 1 when a ≥ c.

    (Gross and Harris, 2.3, in the form with B, which is as stable as B is.)
    """
    return _c_from_b(erlang_b(servers, offered), servers, offered)


def wait_s_mean(servers: int, arrival_rate: float, service_time_s: float, *, scv_service: float = 1.0) -> float:
    """Mean seconds that a request waits, those that do not wait included: C·S / (c − a); infinite when a ≥ c.

    For service times that are not exponential multiplied by `variability` (Allen–Cunneen), which is exact for one
    server with Poisson arrivals (Pollaczek–Khinchine) and within some per cent for many.
    """
    offered = arrival_rate * service_time_s
    if offered >= servers:
        return math.inf
    waiting = erlang_c(servers, offered)
    return waiting * service_time_s / (servers - offered) * variability(scv_service)


def wait_s_quantile(
    servers: int, arrival_rate: float, service_time_s: float, quantile: float, *, scv_service: float = 1.0
) -> float:
    """Seconds that the share `quantile` of requests do not wait longer than; infinite when a ≥ c.

    P(W > t) = C·exp(−(c − a)·t/S), solved for t (Gross and Harris, 2.3). Who waits, waits on average S/(c − a); for
    other service times this mean is multiplied by `variability`, the shape being kept.
    """
    offered = arrival_rate * service_time_s
    if offered >= servers:
        return math.inf
    waiting = erlang_c(servers, offered)
    return _quantile(waiting, servers, offered, service_time_s * variability(scv_service), quantile)


def variability(scv_service: float, scv_arrivals: float = 1.0) -> float:
    """The Allen–Cunneen factor (Ca² + Cs²)/2 on the waiting time of M/M/c.

    Ca², Cs²: squared coefficients of variation (variance over squared mean) of the times between arrivals and of the
    service times. 1 for exponential ones; 1/2 when every request takes equally long and arrivals are Poisson.
    """
    if scv_service < 0 or scv_arrivals < 0:
        raise ValueError(f"expected squared coefficients of at least 0, got {scv_service} and {scv_arrivals}")
    return (scv_arrivals + scv_service) / 2


def servers_needed(
    arrival_rate: float, service_time_s: float, objective: Objective, *, scv_service: float = 1.0
) -> int:
    """The fewest places c (at least 1) with ρ ≤ `utilization_max`, ρ < 1, and the quantile of the wait in its bound.

    One pass of the recursion of B: its cost grows with c, about 0.1 µs for each. Raises ValueError beyond SERVERS_MAX.
    """
    offered = arrival_rate * service_time_s
    _check(0, offered)
    scale_s = service_time_s * variability(scv_service)
    for servers, blocked in _blocked_by_servers(offered):
        if offered < servers and offered <= servers * objective.utilization_max:
            waiting = _c_from_b(blocked, servers, offered)
            if _quantile(waiting, servers, offered, scale_s, objective.quantile) <= objective.wait_s_max:
                return servers
    raise ValueError(f"more than {SERVERS_MAX} servers for {offered:g} erlangs: are the units right?")


def _blocked_by_servers(offered: float) -> Iterator[tuple[int, float]]:
    """(c, B(c, a)) for c = 1, 2, …"""
    blocked = 1.0
    for count in range(1, SERVERS_MAX + 1):
        blocked = _next_b(blocked, count, offered)
        yield count, blocked


def _next_b(blocked: float, count: int, offered: float) -> float:
    return offered * blocked / (count + offered * blocked)


def _c_from_b(blocked: float, servers: int, offered: float) -> float:
    if offered >= servers:
        return 1.0
    utilization = offered / servers
    return blocked / (1.0 - utilization * (1.0 - blocked))


def _quantile(waiting: float, servers: int, offered: float, scale_s: float, quantile: float) -> float:
    """`scale_s` is S times the variability factor."""
    if waiting <= 1.0 - quantile:
        return 0.0
    return math.log(waiting / (1.0 - quantile)) * scale_s / (servers - offered)


def _check(servers: int, offered: float) -> None:
    if not 0 <= servers <= SERVERS_MAX or not 0 <= offered < math.inf:
        raise ValueError(f"expected 0 to {SERVERS_MAX} servers and a finite load, got {servers} and {offered}")
