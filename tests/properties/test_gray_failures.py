"""Sick replicas and shares: what must never happen, whatever is measured, and what must happen in the end.

The closed loop at the end is the gateway's own way of choosing (two draws by weight, the one with less to do) before
servers that share their processor, with weights that follow what is measured.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from colonnade.core.histogram import BOUNDS_MS, Histogram
from colonnade.gateway import adaptive
from colonnade.runtime.outlier_decision import REPLACED_WITHIN_S, Pool, Replacement, decide
from colonnade.runtime.outliers import Finding, Look, Seen, Sickness, find, see, share_bounds
from colonnade.runtime.state import ReplicaId
from colonnade.runtime.trends import FINE_S, History, expect_out_of_memory

# Outliers

FINDINGS = st.sampled_from([None, None, *(Finding(sickness, sickness.value) for sickness in Sickness)])


@given(data=st.data(), count=st.integers(1, 9))
@settings(max_examples=50)
def test_whatever_is_found_a_pool_is_never_emptied(data: st.DataObject, count: int) -> None:
    """Any findings: one at a time, a third in five minutes, and nobody while most look sick."""
    replicas = [ReplicaId("web", number) for number in range(1, count + 1)]
    past: list[Replacement] = []
    since: dict[ReplicaId, float] = {}
    now = 0.0
    for _ in range(20):
        now += data.draw(st.sampled_from([1.0, 5.0, 60.0, 200.0]))
        drawn = {replica: data.draw(FINDINGS) for replica in replicas}
        findings = {replica: finding for replica, finding in drawn.items() if finding is not None}
        since = {replica: since.get(replica, now) for replica in findings}
        is_whole = data.draw(st.booleans())
        pool = Pool("web", [Seen(replica, ()) for replica in replicas], findings, since)
        decision = decide(pool, past, now, is_whole=is_whole)
        assert len(decision.actions) <= 1
        assert decision.message
        for action in decision.actions:
            assert is_whole
            assert action.id in findings
            assert count == 1 or 2 * len(findings) <= count
            past.append(Replacement(action.id, now))
    for index, first in enumerate(past):
        within = [one for one in past[index:] if one.at_s - first.at_s < REPLACED_WITHIN_S]
        assert len(within) <= max(1, count // 3)


@given(seed=st.integers(0, 10**6), rate=st.floats(0.2, 60), errors=st.floats(0, 0.3), spread=st.floats(0, 1.2))
@settings(max_examples=25)
def test_replicas_that_are_alike_are_not_told_apart(seed: int, rate: float, errors: float, spread: float) -> None:
    """Four replicas with the same mix of quick and slow pages and of errors: found sick, if ever, by chance only, and
    not for as long as it would have to last."""
    random = Random(seed)
    series = [alike(random, number, rate, errors, spread) for number in range(1, 5)]
    found = 0
    for end in range(20, 61, 4):
        pool = [see(one.id, one.looks[: end + 1]) for one in series]
        found = max(found, sum(find(one, pool) is not None for one in pool) and found + 1)
    assert found <= 1


def alike(random: Random, number: int, rate: float, errors: float, spread: float) -> Seen:
    counts = [0] * (len(BOUNDS_MS) + 1)
    failed = 0
    looks = []
    for second in range(61):
        looks.append(Look(float(second), Histogram(tuple(counts)), failed, 0, 1))
        for _ in range(int(rate) + (random.random() < rate % 1)):
            took_ms = 30 * random.lognormvariate(0, spread)
            counts[sum(took_ms >= bound for bound in BOUNDS_MS)] += 1
            failed += random.random() < errors
    return Seen(ReplicaId("web", number), looks)


@given(hits=st.integers(0, 500), more=st.integers(0, 500))
def test_the_bounds_of_a_share_hold_it(hits: int, more: int) -> None:
    low, high = share_bounds(hits, hits + more)
    share = hits / (hits + more) if hits + more else 0.5
    assert 0 <= low <= share + 1e-9
    assert share - 1e-9 <= high <= 1


# Trends


def is_ever_expected(
    level: Callable[[float], float], duration_s: float, noise: float, seed: int, *, from_s: float = 0.0
) -> bool:
    random = Random(seed)
    history = History()
    for step in range(int(duration_s / FINE_S)):
        at_s = step * FINE_S
        history = history.with_sample(at_s, 1e9 * (level(at_s) + random.uniform(-noise, noise)))
        if at_s >= from_s and expect_out_of_memory(ReplicaId("web", 1), history, 1e9) is not None:
            return True
    return False


@given(period_s=st.floats(2, 400), low=st.floats(0.05, 0.7), high=st.floats(0.05, 0.7), seed=st.integers(0, 99))
@example(period_s=47.0, low=0.6875, high=0.25, seed=0)
@settings(max_examples=12)
def test_a_saw_tooth_is_no_leak(period_s: float, low: float, high: float, seed: int) -> None:
    """From its second tooth on: a first rise that would reach the bound within a minute is what a leak looks like."""
    low, high = sorted((low, high))

    def level(at_s: float) -> float:
        return low + (high - low) * (at_s % period_s) / period_s

    assert not is_ever_expected(level, 1200, 0.004, seed, from_s=period_s + FINE_S)


@given(level=st.floats(0.05, 0.95), part=st.floats(0, 0.2), seed=st.integers(0, 9_999))
@settings(max_examples=12)
def test_flat_noise_is_no_leak(level: float, part: float, seed: int) -> None:
    """Noise of up to a fifth of what is left to the bound."""
    assert not is_ever_expected(lambda _: level, 1200, part * (1 - level), seed)


@given(tau_s=st.floats(3, 600), end=st.floats(0.1, 0.9), seed=st.integers(0, 99))
@settings(max_examples=12)
def test_a_warm_up_is_no_leak(tau_s: float, end: float, seed: int) -> None:
    assert not is_ever_expected(lambda at_s: end * (1 - 0.9 * math.exp(-at_s / tau_s)), 1800, 0.002, seed)


@given(full_s=st.floats(150, 3000), start=st.floats(0.05, 0.4), seed=st.integers(0, 99))
@settings(max_examples=12)
def test_a_steady_leak_is_always_seen(full_s: float, start: float, seed: int) -> None:
    assert is_ever_expected(lambda at_s: start + (1 - start) * at_s / full_s, full_s - 10, 0.002, seed)


# Shares, in a closed loop


@dataclass
class Machine:
    """Servers that take `service_s` for a request alone, and longer with more at once when they are out of processor:
    `together` of them at once take no longer than one."""

    service_s: list[float]
    places: int = 8
    together: float = 4.0
    factors: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.factors = [1.0] * len(self.service_s)
        self.served = [0] * len(self.service_s)
        self.sent = [0] * len(self.service_s)
        self.counts = [[0] * (len(BOUNDS_MS) + 1) for _ in self.service_s]
        self.looks: list[list[Histogram]] = [[] for _ in self.service_s]
        self.unheard_s = [0.0] * len(self.service_s)

    def pick(self, random: Random) -> int | None:
        free = [index for index, served in enumerate(self.served) if served < self.places]
        if not free:
            return None
        weights = [round(100 * factor) for factor in self.factors]
        one, two = random.choices(free, weights=[weights[index] for index in free], k=2)
        # As HAProxy compares them.
        return one if self.served[two] * weights[one] > self.served[one] * weights[two] else two

    def step(self) -> None:
        """What `sickness.py` does at the pace of the steps: the shortest span with enough answers, a minute at most."""
        measured = []
        for index, looks in enumerate(self.looks):
            looks.append(Histogram(tuple(self.counts[index])))
            spans = [looks[-1].since(looks[-1 - back]) for back in (3, 10, 30) if len(looks) > back]
            time_s = next((mean for span in spans if (mean := adaptive.mean_s(span)) is not None), None)
            self.unheard_s[index] = 0.0 if time_s is not None else self.unheard_s[index] + adaptive.STEP_EVERY_S
            measured.append(adaptive.Measured(index, self.factors[index], time_s, self.unheard_s[index]))
        for index, factor in adaptive.next_factors(measured).items():
            assert adaptive.FACTOR_FLOOR <= factor <= 1
            assert self.factors[index] * adaptive.STEP_DOWN <= factor <= self.factors[index] * adaptive.STEP_UP
            self.factors[index] = factor


def run(
    machine: Machine, rate_per_s: float, duration_s: float, random: Random, from_s: float = 0.0
) -> list[list[float]]:
    """Poisson arrivals for a while; returns the factors after each step."""
    events: list[tuple[float, int, int, float]] = [(from_s, 0, -1, 0.0)]
    waiting: list[float] = []
    number = 1
    step_at_s = from_s + adaptive.STEP_EVERY_S
    history = []

    def serve(index: int, now: float) -> None:
        nonlocal number
        machine.served[index] += 1
        machine.sent[index] += 1
        crowd = max(1.0, machine.served[index] / machine.together)
        number += 1
        took_s = machine.service_s[index] * crowd * random.lognormvariate(0, 0.4)
        heapq.heappush(events, (now + took_s, number, index, now))

    while events:
        now, _, index, began_s = heapq.heappop(events)
        while now >= step_at_s:
            machine.step()
            history.append(list(machine.factors))
            step_at_s += adaptive.STEP_EVERY_S
        if index < 0:
            if now < from_s + duration_s:
                number += 1
                heapq.heappush(events, (now + random.expovariate(rate_per_s), number, -1, 0.0))
                chosen = machine.pick(random)
                if chosen is None:
                    waiting.append(now)
                else:
                    serve(chosen, now)
            continue
        machine.served[index] -= 1
        machine.counts[index][sum((now - began_s) * 1000 >= bound for bound in BOUNDS_MS)] += 1
        if waiting:
            waiting.pop(0)
            serve(index, now)
    return history


LOADS = st.floats(40, 300)
"""Requests per second; four servers of 30 ms with room for four at once each carry about 500."""


@given(seed=st.integers(0, 10**6), rate=LOADS)
@settings(max_examples=4)
def test_equal_servers_keep_nearly_equal_shares(seed: int, rate: float) -> None:
    machine = Machine([0.03] * 4)
    history = run(machine, rate, 60.0, Random(seed))
    assert all(min(factors) >= 0.4 for factors in history), "noise never costs more than one step"
    assert sum(factors == [1.0] * 4 for factors in history) >= 0.8 * len(history)


@given(seed=st.integers(0, 10**6), rate=LOADS)
@settings(max_examples=3)
def test_a_slow_server_is_sent_little_stays_in_and_comes_back(seed: int, rate: float) -> None:
    machine = Machine([0.15, 0.03, 0.03, 0.03])
    history = run(machine, rate, 80.0, Random(seed))
    settled = [factors[0] for factors in history[15:]]
    assert max(settled) <= 0.2
    assert min(settled) >= adaptive.FACTOR_FLOOR
    sent = machine.sent[0] / sum(machine.sent)
    assert sent < 0.12, "the first ten seconds included"
    machine.service_s[0] = 0.03
    again = run(machine, rate, 160.0, Random(seed + 1), from_s=100.0)
    assert min(again[-1]) >= 0.6, again[-5:]


@given(seed=st.integers(0, 10**6), ratio=st.floats(1.0, 4.0))
@settings(max_examples=4)
def test_shares_settle_and_do_not_swing(seed: int, ratio: float) -> None:
    machine = Machine([0.03 * ratio, 0.03, 0.03, 0.03])
    history = run(machine, 150.0, 120.0, Random(seed))
    late = [factors[0] for factors in history[20:]]
    turns = sum((two - one) * (three - two) < 0 for one, two, three in zip(late, late[1:], late[2:], strict=False))
    assert turns <= len(late) // 4, late


def test_the_share_of_one_that_is_five_times_slower() -> None:
    machine = Machine([0.25, 0.05, 0.05, 0.05])
    run(machine, 50.0, 60.0, Random(5))
    machine.sent = [0] * 4
    run(machine, 50.0, 300.0, Random(6), from_s=100.0)
    assert machine.sent[0] / sum(machine.sent) == pytest.approx(0.007, abs=0.004)
