"""How many replicas a service should have now, and why. Pure: no clock, no I/O.

Up as soon as the load is certainly too much, to what its mean needs. Down when for all of `down_after` fewer would
have done. In between nothing, which has a reason, too. Everything is compared with the replicas *asked for*: one that
still starts, or is broken, is not asked for twice.
"""

from __future__ import annotations

from collections.abc import Iterable

from colonnade.core.decision import Decision
from colonnade.scaling.demand import DRAIN_S, PROCESSOR_BAND, Demand, Load, read_demand, replicas_for_cores
from colonnade.scaling.limits import Bound, Bounds, Machine, bounds_for
from colonnade.scaling.state import LATENCY_OVER_S, Look, Memory, Need, ScalingPolicy, SetReplicas
from colonnade.scaling.window import highest_need, note_need, remember


def step(
    memory: Memory, look: Look, policy: ScalingPolicy, machine: Machine | None = None, floors: Iterable[Bound] = ()
) -> tuple[Memory, Decision[SetReplicas]]:
    """One look further: the memory with it, and what follows from it."""
    memory = remember(memory, look)
    demand = read_demand(memory.looks, policy)
    bounds = bounds_for(policy, look, machine, floors)
    if demand.stay is not None:
        # A floor is a need as well: when its hour is over, the service shrinks as slowly as after a load.
        needed = max(demand.stay, demand.grow, bounds.floor.replicas)
        memory = note_need(memory, Need(look.at_s, needed), keep_s=policy.down_after_s)
    return memory, recommend(memory, demand, policy, bounds)


def recommend(memory: Memory, demand: Demand, policy: ScalingPolicy, bounds: Bounds) -> Decision[SetReplicas]:
    """What to do about the service at the moment of its newest look."""
    look = memory.looks[-1]
    floor, ceiling = bounds.floor, bounds.ceiling
    if look.desired < floor.replicas:
        return _set(policy, look, floor.replicas, f"floor_{floor.reason}", floor.message)
    if look.desired > policy.replicas_max:
        return _set(policy, look, policy.replicas_max, "above_max", f"replicas.max is {policy.replicas_max}")
    by_cores = replicas_for_cores(look, policy, 1 + PROCESSOR_BAND)
    if max(demand.grow, by_cores) > look.desired:
        return _grow(policy, look, demand, by_cores, ceiling)
    return _shrink_or_keep(memory, demand, policy, look, floor)


def _grow(policy: ScalingPolicy, look: Look, demand: Demand, by_cores: int, ceiling: Bound) -> Decision[SetReplicas]:
    if demand.grow_load is not None and demand.grow >= by_cores:
        wanted = demand.grow
        reason = "queue_grew" if look.queued > look.ready * policy.threads else "load_rose"
        why = _load_words(policy, look, demand.grow_load)
    else:
        wanted, reason = by_cores, "processor_busy"
        why = (
            f"{look.ready} replicas use {look.cores_used or 0.0:.2f} cores, and each should use "
            f"{policy.target_utilization:.2f} of one at most"
        )
    target = min(wanted, ceiling.replicas)
    if target < wanted:
        right = f"more than {policy.replicas_max}" if wanted > policy.replicas_max else str(wanted)
        why = f"{ceiling.message}; {right} would be right: {why}"
    if target <= look.desired:
        return Decision((), f"limit_{ceiling.reason}", f"{policy.service} stays at {look.desired}: {why}")
    return _set(policy, look, target, reason, why)


def _shrink_or_keep(
    memory: Memory, demand: Demand, policy: ScalingPolicy, look: Look, floor: Bound
) -> Decision[SetReplicas]:
    highest = highest_need(memory, look.at_s, within_s=policy.down_after_s)
    target = max(highest.replicas, floor.replicas) if highest is not None else look.desired
    load = demand.recent
    if target < look.desired:
        is_idle = load is not None and load.arrivals == 0
        why = f"{target} would have done for all of the last {policy.down_after_s:.0f} s"
        if load is not None:
            why += f"; now {_rate_words(load)}"
        return _set(policy, look, target, "at_rest" if is_idle else "load_fell", why)
    if load is not None and (slow := _slow_for_nothing(memory, policy, look, load)) is not None:
        return slow
    latest = memory.needs[-1].replicas if memory.needs else look.desired
    if latest < look.desired and look.desired > floor.replicas:
        since = (
            f"{highest.replicas} were needed {look.at_s - highest.at_s:.0f} s ago" if highest else "watched too shortly"
        )
        return Decision(
            (),
            "shrinks_later",
            f"{policy.service} stays at {look.desired}: {latest} would do now, but have not for all of the last "
            f"{policy.down_after_s:.0f} s ({since})",
        )
    words = _rate_words(load) if load is not None else "nothing known yet"
    return Decision((), "enough", f"{policy.service} stays at {look.desired}: {words}")


def _slow_for_nothing(memory: Memory, policy: ScalingPolicy, look: Look, load: Load) -> Decision[SetReplicas] | None:
    """The objective is missed while places are free and nobody waits, nor has waited among those whose latency it is:
    what is slow is slow by itself, or waits for something that all replicas share."""
    judged = [each for each in memory.looks if each.at_s >= look.at_s - LATENCY_OVER_S - 1.0]
    if policy.objective_p99_s is None or any(each.queued or each.missing for each in judged):
        return None
    latency_s = look.latency_p99_s if look.latency_p99_s is not None else look.service_time_s
    places = look.ready * policy.threads
    if latency_s <= policy.objective_p99_s or load.busy > policy.target_utilization * places:
        return None
    what = "p99" if look.latency_p99_s is not None else "the mean"
    return Decision(
        (),
        "slow_without_queue",
        f"{policy.service} stays at {look.desired}: {what} is {_ms(latency_s)}, over the objective of "
        f"{_ms(policy.objective_p99_s)}, but nothing waits and {load.busy:.1f} of {places} places are busy: "
        "more replicas would not help",
    )


def _set(policy: ScalingPolicy, look: Look, count: int, reason: str, why: str) -> Decision[SetReplicas]:
    message = f"{policy.service} goes from {look.desired} to {count} replicas: {why}"
    return Decision((SetReplicas(policy.service, count),), reason, message)


def _load_words(policy: ScalingPolicy, look: Look, load: Load) -> str:
    words = f"{_rate_words(load)}, and there are {look.ready * policy.threads}"
    if look.missing:
        words += f" besides {look.missing} replica{'s' * (look.missing > 1)} on the way"
    if look.queued:
        words += f"; {look.queued} wait, to be served within {DRAIN_S:.0f} s"
    goal = f"the target is {policy.target_utilization:.0%} busy"
    if policy.objective_p99_s is not None:
        goal += f" and a p99 of {_ms(policy.objective_p99_s)}"
    return f"{words}; {goal}"


def _rate_words(load: Load) -> str:
    return f"{load.rate:.1f}/s of {_ms(load.service_time_s)} take {load.busy:.1f} places"


def _ms(duration_s: float) -> str:
    return f"{duration_s * 1e3:.0f} ms" if duration_s < 10 else f"{duration_s:.1f} s"
