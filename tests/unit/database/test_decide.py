"""What is decided in each situation, and in which order."""

from __future__ import annotations

from dataclasses import replace

import pytest

from colonnade.database import actions as act
from colonnade.database.decide import decide
from colonnade.database.members import FROZEN_S_MAX, START_FAILURES_MAX
from colonnade.database.state import (
    OWN_FREE_BYTES_MIN,
    Fork,
    Position,
    Promotion,
    PromotionPhase,
    Routing,
    Stage,
    Standing,
)
from colonnade.database.symptoms import Symptom, Symptoms
from colonnade.database.takeover import ELECTION_PATIENCE_S, READERS_PATIENCE_S

from .builders import NOW_S, cluster, dead, primary, quiet, record, standby

INTENDED = record(
    primary="b",
    standing={"a": Standing.FENCED, "b": Standing.VOTER, "c": Standing.VOTER},
    generation=2,
    joined={"a": 1, "b": 2, "c": 1},
    opened_for="",
    promotion=Promotion("b", "a", PromotionPhase.INTENDED, {"b": Position(1, 100), "c": Position(1, 90)}),
)
CLOSED = Routing(None, ("b", "c"))
PROMOTED = primary("b", followers="", position=Position(2, 101, (Fork(1, 100),)), opening_lsn=101)


def test_nothing_to_do_when_all_is_well() -> None:
    decision = decide(cluster(), NOW_S)
    assert (decision.actions, decision.reason) == ((), "all_well")
    assert decision.recheck_after_s is not None
    assert decision.recheck_after_s >= 0.5, "looking costs"


def test_dead_primary_is_fenced_while_standbys_quiesce_and_clients_are_led_nowhere() -> None:
    decision = decide(cluster(dead("a")), NOW_S)
    assert decision.reason == "primary_died"
    assert decision.actions == (act.Quiesce(("b", "c")), act.Fence("a"), act.Publish(Routing(None, ("b", "c"))))


def test_nobody_is_elected_while_a_standby_moves() -> None:
    moving = standby("c", upstream=None)
    decision = decide(cluster(dead("a", is_proved_dead=True), quiet("b"), moving), NOW_S)
    assert (decision.reason, decision.actions) == ("election_waits", ())


def test_readers_that_hold_up_an_election_are_sent_away() -> None:
    seen = cluster(dead("a", is_proved_dead=True), quiet("b"), standby("c", upstream=None))
    decision = decide(seen, NOW_S + 2 * READERS_PATIENCE_S)
    assert decision.actions == (act.EndSessions("c"),)


def test_highest_standby_is_intended_before_it_is_promoted() -> None:
    decision = decide(cluster(dead("a", is_proved_dead=True), quiet("b", lsn=90), quiet("c")), NOW_S)
    assert decision.reason == "candidate_elected"
    intend, close, promote = decision.actions
    assert isinstance(intend, act.IntendPromotion)
    assert (intend.node, intend.replaces) == ("c", "a")
    assert close == act.Publish(Routing(None, ("b",)))
    assert promote == act.Promote("c")


def test_primary_not_proved_dead_is_never_replaced() -> None:
    decision = decide(cluster(dead("a"), quiet("b"), quiet("c")), NOW_S)
    assert act.Fence("a") in decision.actions
    assert not [action for action in decision.actions if isinstance(action, act.IntendPromotion | act.Promote)]


def test_too_few_standbys_mean_restart_in_place() -> None:
    decision = decide(cluster(dead("a"), dead("c"), published=CLOSED), NOW_S)
    assert decision.reason == "primary_restarts_in_place"
    assert act.StartPrimary("a") in decision.actions
    assert act.StartStandby("c", "a") in decision.actions
    assert "1 of 2 standbys run, an election needs 2" in decision.message


