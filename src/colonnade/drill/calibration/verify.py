"""Puts what was predicted beside what was measured, and says when neither is to be believed. Pure.

Read next: `measure.py`, which sends the load.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence

from colonnade.drill.calibration.shot import Shot, usual
from colonnade.planning.by_routes import Part, times_of
from colonnade.planning.calibration import VISITORS, Verified
from colonnade.planning.errors import Unstable
from colonnade.planning.model import Load, SystemModel
from colonnade.planning.predict import predict

DOUBTS_MIN, DOUBTED_SHARE = 2, 0.2
"""From so many doubtful stretches on, and such a share of all, the whole is doubted."""

CHANGED_TOLD, CHANGED_SHARE = 0.05, 0.15
"""By which the last rounds may be slower or faster than the first: from the one on it is told, from the other on the
whole is doubted. What is predicted and what is measured have their share of it in them, both."""

Simulate = Callable[[SystemModel, Load], Mapping[str, float]]


def doubt_of(doubts: Sequence[str], shots_count: int) -> str:
    """What several stretches say against the whole: costs are taken from them, so what moves them moves every
    prediction. One stretch alone may be a coincidence."""
    if len(doubts) < max(DOUBTS_MIN, DOUBTED_SHARE * shots_count):
        return ""
    return (
        f"{len(doubts)} of {shots_count} stretches of load are doubtful (the last: {doubts[-1]}): measure again when "
        "nobody else uses the machine"
    )


def change_of(rounds: Sequence[Mapping[str, float]]) -> float:
    """By which share the same stretches answered more in the last third of the rounds than in the first: the median
    over those in both; 0 without any. `rounds`: of each, what was sent → answers a second."""
    third = max(1, len(rounds) // 3)
    first, last = (
        {name: statistics.fmean(each.get(name, 0.0) for each in some) for name in some[0]}
        for some in (rounds[:third], rounds[-third:])
    )
    ratios = [last[name] / first[name] for name in first if first[name] > 0 and last.get(name, 0.0) > 0]
    return statistics.median(ratios) - 1 if ratios else 0.0


def verified_load(
    model: SystemModel, mix: Sequence[Part], share: float, shots: Sequence[Shot], simulate: Simulate | None
) -> Verified:
    """One load, by a stretch of each round: `share` of the capacity, predicted and measured."""
    shot = usual(shots)
    rate = shot.rate_per_s
    load = Load(rate)
    theory: dict[str, float] | None
    try:
        prediction = predict(model, load)
        theory = {"mean": prediction.mean_s}
        theory |= {name: prediction.quantile_s(q) for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))}
    except Unstable:
        theory = None
    try:
        routes = times_of(mix, rate) if mix else None
    except Unstable:
        routes = None
    simulated = dict(simulate(model, load)) or None if simulate is not None and theory is not None else None
    return Verified(
        rate_per_s=rate,
        share_of_capacity=share,
        measured_rate=shot.ok_rate,
        measured=shot.figures(),
        means_s=tuple(each.mean_s for each in shots),
        theory=theory,
        routes=routes,
        simulated=simulated,
        failed_share=shot.failed_share,
        doubt=shot.doubt,
        cpu_s={**shot.cpu_s, VISITORS: shot.generator_cpu_s},
        cpu_s_predicted={each.name: model.visits(each.name) * model.work(each.name).cpu_s for each in model.stations},
    )


def told(found: Verified) -> str:
    """A line on it."""
    words = [f"{found.rate_per_s:.4g}/s ({found.share_of_capacity:.0%}): {found.measured_rate:.4g}/s answered"]
    if (error := found.cost_error) is not None:
        words.append(f"{found.compared_s * 1000:.3g} ms of a core (by the routes {error:+.0%})")
    for name in ("mean", "p95"):
        if name in found.measured:
            words.append(f"{name} {found.measured[name] * 1000:.3g} ms")
        for kind in ("routes", "theory", "simulated"):
            if (error := found.error(kind, name)) is not None:
                words[-1] += f" ({kind} {error:+.0%})"
    return ", ".join(words)
