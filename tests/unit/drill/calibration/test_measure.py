"""A calibration of a system whose laws are known: one processor that everybody shares, a little dearer for mixes."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import pytest
from tests.unit.planning.calibrated import SPEC

from colonnade.core.clock import SystemClock
from colonnade.core.errors import SpecError
from colonnade.drill.calibration.measure import SHARES, Wishes, _Measuring
from colonnade.drill.calibration.parts import Parts
from colonnade.drill.calibration.routes import ANSWERS_MIN, INSIDE
from colonnade.drill.calibration.sending import Sender
from colonnade.drill.calibration.shot import IN_FLIGHT_MAX, Aim, Shot
from colonnade.drill.load.ledger import Kind
from colonnade.drill.load.target import Target
from colonnade.drill.load.workload import Action, Workload
from colonnade.planning.calibration import Calibration

from .shots import CALM

PAGE = Action("GET /", Kind.READ, "GET", "/", weight=3.0)
LIST = Action("GET /api", Kind.READ, "GET", "/api")
POST = Action("POST /api", Kind.WRITE, "POST", "/api", body="{token}")
SERVICE_S = {PAGE.name: 0.004, LIST.name: 0.001, POST.name: 0.010}


ROUNDS = 5

PARTS = Parts({"web": (), "api": ()}, {"web": 2, "api": 3})
"""Nobody's processes."""


class SharedProcessor(Sender):
    """Answers as M/G/1-PS does, in times that do not vary."""

    def __init__(self, *actions: Action, mixing: float = 0.0, service_s: Mapping[str, float] = SERVICE_S) -> None:
        workload = Workload("known", actions)
        aim = Aim("http://127.0.0.1:1", Target("localhost", "127.0.0.1", 1), workload, PARTS)
        super().__init__(aim, SystemClock(), cores=1.0)
        self.mixing = mixing
        self.service_s = service_s
        self.shares_sent: list[dict[str, float]] = []
        self.full_s: list[float] = []
        """How long stretches with as many inside as ever lasted."""

    async def alone(self, action: Action, rate: float, duration_s: float, in_flight_max: int = IN_FLIGHT_MAX) -> Shot:
        self.full_s += [duration_s] if in_flight_max == INSIDE[-1] else []
        return self.shot({action.name: 1.0}, rate, in_flight_max)

    async def mix(
        self,
        rate: float,
        duration_s: float,
        *,
        write_share: float,
        in_flight_max: int = IN_FLIGHT_MAX,
        weights: Mapping[str, float] | None = None,
    ) -> Shot:
        shares: dict[str, float] = {}
        for kind, part in ((Kind.READ, 1 - write_share), (Kind.WRITE, write_share)):
            found = {each.name: each.weight for each in self.aim.workload.actions if each.kind is kind}
            found = {name: weights[name] for name in found} if weights is not None else found
            shares |= {name: part * weight / sum(found.values()) for name, weight in found.items()}
        self.shares_sent.append(shares)
        self.full_s += [duration_s] if in_flight_max == INSIDE[-1] else []
        return self.shot(shares, rate, in_flight_max)

    def shot(self, shares: Mapping[str, float], rate: float, in_flight_max: int) -> Shot:
        works = {name: share * self.service_s[name] for name, share in shares.items()}
        meeting_others = math.fsum(each * (1 - each / sum(works.values())) for each in works.values())
        dearer = 1 + self.mixing * meeting_others / sum(works.values())
        works_s = {name: dearer * self.service_s[name] for name in shares}
        work_s = math.fsum(share * works_s[name] for name, share in shares.items())
        answered = min(rate, 1 / work_s)
        stretch = 1 / (1 - rate * work_s) if in_flight_max == IN_FLIGHT_MAX else in_flight_max
        times_s = [works_s[name] * stretch for name, share in shares.items() for _ in range(round(1000 * share))]
        cost_s = {"web": 0.4 * work_s, "api": 0.5 * work_s}
        return replace(
            CALM,
            rate_per_s=rate,
            ok_rate=answered,
            latencies_s=tuple(sorted(times_s)),
            cpu_s=cost_s,
            generator_cpu_s=0.1 * work_s,
            by_action_s={name: (works_s[name] * stretch,) * ANSWERS_MIN for name in shares},
        )


def calibrated(system: SharedProcessor) -> Calibration:
    async def all_rounds() -> Calibration:
        wishes = Wishes(rounds=ROUNDS, with_writes=True, write_share=0.2)
        work = _Measuring(SPEC, wishes, system, SystemClock(), lambda _: None)
        for _ in range(wishes.rounds):
            await work.round()
        return work.result(at="", machine="one processor", simulate=None)

    return asyncio.run(all_rounds())


def test_what_a_mix_takes_is_found_by_its_routes() -> None:
    found = calibrated(SharedProcessor(PAGE, LIST, POST))
    assert found.mixing == pytest.approx(0, abs=0.001)
    assert found.capacity_error == pytest.approx(0, abs=0.001)
    assert len(found.verified) == len(SHARES)
    for each in found.verified:
        assert each.error("routes", "mean") == pytest.approx(0, abs=0.02)
        assert len(each.means_s) == ROUNDS


