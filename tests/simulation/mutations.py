"""Each rule broken on purpose, as data: the stories must notice, or they prove nothing.

A mutation replaces one thing of ours (or of the cluster in memory, where the rule is the servers') while a story is
told. `rule` is the promise that it breaks.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import patch

from tests.simulation.scenes import (
    Scene,
    more_are_wanted_while_one_is_cut_off,
    one_is_ahead_and_was_not_seen,
    only_a_copy_in_the_making_is_connected,
    two_are_promoted_on_the_same_timeline,
)
from tests.simulation.story import SIZES, Size, Violation, tell

from colonnade.database import actions as act
from colonnade.database import controller, decide, fake, fake_world, members, recording, takeover
from colonnade.database.election import Elected, NotElected, elect
from colonnade.database.state import Position, Standing


@dataclass(frozen=True)
class Mutation:
    name: str
    rule: str
    plant: Callable[[], contextlib.AbstractContextManager[Any]]
    sizes: tuple[Size, ...] = SIZES
    loses_data: bool = False
    emphasis: Mapping[str, int] = field(default_factory=dict)
    scene: Scene | None = None
    """How its stories begin, where chance alone would take tens of thousands of them."""
    seeds_max: int = 1000


def swap(owner: Any, name: str, value: Any) -> Callable[[], contextlib.AbstractContextManager[Any]]:
    return lambda: patch.object(owner, name, value)


# Elections.


def elect_the_lowest(
    positions: Any, candidates: Any, rule: Any, preferred: Any = None, outdated: Any = ()
) -> Elected | NotElected:
    if not rule.is_satisfied_by(positions.keys()):
        return NotElected("too_few_standbys_seen", "too few are seen")
    worst = min(candidates, key=lambda name: (positions[name].lsn, name))
    return Elected(worst, positions[worst], f"{worst} is the lowest")


def elect_without_quorum(
    positions: Any, candidates: Any, rule: Any, preferred: Any = None, outdated: Any = ()
) -> Elected | NotElected:
    best = max(candidates, key=lambda name: (positions[name].lsn, name), default=None)
    return NotElected("too_few_standbys_seen", "nobody") if best is None else Elected(best, positions[best], "whoever")


def elect_by_lsn_alone(
    positions: Any, candidates: Any, rule: Any, preferred: Any = None, outdated: Any = ()
) -> Elected | NotElected:
    bare = {name: Position(1, at.lsn) for name, at in positions.items()}
    return elect(bare, candidates, rule, preferred, outdated)


@contextlib.contextmanager
def any_standby_satisfies() -> Iterator[None]:
    with (
        patch.object(takeover, "elect", elect_without_quorum),
        patch.object(fake_rule(), "is_satisfied_by", lambda self, seen: bool(seen & self.voters)),
    ):
        yield


def fake_rule() -> Any:
    from colonnade.database.quorum import QuorumRule

    return QuorumRule


@contextlib.contextmanager
def nobody_quiesces() -> Iterator[None]:
    """Positions are compared while WAL is still on its way."""

    def votes(cluster: Any, node: Any) -> bool:
        return node.answers and node.name in cluster.record.voters

    def follow(primary: Any, reached: Any, node: Any) -> Iterator[act.Action]:
        yield act.Admit(node.name)
        yield act.Follow(node.name, primary.name)

    with patch.object(takeover, "_votes", votes), patch.object(members, "_follow_or_fence", follow):
        yield


# Fences and restarts.


def fence_that_kills_nobody(self: Any, node: str) -> Any:
    async def fenced() -> None:
        self.world.nodes[node].is_proved_dead = True

    return fenced()


@contextlib.contextmanager
def promotions_stay_in_memory() -> Iterator[None]:
    save = controller.DatabaseController._save

    def forgetful(self: Any, record: Any) -> None:
        if record.is_promotion_open:
            record.check()
            self._record = record
            self._driver.configure(record)
        else:
            save(self, record)

    with patch.object(controller.DatabaseController, "_save", forgetful):
        yield


@contextlib.contextmanager
def restarts_in_place_in_spite_of_an_intention() -> Iterator[None]:
    decided = takeover.resume_promotion

    def resume(cluster: Any, now: float) -> Any:
        promotion = cluster.record.promotion
        old = promotion.replaces
        if cluster.nodes[old].exists and not cluster.nodes[old].is_running and not cluster.primary.is_running:
            return replace(decided(cluster, now), actions=(act.StartPrimary(old),))
        return decided(cluster, now)

    with patch.object(decide, "resume_promotion", resume), patch.object(controller, "_check", lambda *_: None):
        yield


def history_not_kept(self: Any, node: str) -> Any:
    async def nothing() -> None:
        self.world.kept_histories.setdefault(-1, ())

    return nothing()


@contextlib.contextmanager
def histories_are_not_kept() -> Iterator[None]:
    fence = fake.FakeDriver.fence

    async def fence_only(self: Any, node: str) -> None:
        kept = dict(self.world.kept_histories)
        await fence(self, node)
        self.world.kept_histories = kept

    with (
        patch.object(fake.FakeDriver, "keep_history", history_not_kept),
        patch.object(fake.FakeDriver, "fence", fence_only),
        patch.object(fake.FakeDriver, "_is_kept", lambda self, node: True),
    ):
        yield


@contextlib.contextmanager
def whoever_was_replaced_keeps_its_vote() -> Iterator[None]:
    real = recording.intended

    def intended(record: Any, action: Any) -> Any:
        after = real(record, action)
        return replace(after, standing={**after.standing, action.replaces: Standing.VOTER})

    def admit_all(primary: Any, reached: Any, node: Any) -> Iterator[act.Action]:
        yield act.Admit(node.name)
        yield act.Follow(node.name, primary.name)

    with patch.object(recording, "intended", intended), patch.object(members, "_follow_or_fence", admit_all):
        yield


@contextlib.contextmanager
def members_are_counted_while_they_are_copied() -> Iterator[None]:
    """A copy in the making connects under the member's name, and acknowledges what it does not keep."""
    followers_of = fake_world.FakeWorld.followers_of

    def with_copies(self: Any, name: str) -> Any:
        copies = [
            replace_node(node, self.nodes[name])
            for node in self.nodes.values()
            if node.operation == "clone" and node.source == name
        ]
        return [*followers_of(self, name), *copies]

    def replace_node(node: Any, source: Any) -> Any:
        return fake_world.FakeNode(node.name, wal=list(source.wal), walsender_quorum=source.quorum)

    with patch.object(fake_world.FakeWorld, "followers_of", with_copies):
        yield


