"""One queue in front of one or many servers, by Kendall's names: arrivals / service / servers (/ room).

Symbols: λ `arrival_rate` (requests a second), S `service_time_s`, c `servers`, K `room` (requests that are served or
wait at most), ρ = λ·S/c, scv: squared coefficient of variation of service (Cs²) or arrivals (Ca²). M is exponential
(Poisson arrivals), D always alike, G anything with this mean and scv. First come, first served where nothing else is
said. Pure; every function raises `Unstable` where a queue without a bound would grow for ever.

Sources: D. Gross, C. Harris, "Fundamentals of Queueing Theory" (2.2–2.5 M/M/…, 5.1 M/G/1); A. O. Allen, "Probability,
Statistics and Queueing Theory" (1990, 5.3) for Allen–Cunneen; G. P. Cosmetatos, "Some approximate equilibrium results
for the multi-server queue (M/G/r)" (1976); L. Kleinrock, "Queueing Systems II" (1976, 4.4) for processor sharing; J. W.
Cohen, "The multiple phase service network with generalized processor sharing" (1979) for several processors.
Read next: `erlang` for B and C themselves, `network` for several queues.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from colonnade.planning import transform
from colonnade.planning.erlang import erlang_b, erlang_c, variability
from colonnade.planning.errors import Unstable


@dataclass(frozen=True, slots=True)
class Queue:
    """What a steady load finds, on average. `response_s_mean` = wait + service; L = λ·T holds for both pairs."""

    utilization: float
    delayed: float
    """Share of requests that have to wait at all; of those that are let in, where there is no room for all."""
    wait_s_mean: float
    response_s_mean: float
    waiting_mean: float
    """Requests in the queue."""
    present_mean: float
    """Requests in queue and service."""
    lost: float = 0.0
    """Share of requests that find no room."""


def mm1(arrival_rate: float, service_time_s: float) -> Queue:
    """M/M/1: W = ρ·S/(1 − ρ). (Gross and Harris, 2.2.)"""
    return mmc(arrival_rate, service_time_s, 1)


def mmc(arrival_rate: float, service_time_s: float, servers: int) -> Queue:
    """M/M/c: W = C·S/(c − a), with Erlang's C. (Gross and Harris, 2.3.)"""
    return ggc(arrival_rate, service_time_s, servers, scv_service=1.0)


def mmck(arrival_rate: float, service_time_s: float, servers: int, room: int) -> Queue:
    """M/M/c/K: who finds K requests inside is lost. K = c is Erlang's loss system (B), K = ∞ is M/M/c.

    From B(c, a), so as stable as that is: p_c = B/(1 + B·Σρ^j), j = 1 … K−c, and p_K = p_c·ρ^(K−c). Never unstable.
    (Gross and Harris, 2.4.) `wait_s_mean` is of those that are let in.
    """
    if room < servers:
        raise ValueError(f"expected room for at least the {servers} in service, got {room}")
    states = _States.of(servers, arrival_rate * service_time_s, room)
    let_in = arrival_rate * (1 - states.lost)
    waiting = states.waiting_mean
    busy = let_in * service_time_s
    wait_s = waiting / let_in if let_in > 0 else 0.0
    return Queue(
        utilization=busy / servers,
        delayed=min(1.0, states.has_to_wait / (1 - states.lost)) if states.lost < 1 else 0.0,
        wait_s_mean=wait_s,
        response_s_mean=wait_s + service_time_s,
        waiting_mean=waiting,
        present_mean=waiting + busy,
        lost=states.lost,
    )


def mmc_loss(arrival_rate: float, service_time_s: float, servers: int) -> Queue:
    """M/M/c/c: nobody waits, the share B is lost (Erlang, 1917). Holds for any service time with this mean."""
    return mmck(arrival_rate, service_time_s, servers, servers)


def mg1(arrival_rate: float, service_time_s: float, scv: float) -> Queue:
    """M/G/1: W = ρ·S·(1 + Cs²)/(2·(1 − ρ)), exact. (Pollaczek 1930, Khinchine 1932; Gross and Harris, 5.1.)"""
    return ggc(arrival_rate, service_time_s, 1, scv_service=scv)


def md1(arrival_rate: float, service_time_s: float) -> Queue:
    """M/D/1: half the wait of M/M/1, exact."""
    return mg1(arrival_rate, service_time_s, 0.0)