def test_what_mixing_costs_is_read_off_another_mix() -> None:
    system = SharedProcessor(PAGE, LIST, POST, mixing=0.12)
    found = calibrated(system)
    assert found.mixing == pytest.approx(0.12, abs=0.002)
    assert found.capacity_error == pytest.approx(0, abs=0.002)
    for each in found.verified:
        assert each.error("routes", "mean") == pytest.approx(0, abs=0.03)
    even, declared = system.shares_sent[0], system.shares_sent[-1]
    assert [even[name] * SERVICE_S[name] for name in even] == pytest.approx([sum(even.values()) / 1350] * 3, rel=0.01)
    assert declared == pytest.approx({PAGE.name: 0.6, LIST.name: 0.2, POST.name: 0.2})


def test_what_capacities_rest_on_is_measured_for_longer_than_the_first_looks() -> None:
    system = SharedProcessor(PAGE, LIST)
    calibrated(system)
    looks_s, others_s = sorted(system.full_s)[:2], sorted(system.full_s)[2:]
    assert len(others_s) == 4 * ROUNDS, "each kind, the even mix and the mix, in each round"
    assert max(looks_s) * 2 == min(others_s) == max(others_s)


@pytest.mark.parametrize("is_predicted", [True, False])
def test_a_halt_in_one_round_counts_neither_in_what_is_predicted_nor_in_what_was_measured(
    is_predicted: bool,
) -> None:
    sent: Counter[tuple[str, bool, float]] = Counter()

    class Halting(SharedProcessor):
        def shot(self, shares: Mapping[str, float], rate: float, in_flight_max: int) -> Shot:
            found = super().shot(shares, rate, in_flight_max)
            is_crowd = in_flight_max != IN_FLIGHT_MAX
            is_the_mix = len(shares) > 1 and shares[LIST.name] < shares[PAGE.name]
            sent[stretch := (" ".join(shares), is_the_mix, in_flight_max if is_crowd else rate)] += 1
            if sent[stretch] != 4 or is_the_mix == is_predicted:
                return found
            by_action_s = {name: tuple(10 * each for each in times_s) for name, times_s in found.by_action_s.items()}
            return replace(
                found,
                ok_rate=found.ok_rate / 10 if is_crowd else found.ok_rate,
                latencies_s=tuple(10 * each for each in found.latencies_s),
                by_action_s=by_action_s,
            )

    found = calibrated(Halting(PAGE, LIST))
    assert {count for (_, is_the_mix, _), count in sent.items() if is_the_mix} == {ROUNDS}
    assert found.capacity_error == pytest.approx(0, abs=0.001)
    for each in found.verified:
        assert each.error("routes", "mean") == pytest.approx(0, abs=0.02)
        assert each.error("routes", "p95") == pytest.approx(0, abs=0.03)


@pytest.mark.parametrize("actions", [(PAGE,), (POST,), (PAGE, LIST), (POST, replace(POST, name="POST /more"))])
def test_systems_that_have_one_route_or_only_one_kind(actions: tuple[Action, ...]) -> None:
    service_s = {**SERVICE_S, "POST /more": 0.003}
    system = SharedProcessor(*actions, mixing=0.1, service_s=service_s)
    found = calibrated(system)
    assert found.mixing == pytest.approx(0.1 if len(actions) > 1 else 0.0, abs=0.002)
    assert found.capacity_error == pytest.approx(0, abs=0.002)
    shares = [sum(shares.get(name, 0.0) for name in ("POST /api", "POST /more")) for shares in system.shares_sent]
    assert set(shares) == {1.0 if actions[0].kind is Kind.WRITE else 0.0}, "to the last digit: none or all"


def test_a_mix_that_was_as_good_as_measured_is_told() -> None:
    equal_work = replace(PAGE, weight=0.25), replace(LIST, weight=1.0)
    for actions, is_told in (((PAGE,), True), (equal_work, True), ((PAGE, LIST), False)):
        notes = calibrated(SharedProcessor(*actions)).notes
        assert any("nearly the one in which its kinds were measured" in note for note in notes) == is_told


def test_a_route_that_is_not_answered_is_named() -> None:
    class Silent(SharedProcessor):
        def shot(self, shares: Mapping[str, float], rate: float, in_flight_max: int) -> Shot:
            found = super().shot(shares, rate, in_flight_max)
            return replace(found, ok_rate=0.0, latencies_s=(), failed_share=1.0) if LIST.name in shares else found

    with pytest.raises(SpecError, match="GET /api was not answered"):
        calibrated(Silent(PAGE, LIST))


def test_what_the_generator_holds_back_and_what_is_never_asked_slowly_is_told() -> None:
    quick = calibrated(SharedProcessor(PAGE, LIST, service_s={PAGE.name: 0.0001, LIST.name: 0.001}))
    assert any("GET / was answered as often as the generator sends" in note for note in quick.notes)
    heavy = calibrated(SharedProcessor(PAGE, LIST, service_s={PAGE.name: 0.2, LIST.name: 0.001}))
    assert any("GET / answers 5/s at most" in note for note in heavy.notes)
    assert [len(route.seen) for route in heavy.routes] == [4, 5], "slowly is no less than a fifth of what it can"
