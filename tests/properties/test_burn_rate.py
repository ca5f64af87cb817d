"""Whatever happens when: a ledger loses no request, whichever window one asks for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from colonnade.observe.burn_rate import ALARMS, COARSE_STEP_S, FINE_KEPT_S, FINE_STEP_S, HOUR_S, Ledger, burn_rate

STEPS = st.lists(
    st.tuples(
        st.floats(min_value=0.5, max_value=4000),
        st.integers(min_value=0, max_value=1000),
        st.floats(min_value=0, max_value=1),
    ),
    max_size=60,
)


@given(steps=STEPS, window_s=st.sampled_from([w for alarm in ALARMS for w in (alarm.long_s, alarm.short_s)]))
def test_a_window_has_what_came_in_it_and_at_most_a_step_more(
    steps: list[tuple[float, int, float]], window_s: float
) -> None:
    ledger, at_s = Ledger(1_000_000.0), 1_000_000.0
    added = []
    for gap_s, requests, share in steps:
        at_s += gap_s
        bad = float(int(requests * share))
        ledger.add(at_s, requests, bad)
        added.append((at_s, requests, bad))
    spent = ledger.spent(at_s, window_s)
    step_s = FINE_STEP_S if window_s <= FINE_KEPT_S - HOUR_S else COARSE_STEP_S
    inside = [each for each in added if each[0] > at_s - window_s]
    # What lies before the window and after the last entry before it can be counted as well: a step, or a gap.
    before = [time_s for time_s, _, _ in added if time_s <= at_s - window_s]
    edge_s = (before[-1] if before else 1_000_000.0) - step_s
    around = [each for each in added if each[0] > edge_s]
    assert sum(each[1] for each in inside) <= spent.requests <= sum(each[1] for each in around)
    assert sum(each[2] for each in inside) <= spent.bad <= sum(each[2] for each in around)
    assert 0 <= spent.bad <= spent.requests
    rate = burn_rate(spent, 0.999)
    assert rate is None or 0 <= rate <= 1000.0001


@given(steps=STEPS)
def test_a_longer_window_never_has_fewer(steps: list[tuple[float, int, float]]) -> None:
    ledger, at_s = Ledger(0.0), 0.0
    for gap_s, requests, share in steps:
        at_s += gap_s
        ledger.add(at_s, requests, requests * share)
    fine = [ledger.spent(at_s, window_s).requests for window_s in (300.0, 1800.0, 3600.0, 6 * HOUR_S)]
    assert fine == sorted(fine)
    whole = ledger.spent(at_s, 1e9)
    assert whole.requests == sum(requests for _, requests, _ in steps)