def ggc(
    arrival_rate: float, service_time_s: float, servers: int, *, scv_service: float = 1.0, scv_arrivals: float = 1.0
) -> Queue:
    """G/G/c: the wait of M/M/c times (Ca² + Cs²)/2 (Allen–Cunneen).

    Exact for M/M/c and M/G/1. Otherwise an approximation, best in heavy traffic: `allen_cunneen_error` says how far off
    it is for Poisson arrivals. It knows two moments of each distribution; queues are made by the rest of it, too.
    """
    offered = stable(arrival_rate, service_time_s, servers)
    waits = erlang_c(servers, offered)
    factor = variability(scv_service, scv_arrivals)
    wait_s = waits * service_time_s / (servers - offered) * factor
    return Queue(
        utilization=offered / servers,
        delayed=waits,
        wait_s_mean=wait_s,
        response_s_mean=wait_s + service_time_s,
        waiting_mean=arrival_rate * wait_s,
        present_mean=arrival_rate * wait_s + offered,
    )


def allen_cunneen_error(servers: int, utilization: float, scv_service: float) -> float:
    """How far `ggc` is off for Poisson arrivals, relative to the better approximation: negative where the truth waits
    longer than Allen–Cunneen says.

    Better: W ≈ Cs²·W(M/M/c) + (1 − Cs²)·W(M/D/c) for Cs² ≤ 1, with W(M/D/c) by Cosmetatos (1976). Service times that
    all take equally long in many half-idle servers are the worst case: there the wait is tiny, and Allen–Cunneen calls
    it smaller still (c = 10, ρ = 0.5: 24 % too short; ρ = 0.9: 3 %). For Cs² > 1 the third moment decides, and this
    gives the usual direction only.
    """
    if servers < 1 or not 0 < utilization < 1:
        raise ValueError(f"expected a server and a utilization between 0 and 1, got {servers}, {utilization}")
    better = scv_service + (1 - scv_service) * mdc_factor(servers, utilization)
    return variability(scv_service) / better - 1 if better > 0 else math.inf


def mdc_factor(servers: int, utilization: float) -> float:
    """W(M/D/c)/W(M/M/c) ≈ ½·(1 + (1 − ρ)·(c − 1)·(√(4 + 5c) − 2)/(16·ρ·c)), at most 1. (Cosmetatos 1976.)

    Within 1.2 % of the exact value for ρ ≥ 0.5 and up to 20 servers, within 15 % for ρ = 0.3 (tested there).
    """
    correction = (1 - utilization) * (servers - 1) * (math.sqrt(4 + 5 * servers) - 2) / (16 * utilization * servers)
    return min(1.0, (1 + correction) / 2)


def ps(arrival_rate: float, service_time_s: float, servers: int = 1) -> Queue:
    """M/G/c under processor sharing: all present are served at once, each by one server at most, all by c together.

    The mean is that of M/M/c whatever the distribution of service (insensitivity: Kleinrock 4.4 for c = 1, Cohen 1979).
    `delayed` is the share that begins slower than alone; `wait_s_mean` what sharing adds to the service time.
    """
    return mmc(arrival_rate, service_time_s, servers)


def ps_stretch(utilization: float, servers: int = 1) -> float:
    """T(x)/x, how many times longer a request takes than alone, on average: 1/(1 − ρ) for one server.

    Exact for one server whatever the size x (Kleinrock 4.4); for several on average over all sizes, as `ps` has it.
    """
    if not 0 <= utilization < 1:
        raise Unstable(utilization)
    offered = utilization * servers
    return 1 + erlang_c(servers, offered) / (servers - offered)


def mm1_ps_variance_s2(arrival_rate: float, service_time_s: float, size_s: float) -> float:
    """Var T(x) of a request of size x in M/M/1-PS, s²: 2ρSx/(1−ρ)³ − 2ρS²/(1−ρ)⁴·(1 − e^(−(1−ρ)x/S)).

    (E. Coffman, R. Muntz, H. Trotter, "Waiting time distributions for processor-sharing systems", 1970.)
    """
    idle = 1 - stable(arrival_rate, service_time_s, 1)
    busy = 1 - idle
    return 2 * busy * service_time_s * size_s / idle**3 + 2 * busy * service_time_s**2 / idle**4 * math.expm1(
        -idle * size_s / service_time_s
    )


def mm1_response_s_quantile(arrival_rate: float, service_time_s: float, quantile: float) -> float:
    """T is exponential in M/M/1: −ln(1 − q)·S/(1 − ρ). (Gross and Harris, 2.2.)"""
    idle = 1 - stable(arrival_rate, service_time_s, 1)
    return -math.log(1 - quantile) * service_time_s / idle


