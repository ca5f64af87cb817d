"""One queue: published examples, exact results found another way, and what must hold whatever the numbers."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from colonnade.planning import queues
from colonnade.planning.erlang import erlang_b, wait_s_quantile
from colonnade.planning.errors import Unstable

utilizations = st.floats(min_value=0.001, max_value=0.99)
times = st.floats(min_value=1e-4, max_value=10.0)
scvs = st.floats(min_value=0.0, max_value=10.0)
counts = st.integers(min_value=1, max_value=300)


def test_a_hairdresser_as_in_the_worked_example() -> None:
    """Gross and Harris, "Fundamentals of Queueing Theory", Example 2.1: 5 customers an hour, 10 minutes each: 5 inside,
    25/6 waiting, 5/6 of them have to wait, 5/6 of an hour on average."""
    queue = queues.mm1(5, 1 / 6)
    assert queue.present_mean == pytest.approx(5)
    assert queue.waiting_mean == pytest.approx(25 / 6)
    assert queue.delayed == pytest.approx(5 / 6)
    assert queue.wait_s_mean == pytest.approx(5 / 6)


def test_an_eye_clinic_as_in_the_worked_example() -> None:
    """Gross and Harris, Example 2.2: M/M/3, 6 patients an hour, 20 minutes each: 8/9 wait, for 4/27 of an hour
    (8 min 53 s), 26/9 are inside."""
    queue = queues.mmc(6, 1 / 3, 3)
    assert queue.waiting_mean == pytest.approx(8 / 9)
    assert queue.wait_s_mean == pytest.approx(4 / 27)
    assert queue.present_mean == pytest.approx(26 / 9)


def test_an_inspection_station_as_in_the_worked_example() -> None:
    """Gross and Harris, Example 2.3 (M/M/3/7): a car a minute, 6 minutes each, room for four to wait: 3.09 wait, 6.06
    inside, 12.3 minutes, 30.4 cars an hour are turned away (with p₀ rounded to 0.00088)."""
    queue = queues.mmck(1, 6, 3, 7)
    assert queue.waiting_mean == pytest.approx(3.09, abs=0.005)
    assert queue.present_mean == pytest.approx(6.06, abs=0.005)
    assert queue.response_s_mean == pytest.approx(12.3, abs=0.06)
    assert 60 * queue.lost == pytest.approx(30.4, abs=0.12)


@pytest.mark.parametrize(("servers", "offered", "room"), [(1, 0.5, 4), (2, 1.9, 5), (3, 9.0, 8), (4, 4.0, 4)])
def test_a_bounded_queue_is_its_birth_and_death_chain(servers: int, offered: float, room: int) -> None:
    weights = [1.0]
    for n in range(1, room + 1):
        weights.append(weights[-1] * offered / min(n, servers))
    shares = [weight / sum(weights) for weight in weights]
    queue = queues.mmck(offered, 1.0, servers, room)
    assert queue.lost == pytest.approx(shares[-1])
    assert queue.present_mean == pytest.approx(sum(n * share for n, share in enumerate(shares)))
    assert queue.delayed == pytest.approx(sum(shares[servers:-1]) / (1 - shares[-1]))


def test_thousands_of_servers_overflow_nothing() -> None:
    assert 0 < queues.mmck(100_000, 0.1, 5_000, 6_000).lost == pytest.approx(0.5, abs=0.001)
    assert queues.mmck(10, 0.1, 5_000, 6_000).lost == 0
    assert queues.mmc(49_000, 0.1, 5_000).wait_s_mean > 0
    assert queues.mmck(4_999, 1.0, 5_000, 9_000).delayed == pytest.approx(
        queues.mmc(4_999, 1.0, 5_000).delayed, rel=0.03
    )


@given(utilizations, times)
def test_a_long_enough_room_is_no_bound(utilization: float, time_s: float) -> None:
    utilization = min(utilization, 0.9)
    free, bounded = (
        queues.mmc(3 * utilization / time_s, time_s, 3),
        queues.mmck(3 * utilization / time_s, time_s, 3, 600),
    )
    assert bounded.wait_s_mean == pytest.approx(free.wait_s_mean, rel=1e-6, abs=1e-12)
    assert bounded.delayed == pytest.approx(free.delayed, rel=1e-6)


@given(counts, st.floats(min_value=0.0, max_value=500.0))
def test_no_room_to_wait_is_erlang_s_loss(servers: int, offered: float) -> None:
    queue = queues.mmc_loss(offered, 1.0, servers)
    assert queue.lost == pytest.approx(erlang_b(servers, offered))
    assert (queue.delayed, queue.wait_s_mean) == (0, 0)


@given(st.integers(1, 30), st.floats(0.1, 3.0), st.integers(0, 60))
def test_more_room_loses_less_and_waits_longer(servers: int, ratio: float, extra: int) -> None:
    small = queues.mmck(ratio * servers, 1.0, servers, servers + extra)
    large = queues.mmck(ratio * servers, 1.0, servers, servers + extra + 1)
    assert large.lost <= small.lost + 1e-12
    assert large.wait_s_mean >= small.wait_s_mean - 1e-9


def test_a_queue_with_one_server_and_equal_services_is_its_embedded_chain() -> None:
    """M/D/1 at ρ = 0.9: Lq = ρ²/(2(1 − ρ)) = 4.05, and a chain says the same."""
    queue = queues.md1(0.9, 1.0)
    assert queue.waiting_mean == pytest.approx(4.05)
    assert queue.wait_s_mean == pytest.approx(4.5)
    assert queues.md1(0.7, 1.0).wait_s_mean == pytest.approx(embedded_wait(1, 0.7), rel=1e-6)


@pytest.mark.parametrize(
    ("servers", "utilization", "within"),
    [(2, 0.5, 0.012), (5, 0.5, 0.012), (5, 0.7, 0.012), (10, 0.5, 0.012), (10, 0.9, 0.012), (5, 0.3, 0.15)],
)
def test_the_error_of_allen_and_cunneen_is_as_said(servers: int, utilization: float, within: float) -> None:
    """Against M/D/c solved exactly (see `embedded_wait`), where the formula is worst."""
    exact = embedded_wait(servers, utilization)
    said = queues.allen_cunneen_error(servers, utilization, 0.0)
    approximate = queues.ggc(utilization * servers, 1.0, servers, scv_service=0.0).wait_s_mean
    assert approximate / exact - 1 == pytest.approx(said, abs=within)
    assert said < 0


def test_where_allen_and_cunneen_are_exact_no_error_is_said() -> None:
    assert queues.allen_cunneen_error(1, 0.7, 0.0) == pytest.approx(0)
    assert queues.allen_cunneen_error(8, 0.7, 1.0) == pytest.approx(0)
    with pytest.raises(ValueError, match="utilization"):
        queues.allen_cunneen_error(1, 1.0, 0.0)


@given(counts, utilizations, times, scvs)
def test_what_holds_for_every_queue(servers: int, utilization: float, time_s: float, scv: float) -> None:
    rate = utilization * servers / time_s
    queue = queues.ggc(rate, time_s, servers, scv_service=scv)
    assert queue.utilization == pytest.approx(utilization)
    assert queue.present_mean == pytest.approx(rate * queue.response_s_mean)  # Little
    assert 0 <= queue.delayed <= 1
    busier = queues.ggc(min(rate * 1.005, 0.999 * servers / time_s), time_s, servers, scv_service=scv)
    assert busier.wait_s_mean >= queue.wait_s_mean
    pooled = queues.mmc(rate, time_s, servers).response_s_mean
    apart = queues.mmc(rate / servers, time_s, 1).response_s_mean
    assert pooled <= apart * (1 + 1e-9)


@given(times, scvs)
def test_limits_of_the_load(time_s: float, scv: float) -> None:
    assert queues.mg1(0, time_s, scv).response_s_mean == pytest.approx(time_s)
    assert queues.mg1(0.999_999 / time_s, time_s, max(scv, 0.1)).response_s_mean > 1_000 * time_s


def test_processor_sharing_does_not_care_how_work_varies() -> None:
    """Kleinrock II, 4.4: T(x) = x/(1 − ρ). Over all sizes Var T = S²(2 + ρ)/((2 − ρ)(1 − ρ)²) (Coffman and others,
    1970), by the law of total variance from their Var T(x), here summed numerically."""
    rate, time_s = 0.6, 1.0
    assert queues.ps(rate, time_s).response_s_mean == pytest.approx(time_s / 0.4)
    assert queues.ps_stretch(0.6) == pytest.approx(1 / 0.4)
    assert queues.ps_stretch(0.0, 4) == 1
    step = 0.001
    sizes = [step * (i + 0.5) for i in range(40_000)]
    within = sum(math.exp(-x) * step * queues.mm1_ps_variance_s2(rate, time_s, x) for x in sizes)
    between = (time_s / 0.4) ** 2
    assert within + between == pytest.approx(2.6 / 1.4 / 0.4**2, rel=1e-4)


def test_percentiles_of_one_server() -> None:
    assert queues.mm1_response_s_quantile(0.5, 1.0, 0.95) == pytest.approx(-2 * math.log(0.05))
    assert queues.response_s_quantile(0.5, 1.0, 1, 0.95) == pytest.approx(-2 * math.log(0.05), rel=1e-4)
    assert queues.mg1_wait_s_quantile(0.8, 1.0, 1.0, 0.99) == pytest.approx(
        wait_s_quantile(1, 0.8, 1.0, 0.99), rel=1e-4
    )
    assert queues.mg1_wait_s_quantile(0.005, 1.0, 1.0, 0.99) == 0


def test_a_percentile_of_equal_services_as_erlang_gave_it() -> None:
    """M/D/1 (Erlang 1909): P(W ≤ t) = (1 − ρ)·Σ (−ρ(t − k))^k/k!·e^(ρ(t − k)), k = 0 … ⌊t⌋; exact for few terms."""
    rate, t = 0.8, 5.3
    below = (1 - rate) * sum(
        (-rate * (t - k)) ** k / math.factorial(k) * math.exp(rate * (t - k)) for k in range(int(t) + 1)
    )
    assert queues.mg1_wait_s_quantile(rate, 1.0, 0.0, below) == pytest.approx(t, rel=1e-3)


@given(st.integers(1, 40), st.floats(0.3, 0.95), st.floats(0.5, 0.999))
@settings(max_examples=25)
def test_percentiles_with_much_room_are_those_without_bound(servers: int, utilization: float, share: float) -> None:
    bounded = queues.mmck_wait_s_quantile(utilization * servers, 1.0, servers, servers + 700, share)
    assert bounded == pytest.approx(wait_s_quantile(servers, utilization * servers, 1.0, share), rel=1e-4, abs=1e-9)


def test_an_unstable_queue_says_by_how_much() -> None:
    with pytest.raises(Unstable, match=r"100/s come and at most 50/s can be served .*grows by 50 requests"):
        queues.mmc(100, 0.1, 5)
    with pytest.raises(Unstable, match="100%"):
        queues.ps_stretch(1.0)


@pytest.mark.parametrize(
    "wrong", [lambda: queues.mmc(-1, 1, 1), lambda: queues.mmc(1, 1, 0), lambda: queues.mmck(1, 1, 3, 2)]
)
def test_what_makes_no_sense_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="expected"):
        wrong()  # type: ignore[operator]


def embedded_wait(servers: int, utilization: float) -> float:
    """The mean wait in M/D/c with services of 1 s, exactly, by what is inside at t and at t + 1: whoever is served at t
    has left by t + 1, nobody else has, and Poisson(λ) have come (C. Crommelin, 1932). Iterated until it stands."""
    rate = utilization * servers
    states = int(rate + 12 * math.sqrt(rate) / (1 - utilization) + 30)
    come = [math.exp(k * math.log(rate) - rate - math.lgamma(k + 1)) for k in range(states)]
    come = [share for share in come if share > 1e-14 or share == max(come)]
    first = next(k for k in range(states) if math.exp(k * math.log(rate) - rate - math.lgamma(k + 1)) > 1e-14)
    inside = [1.0] + [0.0] * (states - 1)
    mean = -1.0
    while True:
        left = [sum(inside[: servers + 1]), *inside[servers + 1 :]]
        inside = [0.0] * states
        for here, share in enumerate(left):
            if share > 1e-14:
                for k, probability in enumerate(come[: max(0, states - here - first)]):
                    inside[here + first + k] += share * probability
        now = sum(n * share for n, share in enumerate(inside))
        if abs(now - mean) < 1e-9 * now:
            return (now - rate) / rate
        mean = now
