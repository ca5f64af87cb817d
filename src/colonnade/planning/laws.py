"""The operational laws: what holds for any system that is measured for long enough, whatever its distributions.

Symbols: λ or X requests a second, S seconds of service of a visit, V visits for each request, D = V·S seconds of
service for each request, c servers, T seconds in the system, L requests in the system, N users, Z seconds that a user
thinks.

Sources: J. D. C. Little, "A Proof for the Queuing Formula L = λW" (1961); P. Denning, J. Buzen, "The Operational
Analysis of Queueing Network Models" (1978), whose names the laws have here; E. Lazowska and others, "Quantitative
System Performance" (1984, 3 and 5) for the bounds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable


def utilization(arrival_rate: float, service_time_s: float, servers: int = 1) -> float:
    """ρ = λ·S/c, the share of the servers that is busy on average (utilisation law). From 1 on nothing is stable."""
    if arrival_rate < 0 or service_time_s < 0 or servers < 1:
        raise ValueError(
            f"expected a rate and a time of at least 0 and a server, got {arrival_rate}, {service_time_s}, {servers}"
        )
    return arrival_rate * service_time_s / servers


def present_mean(arrival_rate: float, time_s_mean: float) -> float:
    """L = λ·T, requests that are inside on average (Little's law)."""
    return arrival_rate * time_s_mean


def time_s_mean(present: float, arrival_rate: float) -> float:
    """T = L/λ, by the same law: how long they stay, from how many are seen."""
    if arrival_rate <= 0:
        raise ValueError(f"expected arrivals, got a rate of {arrival_rate}")
    return present / arrival_rate


def demand_s(busy_share: float, throughput: float) -> float:
    """D = U/X, seconds of service for each request, from a busy share (or busy servers) and a throughput: the service
    demand law."""
    if throughput <= 0:
        raise ValueError(f"expected a throughput above 0, got {throughput}")
    return busy_share / throughput


def visits_rate(visits: float, throughput: float) -> float:
    """X_k = V_k·X, visits a second to one station (forced flow law)."""
    return visits * throughput


def response_s_of_users(users: float, throughput: float, think_s: float = 0.0) -> float:
    """T = N/X − Z, of users who wait for each answer and then think (interactive response time law)."""
    if throughput <= 0:
        raise ValueError(f"expected a throughput above 0, got {throughput}")
    return users / throughput - think_s


def throughput_max(demands_s: Iterable[float]) -> float:
    """X ≤ 1/max(D): the busiest station is the pace of all (bottleneck law). D of a station with c servers is D/c."""
    longest = max(demands_s, default=0.0)
    return math.inf if longest == 0 else 1 / longest


def throughput_bound(users: float, demands_s: Iterable[float], think_s: float = 0.0) -> float:
    """X(N) ≤ min(1/max(D), N/(ΣD + Z)): no more than the bottleneck, no more than if nobody waited."""
    demands = list(demands_s)
    alone_s = sum(demands) + think_s
    return min(throughput_max(demands), users / alone_s if alone_s > 0 else math.inf)


def users_at_knee(demands_s: Iterable[float], think_s: float = 0.0) -> float:
    """N* = (ΣD + Z)/max(D): where the two bounds on the throughput meet, and waiting begins for certain."""
    demands = list(demands_s)
    longest = max(demands, default=0.0)
    if longest <= 0:
        raise ValueError("expected a station with a demand above 0")
    return (sum(demands) + think_s) / longest