@pytest.mark.parametrize("published", [None, Routing("a", ("b", "c"))])
def test_primary_is_started_where_it_was_only_when_no_writer_is_led_there(published: Routing | None) -> None:
    decision = decide(cluster(dead("a"), dead("c"), published=published), NOW_S)
    assert decision.reason == "primary_restarts_in_place"
    closing = [action for action in decision.actions if isinstance(action, act.Publish)]
    assert [action.routing.primary for action in closing] == [None]
    assert act.StartPrimary("a") not in decision.actions


def test_standby_that_never_stands_still_leads_to_a_restart_in_place() -> None:
    seen = cluster(dead("a", is_proved_dead=True), quiet("b"), standby("c", upstream=None), published=CLOSED)
    assert act.StartPrimary("a") in decide(seen, NOW_S + ELECTION_PATIENCE_S).actions


def test_lost_data_and_too_few_standbys_wait_for_people() -> None:
    decision = decide(cluster(dead("a", exists=False), dead("c")), NOW_S)
    assert decision.reason == "data_lost_and_no_quorum"
    assert not [action for action in decision.actions if isinstance(action, act.StartPrimary | act.Promote)]


def test_primary_that_runs_and_does_not_answer_is_left_alone() -> None:
    decision = decide(cluster(primary(in_recovery=None, position=None)), NOW_S)
    assert (decision.actions, decision.reason) == ((), "primary_silent")


def test_second_primary_is_fenced_before_anything_else() -> None:
    decision = decide(cluster(primary("c")), NOW_S)
    assert (decision.actions, decision.reason) == ((act.Fence("c"),), "second_primary_seen")


def test_intended_promotion_is_taken_up_by_a_successor() -> None:
    seen = cluster(dead("a"), quiet("b"), quiet("c", lsn=90), record=INTENDED, published=None)
    assert decide(seen, NOW_S).actions == (act.Promote("b"),)


def test_old_primary_is_never_started_once_another_is_intended() -> None:
    for candidate in (quiet("b"), dead("b"), dead("b", is_proved_dead=True), dead("b", exists=False)):
        decision = decide(cluster(dead("a"), candidate, quiet("c"), record=INTENDED), NOW_S)
        assert act.StartPrimary("a") not in decision.actions
        assert not [action for action in decision.actions if action == act.StartStandby("a", None)]


def test_candidate_that_died_is_fenced_then_started_again() -> None:
    decision = decide(cluster(dead("a"), dead("b"), quiet("c"), record=INTENDED), NOW_S)
    assert decision.actions[0] == act.Fence("b")
    decision = decide(cluster(dead("a"), dead("b", is_proved_dead=True), quiet("c"), record=INTENDED), NOW_S)
    assert decision.actions == (act.StartStandby("b", None),)


def test_lost_candidate_that_had_more_is_not_replaced_by_one_that_has_less() -> None:
    lost = dead("b", is_proved_dead=True, failures=START_FAILURES_MAX)
    decision = decide(cluster(dead("a"), lost, quiet("c", lsn=90), record=INTENDED), NOW_S)
    assert decision.reason == "no_candidate_has_it_all"
    assert act.StartStandby("b", None) in decision.actions, "nobody else has it: it is tried again"
    decision = decide(cluster(dead("a"), lost, quiet("c", lsn=100), record=INTENDED), NOW_S)
    assert decision.reason == "candidate_elected"


def test_new_primary_is_followed_and_its_history_kept_before_clients_come() -> None:
    promoted = replace(PROMOTED, is_history_kept=False)
    decision = decide(cluster(dead("a"), promoted, quiet("c", lsn=90), record=INTENDED), NOW_S)
    assert decision.reason == "primary_promoted"
    assert decision.actions[:3] == (act.Admit("c"), act.Follow("c", "b"), act.KeepHistory("b"))
    assert not [action for action in decision.actions if isinstance(action, act.OpenFor | act.Rejoin)]


def test_standby_past_the_fork_is_fenced_and_not_led_to_the_new_primary() -> None:
    decision = decide(cluster(dead("a"), PROMOTED, quiet("c", lsn=120), record=INTENDED), NOW_S)
    assert decision.actions[:2] == (act.Disqualify("c"), act.Fence("c"))


