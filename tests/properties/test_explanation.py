"""`why` answers whatever was recorded: it never fails, never loses an event's number, and invents none."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from colonnade.core.events import Event
from colonnade.system.episodes import ROLES, episodes_of
from colonnade.system.explanation import About, Facts, Question, explain

KINDS = [
    *ROLES,
    *("replica_exited", "replica_killed", "replica_draining", "replica_sick", "service_scaled", "node_exited"),
    *(
        "controller_started",
        "system_stopping",
        "database_assessed",
        "gateway_server_down",
        "gateway_changed",
        "rollout_started",
        "rollout_undoing",
        "unheard_of",
    ),
]
REASONS = ["wanted", "not_wanted", "exited", "stuck", "all_well", "primary_died", "starting", "asked", "other"]
SUBJECTS = ["web/1", "web/2", "web", "gateway", "database", "database/a", "controller", "system"]
MESSAGES = ["web/1 was ended by signal 9", "web/1 is out of rotation: L7TOUT", "writers to b", "", "{odd} text %s"]

LINES = st.lists(
    st.tuples(st.sampled_from(KINDS), st.sampled_from(SUBJECTS), st.sampled_from(REASONS), st.sampled_from(MESSAGES)),
    max_size=25,
)
QUESTIONS = st.sampled_from(
    [
        *(Question(About.EVERYTHING), Question(About.REPLICA, "web/1"), Question(About.SERVICE, "web")),
        *(Question(About.SCALED), Question(About.SLOW), Question(About.DATABASE), Question(About.PART, "gateway")),
    ]
)


def events_from(lines: list[tuple[str, str, str, str]]) -> list[Event]:
    return [
        Event(number, float(number), kind, subject, reason, message, {"log_tail": ["x"]} if number % 2 else {})
        for number, (kind, subject, reason, message) in enumerate(lines, 1)
    ]


@given(lines=LINES, question=QUESTIONS)
def test_every_question_has_an_answer_that_rests_on_what_was_recorded(
    lines: list[tuple[str, str, str, str]], question: Question
) -> None:
    events = events_from(lines)
    answer = explain(question, Facts(events, None, 100.0))
    assert answer
    assert all(sentence.text for sentence in answer if not sentence.events) or not events
    told = [seq for sentence in answer for seq in sentence.events]
    assert set(told) <= {event.seq for event in events}
    starts = [sentence.at_s for sentence in answer if sentence.at_s is not None]
    assert starts == sorted(starts, reverse=True)


@given(lines=LINES)
def test_no_event_is_in_two_episodes_and_each_begins_where_it_says(lines: list[tuple[str, str, str, str]]) -> None:
    episodes = episodes_of(events_from(lines))
    seqs = [event.seq for episode in episodes for event in episode.events]
    assert len(seqs) == len(set(seqs))
    for episode in episodes:
        assert [event.seq for event in episode.events] == sorted(event.seq for event in episode.events)
        assert episode.began_at_s == episode.events[0].at_s