@contextlib.contextmanager
def new_members_vote_before_they_are_recorded() -> Iterator[None]:
    """Named in the quorum while elections do not count on them yet."""
    configure = fake.FakeDriver.configure

    def named(self: Any, record: Any) -> None:
        configure(self, record)
        everybody = tuple(name for name in record.members if record.standing[name] is not Standing.LEAVING)
        self.world.quorum = fake_world.Quorum(record.waits_for, everybody)

    def voters(self: Any) -> frozenset[str]:
        old = frozenset("abc"[: len(self.members)])
        return frozenset(
            n for n in self.members if n in old and n != self.primary and self.standing[n] is Standing.VOTER
        )

    from colonnade.database.state import ClusterRecord

    with patch.object(fake.FakeDriver, "configure", named), patch.object(ClusterRecord, "voters", property(voters)):
        yield


def forget_at_once(cluster: Any, leaving: Any) -> Iterator[act.Action]:
    for name in leaving:
        yield from members._remove(cluster, name)
    if not leaving:
        yield act.SetAcknowledgements(cluster.record.waits_for, cluster.record.waits_for)


def without_new_walsenders(cluster: Any, leaving: Any) -> Iterator[act.Action]:
    """The new quorum counts as in force as soon as the configuration is written."""
    record, primary = cluster.record, cluster.primary
    reached = primary.position.lsn if primary.position else 0
    flushed = sum(f.flush_lsn >= reached for f in primary.followers if f.name in record.quorum_names)
    if flushed >= record.waits_for:
        yield from forget_at_once(cluster, leaving)


@contextlib.contextmanager
def primary_is_started_while_writers_are_led_there() -> Iterator[None]:
    with patch.object(takeover, "is_closed", lambda cluster: True):
        yield


