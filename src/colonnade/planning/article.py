"""The article's own formulas, by name and as they stand there, with its examples; and what is wrong with each.

They are here to be compared with, never to be planned by: `judge` puts beside each example what queueing theory says.
Symbols: N servers, R requests a second, t_i seconds of one request at server i, T response time, P requests a second.

Source: the article that the project answers to, on the scalability and fault tolerance of web applications; row 11 of
the requirements. Where its printed result is not what its own formula gives, the slip is told.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from colonnade.planning.errors import Unstable
from colonnade.planning.laws import utilization
from colonnade.planning.queues import ggc


def balanced_response_s(servers: int, rate: float, times_s: Sequence[float]) -> float:
    """T = N/R + mean(t_i): the response time behind a load balancer.

    Wrong as a model: it grows with the number of servers, falls with the load, and knows no queue.
    """
    return servers / rate + sum(times_s) / len(times_s)


def server_response_s(servers: int, rate: float, time_s: float) -> float:
    """T_i = N/R + t_i, of one server."""
    return servers / rate + time_s


def scaled_throughput(rate: float, servers: int, times_s: Sequence[float]) -> float:
    """P = R·N/max(t_i): the throughput when scaled out.

    Wrong as a model: a throughput cannot grow with what arrives beyond what is served, and the units are requests a
    second, squared. What servers can serve at most is N/t.
    """
    return rate * servers / max(times_s)


def decomposed_response_s(times_s: Sequence[float]) -> float:
    """T = mean(T_si): the response time of a system of services.

    Wrong as a model: a request that passes through all of them takes the sum.
    """
    return sum(times_s) / len(times_s)


def decomposed_throughput(rates: Sequence[float]) -> float:
    """P = ΣP_si: the throughput of a system of services.

    Wrong as a model: a chain runs at the pace of its slowest member, min(P_si).
    """
    return sum(rates)


@dataclass(frozen=True, slots=True)
class Example:
    """One of the article's three examples, in its own numbers."""

    name: str
    formula: str
    inputs: str
    printed: str
    """The result as the article prints it."""
    computed: float
    """What its own formula gives."""
    unit: str
    slip: str
    """What differs between the two; empty when nothing does."""
    theory: str
    """What holds instead, in a sentence with its numbers."""
    flaw: str
    """What is wrong with the formula itself."""


SERVERS, RATE, TIME_S = 5, 100.0, 0.1
"""Its first example: five servers, 100 requests a second, 0.1 s each."""

SCALED_RATE, SCALED_SERVERS = 500.0, 5

CHAIN_TIMES_S = (0.05, 0.1, 0.2)
CHAIN_RATES = (1000.0, 500.0, 200.0)


def examples() -> tuple[Example, ...]:
    """All of them, in the article's order."""
    return (
        Example(
            name="response time behind a balancer",
            formula="T = N/R + mean(t_i)",
            inputs="N = 5, R = 100/s, t_i = 0.1 s",
            printed="0.15 s",
            computed=balanced_response_s(SERVERS, RATE, [TIME_S] * SERVERS),
            unit="s",
            slip="",
            theory=_first_theory(),
            flaw="response time does not grow with the number of servers, and it does grow with the load",
        ),
        Example(
            name="throughput when scaled out",
            formula="P = R·N/max(t_i)",
            inputs="R = 500/s, N = 5, max(t_i) = 0.1 s",
            printed="2,500/s",
            computed=scaled_throughput(SCALED_RATE, SCALED_SERVERS, [TIME_S]),
            unit="/s",
            slip="its own formula gives 25,000, ten times what is printed",
            theory=_second_theory(),
            flaw="throughput is not multiplied by what arrives: it is the lesser of what comes and what can be served",
        ),
        Example(
            name="response time of a decomposed system",
            formula="T = mean(T_si)",
            inputs="T_si = 0.05, 0.1, 0.2 s",
            printed="0.1 s",
            computed=decomposed_response_s(CHAIN_TIMES_S),
            unit="s",
            slip="the mean is 0.1167 s, not 0.1 s",
            theory=f"a request that passes through all three takes {math.fsum(CHAIN_TIMES_S):g} s, and longer when it "
            "has to wait",
            flaw="a chain of services adds its times",
        ),
        Example(
            name="throughput of a decomposed system",
            formula="P = ΣP_si",
            inputs="P_si = 1,000, 500, 200/s",
            printed="1,700/s",
            computed=decomposed_throughput(CHAIN_RATES),
            unit="/s",
            slip="",
            theory=f"the slowest of the three sets the pace: {min(CHAIN_RATES):g}/s",
            flaw="a chain of services runs at the pace of its slowest member",
        ),
    )


def _first_theory() -> str:
    """Of the first example: as it stands, and with the fewest servers that carry it."""
    busy = utilization(RATE, TIME_S, SERVERS)
    capacity = SERVERS / TIME_S
    enough = math.floor(RATE * TIME_S) + 1
    better = ggc(RATE, TIME_S, enough, scv_service=0.0)
    return (
        f"{SERVERS} servers serve {capacity:g}/s at most, so at {RATE:g}/s ρ = {busy:g} and the queue grows by "
        f"{RATE - capacity:g} requests every second; from {enough} servers on there is a steady state "
        f"(there {better.response_s_mean:.2g} s on average)"
    )


def _second_theory() -> str:
    capacity = SCALED_SERVERS / TIME_S
    try:
        ggc(SCALED_RATE, TIME_S, SCALED_SERVERS)
    except Unstable as error:
        return (
            f"{SCALED_SERVERS} servers at {TIME_S:g} s serve {capacity:g}/s, whatever arrives; at {SCALED_RATE:g}/s "
            f"ρ = {error.utilization:g}"
        )
    raise AssertionError("the article's second example is unstable")