def test_endpoint_opens_when_enough_have_flushed_what_the_primary_opened_with() -> None:
    joined = replace(INTENDED, joined={"a": 1, "b": 2, "c": 2})
    behind = replace(PROMOTED, followers=primary(followers="c", lsn=100).followers)
    assert decide(cluster(dead("a"), behind, standby("c", upstream="b"), record=joined), NOW_S).reason == (
        "primary_promoted"
    )
    reached = replace(PROMOTED, followers=primary(followers="c", lsn=101).followers)
    decision = decide(cluster(dead("a"), reached, standby("c", lsn=101, upstream="b"), record=joined), NOW_S)
    assert decision.reason == "endpoint_opened"
    assert decision.actions == (act.OpenFor("b", "b.1"), act.Publish(Routing("b", ("c",))))


def test_endpoint_stays_closed_while_a_follower_is_not_known_as_one_of_this_generation() -> None:
    """An election would take its acknowledgements for nothing. Seed 2041469 of the simulation."""
    reached = replace(PROMOTED, followers=primary(followers="c", lsn=101).followers)
    follower = standby("c", lsn=101, upstream="b")
    decision = decide(cluster(dead("a"), reached, follower, record=INTENDED), NOW_S)
    assert decision.reason == "primary_promoted"
    assert "c must be admitted again" in decision.message
    assert act.Quiesce(("c",)) in decision.actions


def test_standbys_that_are_of_no_use_are_mended_before_clients_come() -> None:
    joined = replace(INTENDED, joined={"a": 1, "b": 2, "c": 2})
    never_starts = dead("c", failures=START_FAILURES_MAX)
    decision = decide(cluster(dead("a"), PROMOTED, never_starts, record=joined), NOW_S)
    assert act.Clone("a", "b", 2) in decision.actions
    assert act.Clone("c", "b", 2) in decision.actions
    frozen = standby("c", upstream="b", is_stopped=True)
    before = cluster(dead("a"), PROMOTED, frozen, record=joined)
    symptoms = Symptoms(since_s={(Symptom.STOPPED, "c"): NOW_S - FROZEN_S_MAX})
    assert act.Fence("c") in decide(replace(before, symptoms=symptoms), NOW_S).actions


def test_standby_that_is_being_copied_is_not_killed_for_what_was_seen_before() -> None:
    before = cluster(primary(followers="b"), dead("c", operation="clone"))
    seen = Symptoms(since_s={(Symptom.STOPPED, "c"): NOW_S - FROZEN_S_MAX})
    assert act.Fence("c") not in decide(replace(before, symptoms=seen), NOW_S).actions


def test_old_primary_is_rewound_once_its_successor_serves() -> None:
    served = replace(
        INTENDED,
        joined={"a": 1, "b": 2, "c": 2},
        opened_for="b.1",
        promotion=Promotion("b", "a", PromotionPhase.CONFIRMED),
    )
    well = replace(PROMOTED, followers=primary(followers="c", lsn=101).followers)
    follower = standby("c", lsn=101, upstream="b")
    nodes = (dead("a"), well, follower)
    assert act.Rejoin("a", "b", 2) in decide(cluster(*nodes, record=served), NOW_S).actions
    full = (dead("a", own_free_bytes=OWN_FREE_BYTES_MIN - 1), well, follower)
    waiting = decide(cluster(*full, record=served), NOW_S).actions
    assert not [action for action in waiting if isinstance(action, act.Rejoin | act.Clone)], "it waits for room"
    failed = (dead("a", failures=1), well, follower)
    assert act.Clone("a", "b", 2) in decide(cluster(*failed, record=served), NOW_S).actions
    rewound = (dead("a", restored_generation=2), well, follower)
    still_led_there = decide(cluster(*rewound, record=served), NOW_S).actions
    assert act.StartStandby("a", "b") not in still_led_there, "writers would reach a standby"
    actions = decide(cluster(*rewound, record=served, published=Routing("b", ("c",))), NOW_S).actions
    assert actions[:2] == (act.Admit("a"), act.StartStandby("a", "b"))