@contextlib.contextmanager
def endpoint_opens_at_once() -> Iterator[None]:
    with patch.object(decide, "have_flushed", lambda *_: True):
        yield


@contextlib.contextmanager
def quorum_is_cleared_to_promote() -> Iterator[None]:
    promote = fake.FakeDriver.promote

    async def cleared(self: Any, node: str) -> None:
        self.world.nodes[node].quorum = fake_world.NO_QUORUM
        await promote(self, node)

    with patch.object(fake.FakeDriver, "promote", cleared):
        yield


@contextlib.contextmanager
def lost_voters_are_forgotten() -> Iterator[None]:
    """Who lost its data does not count any more, although it may have acknowledged what only the primary has."""
    from colonnade.database.cluster import Cluster
    from colonnade.database.quorum import QuorumRule

    def rule(self: Any) -> QuorumRule:
        voters = frozenset(name for name in self.record.voters if self.nodes[name].exists)
        return QuorumRule(voters, self.record.acknowledgements)

    with patch.object(Cluster, "rule", property(rule)):
        yield


CUTS = {"cut": 8, "kill primary": 6}
CHANGES = {"want": 12, "cut": 8, "kill primary": 6}
LOSSES = {"lose": 6, "cut": 8, "kill primary": 6}

MUTATIONS: tuple[Mutation, ...] = (
    Mutation("the lowest is elected", "5", swap(takeover, "elect", elect_the_lowest)),
    Mutation(
        "the history does not count, only how far one came",
        "9",
        swap(takeover, "elect", elect_by_lsn_alone),
        sizes=(Size(4, 2),),
        scene=one_is_ahead_and_was_not_seen,
    ),
    Mutation("one standby is enough to elect", "4", any_standby_satisfies),
    Mutation("positions are compared in motion", "5", nobody_quiesces),
    Mutation("a fence kills nobody", "1", swap(fake.FakeDriver, "fence", fence_that_kills_nobody)),
    Mutation("a promotion is not recorded", "8", promotions_stay_in_memory),
    Mutation("the old primary is restarted in spite of an intention", "11", restarts_in_place_in_spite_of_an_intention),
    Mutation(
        "histories are not kept",
        "9",
        histories_are_not_kept,
        sizes=(Size(3, 1),),
        scene=two_are_promoted_on_the_same_timeline,
    ),
    Mutation("a replaced primary keeps its vote and is not rewound", "13", whoever_was_replaced_keeps_its_vote),
    Mutation(
        "a copy in the making is counted",
        "12",
        members_are_counted_while_they_are_copied,
        sizes=(Size(2, 1),),
        scene=only_a_copy_in_the_making_is_connected,
    ),
    Mutation("a new member is named before it counts", "14", new_members_vote_before_they_are_recorded),
    Mutation(
        "a leaving member is forgotten at once", "14", swap(members, "_tighten", forget_at_once), emphasis=CHANGES
    ),
    Mutation(
        "the old walsenders go on",
        "14",
        swap(members, "_tighten", without_new_walsenders),
        sizes=(Size(2, 1),),
        scene=more_are_wanted_while_one_is_cut_off,
    ),
    Mutation(
        "writers reach a primary that restarts", "11", primary_is_started_while_writers_are_led_there, emphasis=CUTS
    ),
    Mutation("the endpoint opens at once", "10", endpoint_opens_at_once, emphasis=CUTS),
    Mutation("the quorum is cleared to promote", "7", quorum_is_cleared_to_promote, emphasis=CUTS),
    Mutation("who lost its data does not count", "4", lost_voters_are_forgotten, loses_data=True, emphasis=LOSSES),
)


def seeds_needed(mutation: Mutation) -> int | None:
    """How many stories it took until one noticed; None: none did."""
    with mutation.plant():
        for seed in range(mutation.seeds_max):
            try:
                tell(
                    seed,
                    mutation.sizes[seed % len(mutation.sizes)],
                    loses_data=mutation.loses_data,
                    emphasis=mutation.emphasis,
                    scene=mutation.scene,
                )
            except Violation:
                return seed + 1
    return None
