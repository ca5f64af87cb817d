"""The simulator: how often it is right, how fast it is beside Ciw, and what a thousand replicas look like.

Times are of the processor, as other work on the machine would be counted otherwise. Everything runs in one process.
"""

from __future__ import annotations

import gc
import math
import resource
import statistics
import sys
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator_picture import Curve, tails

from colonnade.planning.model import Route, Station, SystemModel, Work, chain
from colonnade.planning.network import jackson
from colonnade.planning.queues import mg1, mmc, mmck
from colonnade.planning.simulation.arrivals import Steady
from colonnade.planning.simulation.estimate import Estimate, mean_of
from colonnade.planning.simulation.outcome import rank
from colonnade.planning.simulation.scenario import Scenario, Traits, of_one
from colonnade.planning.simulation.simulate import simulate

ROOT = Path(__file__).resolve().parent.parent


def measure(repetitions: int) -> dict[str, Any]:
    """Right how often, over `repetitions` rounds with other seeds; then a thousand replicas."""
    return {"exact": _exact(repetitions or 3), "thousand_replicas": _thousand()}


# Against exact results


def _exact(rounds: int) -> dict[str, Any]:
    # Not at the top: Ciw brings a package `tests` of its own.
    sys.path.insert(0, str(ROOT))
    from tests.unit.planning.simulation.exact import hundred, others

    found: dict[str, Any] = {}
    for name, systems in (("hundred", hundred()), ("others", others())):
        estimates = [
            (known, known.estimate(seed=1_000 * number + index))
            for number in range(rounds)
            for index, known in enumerate(systems)
        ]
        found[name] = {
            "systems": len(systems),
            "rounds": rounds,
            "within_99_percent_interval": sum(each.holds(known.truth) for known, each in estimates),
            "within_95_percent_interval": sum(_narrower(each).holds(known.truth) for known, each in estimates),
            "of": len(estimates),
            "half_width_percent_median": _percent(each.half_width / known.truth for known, each in estimates),
            "off_by_percent_median": _percent(abs(each.value / known.truth - 1) for known, each in estimates),
            "outside": [known.name for known, each in estimates if not each.holds(known.truth)],
        }
    return found


def _narrower(estimate: Estimate) -> Estimate:
    """The interval of 95 % that belongs to one of 99 %, of about 40 batches."""
    return Estimate(estimate.value, estimate.half_width * 2.023 / 2.708, 0.95, estimate.batches)


def _percent(shares: Iterable[float]) -> float:
    return round(100.0 * statistics.median(shares), 2)


# A thousand replicas

REPLICAS, PLACES, RATE_PER_S, BUSY, LASTS_S = 1_000, 1, 1_000_000.0, 0.9, 10.0

CROWDS: tuple[tuple[str, Traits], ...] = (
    ("round robin", Traits("round-robin", "replica")),
    ("least connections", Traits("least-connections", "replica")),
    ("power of two choices", Traits("power-of-two", "replica")),
    ("consistent hash", Traits("consistent-hash", "replica")),
    ("join idle queue", Traits("join-idle-queue", "replica")),
    ("one queue at the gateway", Traits("least-connections", "gateway")),
)

SHARES = (0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999)


