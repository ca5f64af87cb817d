"""How long something is wrong with a node, from one look to the next."""

from __future__ import annotations

from dataclasses import replace

import pytest

from colonnade.database.cluster import Cluster
from colonnade.database.decide import decide
from colonnade.database.state import Follower, ObservedNode, Position
from colonnade.database.symptoms import NO_SYMPTOMS, PAUSE_S_MAX, Symptom, Symptoms, note
from colonnade.database.takeover import CUT_OFF_S_MAX

from .builders import NOW_S, cluster, primary, record, standby

CUT_OFF = (Symptom.CUT_OFF, "a")


def streaming_primary(flushed: int, **followers: int) -> ObservedNode:
    """A primary that has flushed so far, and how far each of its followers has."""
    seen = tuple(Follower(name, "streaming", "quorum", lsn, lsn) for name, lsn in followers.items())
    return replace(primary(followers=""), position=Position(1, flushed), followers=seen)


def looks(*primaries: ObservedNode, acknowledgements: int = 1) -> Symptoms:
    """One a second, the last one at NOW_S."""
    known = record(acknowledgements=acknowledgements)
    symptoms = NO_SYMPTOMS
    for index, node in enumerate(primaries):
        now = NOW_S - (len(primaries) - 1 - index)
        symptoms = note(symptoms, known, cluster(node, record=known).nodes, now)
    return symptoms


def test_a_link_that_carries_nothing_counts_from_the_last_confirmation() -> None:
    """The primary itself takes a silent connection for good until wal_sender_timeout."""
    symptoms = looks(
        streaming_primary(100, b=100, c=100), streaming_primary(160, b=120, c=120), streaming_primary(160, b=120, c=120)
    )
    assert symptoms.lasts_s(*CUT_OFF, NOW_S) == 1.0


@pytest.mark.parametrize(
    ("before", "now", "acknowledgements", "why"),
    [
        (streaming_primary(160, b=120, c=120), streaming_primary(900, b=130, c=120), 1, "a slow link moves"),
        (streaming_primary(160, b=120, c=160), streaming_primary(900, b=120, c=170), 1, "the other one confirms"),
        (streaming_primary(160, b=160, c=160), streaming_primary(160, b=160, c=160), 1, "nobody writes"),
        (streaming_primary(160, b=160, c=160), streaming_primary(900, b=160, c=160), 1, "it was written just now"),
        (streaming_primary(160, b=0, c=0), streaming_primary(160, b=0, c=0), 0, "nobody has to confirm"),
        (
            streaming_primary(160, b=120, c=120),
            replace(streaming_primary(900, b=120, c=120), process_key="a.2"),
            1,
            "it was started anew meanwhile",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_nobody_is_cut_off_while(before: ObservedNode, now: ObservedNode, acknowledgements: int, why: str) -> None:
    assert looks(before, now, acknowledgements=acknowledgements).lasts_s(*CUT_OFF, NOW_S) is None, why


def test_one_of_two_that_are_needed_does_not_confirm() -> None:
    seen = streaming_primary(160, b=160, c=120)
    assert looks(seen, seen, acknowledgements=1).lasts_s(*CUT_OFF, NOW_S) is None
    assert looks(seen, seen, acknowledgements=2).lasts_s(*CUT_OFF, NOW_S) == 1.0


def test_a_pause_of_the_controller_blames_nobody() -> None:
    seen, known = streaming_primary(160, b=120, c=120), record()
    symptoms = NO_SYMPTOMS
    for now in (NOW_S - PAUSE_S_MAX - 1, NOW_S):
        symptoms = note(symptoms, known, cluster(seen).nodes, now)
    assert symptoms.lasts_s(*CUT_OFF, NOW_S) is None


def test_a_lost_connection_goes_on_where_the_silence_was() -> None:
    silent, gone = streaming_primary(160, b=120, c=120), streaming_primary(160)
    assert looks(silent, silent, gone).lasts_s(*CUT_OFF, NOW_S) == 2.0


def stalled(*, reached_from: str) -> Cluster:
    """Two standbys stream in name only, and reach each other."""
    seen = replace(streaming_primary(160, b=120, c=120), reached_from=frozenset(reached_from))
    others = (standby("b", reached_from=frozenset("c")), standby("c", reached_from=frozenset("b")))
    symptoms = Symptoms(since_s={CUT_OFF: NOW_S - CUT_OFF_S_MAX})
    return cluster(seen, *others, symptoms=symptoms)


def test_a_primary_that_is_reached_by_nobody_is_given_up() -> None:
    assert decide(stalled(reached_from=""), NOW_S).reason == "primary_cut_off"


def test_standbys_that_reach_the_primary_and_do_not_confirm_have_slow_disks() -> None:
    assert decide(stalled(reached_from="bc"), NOW_S).reason != "primary_cut_off"
    assert decide(stalled(reached_from="b"), NOW_S).reason != "primary_cut_off", "one is enough for a COMMIT"