def test_with_as_many_standbys_as_a_commit_waits_for_the_old_primary_is_cloned_to_open_the_endpoint() -> None:
    alone = replace(INTENDED, members=("a", "b"), standing={"a": Standing.FENCED, "b": Standing.VOTER})
    decision = decide(cluster(dead("a"), PROMOTED, record=alone), NOW_S)
    assert act.Clone("a", "b", 2) in decision.actions
    assert not [action for action in decision.actions if isinstance(action, act.Rejoin | act.OpenFor)]


def test_dead_primary_is_started_where_it_was_when_whoever_were_promoted_could_acknowledge_nothing() -> None:
    small = record(standbys=1)
    died = cluster(dead("a", is_proved_dead=True), standby("b"), record=small, published=Routing(None, ("b",)))
    decision = decide(died, NOW_S)
    assert decision.reason == "primary_restarts_in_place"
    assert decision.actions[:2] == (act.NoteCause(Symptom.DIED, "a"), act.StartPrimary("a"))
    tried = replace(died, symptoms=Symptoms(acted_at_s={(Symptom.DIED, "a"): NOW_S - 1.0}))
    assert decide(tried, NOW_S).reason == "primary_died", "it died again at once"
    for changes in ({"exists": False}, {"failures": 1}):
        lost = dead("a", is_proved_dead=True, **changes)
        assert decide(cluster(lost, standby("b"), record=small), NOW_S).reason == "primary_died"


def test_primary_whose_own_disk_is_full_hands_over_to_those_that_have_room() -> None:
    full = primary(own_free_bytes=OWN_FREE_BYTES_MIN - 1)
    decision = decide(cluster(full), NOW_S)
    assert decision.reason == "primary_disk_full"
    assert "b, c have room" in decision.message
    assert act.Fence("a") in decision.actions
    assert decide(cluster(primary(own_free_bytes=OWN_FREE_BYTES_MIN)), NOW_S).reason == "all_well"
    nobody_better = cluster(full, standby("b", own_free_bytes=0), standby("c", own_free_bytes=0))
    assert decide(nobody_better, NOW_S).reason != "primary_disk_full"


def test_dead_standby_is_started_where_it_was() -> None:
    decision = decide(cluster(dead("c"), primary(followers="b")), NOW_S)
    assert decision.reason == "member_rejoining"
    assert act.StartStandby("c", "a") in decision.actions


def test_failed_start_waits_before_it_is_repeated() -> None:
    decision = decide(cluster(dead("c", failures=1, retry_at_s=NOW_S + 1)), NOW_S)
    assert not [action for action in decision.actions if isinstance(action, act.StartStandby)]


def test_standby_without_data_is_cloned_and_still_counts() -> None:
    decision = decide(cluster(dead("c", exists=False), primary(followers="b")), NOW_S)
    assert act.Clone("c", "a", 1) in decision.actions
    assert not [action for action in decision.actions if isinstance(action, act.Disqualify)]


def test_lost_quorum_is_told() -> None:
    decision = decide(cluster(primary(followers=""), dead("b", failures=1), dead("c", failures=1)), NOW_S)
    assert decision.reason == "writes_wait_for_standbys"
    assert "0 standbys stream, a COMMIT needs 1" in decision.message


def test_standby_that_has_yet_to_catch_up_gets_no_readers() -> None:
    decision = decide(cluster(standby("c", lsn=5)), NOW_S)
    assert act.Publish(Routing("a", ("b",))) in decision.actions


@pytest.mark.parametrize("stage", [Stage.CREATING, Stage.PREPARED])
def test_clients_come_only_to_a_finished_cluster(stage: Stage) -> None:
    decision = decide(cluster(record=record(stage=stage, opened_for=""), published=None), NOW_S)
    assert not [action for action in decision.actions if isinstance(action, act.Publish | act.OpenFor)]