def _thousand() -> dict[str, Any]:
    """`.bench/simulation-tails.svg` shows the tails."""
    found: dict[str, Any] = {
        "replicas": REPLICAS,
        "places_of_each": PLACES,
        "requests_per_s": RATE_PER_S,
        "simulated_s": LASTS_S,
        "busy": BUSY,
    }
    curves = []
    work = Work(BUSY * REPLICAS * PLACES / RATE_PER_S)
    for name, traits in CROWDS:
        gc.collect()
        wall_s, cpu_s = time.monotonic(), time.process_time()
        outcome = simulate(of_one(Station("web", REPLICAS, PLACES), work, Steady(RATE_PER_S), LASTS_S, traits), 1)
        took = {
            "wall_s": round(time.monotonic() - wall_s, 1),
            "cpu_s": round(time.process_time() - cpu_s, 1),
            "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
        }
        # The first second is left out: everybody came to an empty system.
        latencies = sorted(outcome.latency_s[bisect_left(outcome.arrived_s, 1.0) :])
        found[name] = {
            **took,
            "requests": len(outcome.latency_s),
            "ms": {f"{share:.3%}".rstrip("0").rstrip(".%"): _ms(rank(latencies, share)) for share in SHARES},
            "mean_ms": _ms(statistics.fmean(latencies)),
        }
        curves.append(Curve(name, [(rank(latencies, 1 - left) * 1e3, left) for left in _shares_left(len(latencies))]))
        del outcome, latencies
    picture = ROOT / ".bench" / "simulation-tails.svg"
    picture.parent.mkdir(exist_ok=True)
    picture.write_text(
        tails(
            "Who waits how long, by policy",
            f"{REPLICAS:,} replicas with one place each, {RATE_PER_S:,.0f} requests a second, {BUSY:.0%} busy, "
            f"exponential service of {work.mean_s * 1e3:.1f} ms; simulated for {LASTS_S:.0f} s",
            curves,
        ),
        encoding="utf-8",
    )
    found["picture"] = str(picture.relative_to(ROOT))
    return found


def _shares_left(count: int) -> list[float]:
    """From all of them to the slowest hundred, evenly on a scale of powers of ten."""
    decades = math.log10(count / 100)
    return [10 ** (-decades * step / 120) for step in range(1, 121)]


def _ms(duration_s: float) -> float:
    return round(duration_s * 1e3, 2)


# Beside Ciw


@dataclass(frozen=True, slots=True)
class Both:
    """The same model for both, and its exact mean response (of those that are let in)."""

    name: str
    scenario: Scenario
    network: Callable[[Any], Any]
    truth_s: float


CUSTOMERS = 60_000


def measure_beside_ciw(repetitions: int) -> dict[str, Any]:
    """The same models, one after the other, in the same process."""
    import ciw  # type: ignore[import-not-found, import-untyped, unused-ignore]  # `make bench-simulator` installs it

    found: dict[str, Any] = {"ciw": ciw.__version__, "customers": CUSTOMERS}
    for both in _models():
        rounds = [_round(ciw, both, seed) for seed in range(1, (repetitions or 5) + 1)]
        ours, theirs = ([one[index] for one in rounds] for index in (0, 1))
        ratios = [their_us / our_us for (our_us, _), (their_us, _) in zip(ours, theirs, strict=True)]
        found[both.name] = {
            "n": len(rounds),
            "us_for_each_visit": round(statistics.median(us for us, _ in ours), 2),
            "us_for_each_visit_ciw": round(statistics.median(us for us, _ in theirs), 1),
            "times_as_fast_median": round(statistics.median(ratios), 1),
            "times_as_fast_worst": round(min(ratios), 1),
            "mean_response_ms_exact": round(both.truth_s * 1e3, 4),
            "mean_response_ms": _means([mean for _, mean in ours]),
            "mean_response_ms_ciw": _means([mean for _, mean in theirs]),
            "intervals_of_99_percent_meet": sum(
                abs(our.value - their.value) <= math.hypot(our.half_width, their.half_width)
                for (_, our), (_, their) in zip(ours, theirs, strict=True)
            ),
        }
    return found


def _means(estimates: Sequence[Estimate]) -> dict[str, float]:
    return {
        "mean": round(statistics.fmean(each.value for each in estimates) * 1e3, 4),
        "half_width_of_one": round(statistics.median(each.half_width for each in estimates) * 1e3, 4),
    }