def mg1_wait_s_quantile(arrival_rate: float, service_time_s: float, scv: float, quantile: float) -> float:
    """Of the wait in M/G/1 with a gamma service time, by Pollaczek–Khinchine's transform: exact."""
    if 1 - stable(arrival_rate, service_time_s, 1) >= quantile:
        return 0.0
    time = transform.gamma(service_time_s, scv)
    wait = transform.waiting_of_mg1(arrival_rate, time, service_time_s)
    return transform.quantile_s(wait, quantile, mg1(arrival_rate, service_time_s, scv).wait_s_mean)


def response_s_quantile(
    arrival_rate: float,
    service_time_s: float,
    servers: int,
    quantile: float,
    *,
    scv_service: float = 1.0,
    scv_arrivals: float = 1.0,
) -> float:
    """Of wait and service together in G/G/c: the wait is 0 or exponential (as in M/M/c, with Allen–Cunneen's mean), the
    service gamma, and the two are independent. Exact for M/M/c; for others as good as `ggc`."""
    queue = ggc(arrival_rate, service_time_s, servers, scv_service=scv_service, scv_arrivals=scv_arrivals)
    wait: transform.Transform = transform.nothing
    if queue.delayed > 0:
        wait = transform.delayed(queue.delayed, transform.exponential(queue.wait_s_mean / queue.delayed))
    both = transform.total((wait, transform.service(service_time_s, scv_service)))
    return transform.quantile_s(both, quantile, queue.response_s_mean)


def mmck_wait_s_quantile(arrival_rate: float, service_time_s: float, servers: int, room: int, quantile: float) -> float:
    """Of the wait of those that are let in. Who finds j waiting waits for j + 1 departures, each after S/c on average:
    a mixture of Erlang distributions, weighted by ρ^j."""
    queue = mmck(arrival_rate, service_time_s, servers, room)
    if queue.delayed <= 1 - quantile:
        return 0.0
    states = _States.of(servers, arrival_rate * service_time_s, room)
    # Those that wait find 0 … n−1 waiting: all powers but the last.
    found = (states.none, *states.powers[:-1])
    wanted = (1 - quantile) / queue.delayed * math.fsum(found)
    pace_s = service_time_s / servers
    low, high = 0.0, 1.0
    while _erlang_tails(found, high) > wanted:
        low, high = high, 2 * high
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if _erlang_tails(found, middle) > wanted else (low, middle)
    return (low + high) / 2 * pace_s


def stable(arrival_rate: float, service_time_s: float, servers: int) -> float:
    """a = λ·S; raises Unstable when it is not below c."""
    if not (arrival_rate >= 0 and service_time_s >= 0 and servers >= 1):
        raise ValueError(
            f"expected a rate and a time of at least 0 and a server, got {arrival_rate}, {service_time_s}, {servers}"
        )
    offered = arrival_rate * service_time_s
    if offered >= servers:
        raise Unstable(offered / servers, arrival_rate=arrival_rate, capacity=servers / service_time_s)
    return offered


@dataclass(frozen=True, slots=True)
class _States:
    """M/M/c/K from p_c on: p_(c+j) = `full` · `powers[j−1]`, j = 1 … K−c, and p_c = `full` · `none`.

    The powers are ρ^j, or for ρ > 1 ρ^(j−n), so that none overflows; `full` has the opposite factor.
    """

    full: float
    none: float
    powers: tuple[float, ...]

    @staticmethod
    def of(servers: int, offered: float, room: int) -> _States:
        extra, ratio = room - servers, offered / servers
        shift = -extra if ratio > 1 else 0
        powers = tuple(ratio ** (j + shift) for j in range(1, extra + 1))
        none = ratio**shift
        blocked = erlang_b(servers, offered)
        return _States(blocked / (none + blocked * math.fsum(powers)) if blocked > 0 else 0.0, none, powers)

    @property
    def lost(self) -> float:
        """p_K: an arrival finds what an observer sees (PASTA)."""
        return self.full * (self.powers[-1] if self.powers else self.none)

    @property
    def has_to_wait(self) -> float:
        """p_c + … + p_(K−1)."""
        return self.full * math.fsum((self.none, *self.powers[:-1])) if self.powers else 0.0

    @property
    def waiting_mean(self) -> float:
        return self.full * math.fsum(j * power for j, power in enumerate(self.powers, 1))


def _erlang_tails(weights: tuple[float, ...], t: float) -> float:
    """Σ weights[j]·P(Erlang(j+1) > t), at pace 1: P(Erlang(j+1) > t) = P(Poisson(t) ≤ j), summed up as it grows."""
    below, found = 0.0, 0.0
    for j, weight in enumerate(weights):
        below += math.exp(j * math.log(t) - t - math.lgamma(j + 1)) if t > 0 else float(j == 0)
        found += weight * min(1.0, below)
    return found