def _round(ciw: Any, both: Both, seed: int) -> tuple[tuple[float, Estimate], tuple[float, Estimate]]:
    """(µs for each visit, mean response) of ours and of theirs. Theirs without the time for reading its records."""
    took_s = []
    # Ours takes less than a tenth of a second, which is too little to be timed once.
    for _ in range(5):
        began = time.process_time()
        outcome = simulate(both.scenario, seed)
        took_s.append(time.process_time() - began)
    ours_s = statistics.median(took_s)
    visits = sum(len(each.wait_s) for each in outcome.stations.values())
    ciw.seed(seed)
    simulation = ciw.Simulation(both.network(ciw))
    began = time.process_time()
    simulation.simulate_until_max_time(both.scenario.duration_s)
    theirs_s = time.process_time() - began
    records = simulation.get_all_records()
    return (
        (ours_s / visits * 1e6, mean_of(outcome.answered_s(), level=0.99)),
        (theirs_s / len(records) * 1e6, mean_of(_responses_s(records, len(outcome.stations)), level=0.99)),
    )


def _responses_s(records: Sequence[Any], stations: int) -> list[float]:
    """Of the customers that were served by all stations, in the order in which they came."""
    served: dict[int, list[Any]] = {}
    for record in records:
        if record.record_type == "service":
            served.setdefault(record.id_number, []).append(record)
    found = [
        (min(each.arrival_date for each in own), max(each.exit_date for each in own))
        for own in served.values()
        if len(own) == stations
    ]
    return [left - came for came, left in sorted(found)]


def _models() -> list[Both]:
    found = []
    for name, servers, busy, queue_max in (("M/M/1", 1, 0.8, None), ("M/M/10", 10, 0.9, None), ("M/M/3/8", 3, 0.9, 5)):
        rate = busy * servers * 10
        station = Station("web", 1, servers, queue_max=queue_max)
        scenario = of_one(station, Work(0.1), Steady(rate), CUSTOMERS / rate)
        queue = mmc(rate, 0.1, servers) if queue_max is None else mmck(rate, 0.1, servers, servers + queue_max)
        found.append(Both(name, scenario, _single(rate, servers, queue_max, is_constant=False), queue.response_s_mean))
    scenario = of_one(Station("web", 1, 1), Work(0.1, 0.0), Steady(7.0), CUSTOMERS / 7.0)
    found.append(Both("M/D/1", scenario, _single(7.0, 1, None, is_constant=True), mg1(7.0, 0.1, 0.0).response_s_mean))
    return [*found, _tandem()]


def _single(rate: float, servers: int, queue_max: int | None, *, is_constant: bool) -> Callable[[Any], Any]:
    def network(ciw: Any) -> Any:
        return ciw.create_network(
            arrival_distributions=[ciw.dists.Exponential(rate)],
            service_distributions=[ciw.dists.Deterministic(0.1) if is_constant else ciw.dists.Exponential(10.0)],
            number_of_servers=[servers],
            queue_capacities=[math.inf if queue_max is None else queue_max],
        )

    return network


def _tandem() -> Both:
    """Three stations one after the other, of 4, 4 and 5 places."""
    rate, places, times_s = 40.0, (4, 4, 5), (0.08, 0.07, 0.09)
    stations = tuple(Station(f"s{index}", 1, count, holds_place=False) for index, count in enumerate(places))
    works = [(station.name, Work(time_s)) for station, time_s in zip(stations, times_s, strict=True)]
    system = SystemModel(stations, (Route("all", chain(*works)),))

    def network(ciw: Any) -> Any:
        return ciw.create_network(
            arrival_distributions=[ciw.dists.Exponential(rate), None, None],
            service_distributions=[ciw.dists.Exponential(1 / time_s) for time_s in times_s],
            number_of_servers=list(places),
            routing=[[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]],
        )

    scenario = Scenario(system, Steady(rate), CUSTOMERS / 3 / rate)
    return Both("Jackson 4, 4, 5", scenario, network, jackson(system, rate).response_s_mean)
