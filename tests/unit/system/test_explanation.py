"""Questions and their answers: from recorded events and the status, in sentences, and no word more than that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from colonnade.core.errors import SpecError
from colonnade.core.events import Event
from colonnade.system.explanation import About, Facts, Question, explain, parse_question
from colonnade.system.sentences import Sentence, duration, listed

from .why_builders import ALL_WELL, WEB, Line, events_of, replica, service, status_of


def ask(words: str, events: Sequence[Event] = (), status: Mapping[str, Any] | None = ALL_WELL) -> list[Sentence]:
    facts = Facts(events, status, now_s=1000.0)
    return explain(parse_question(words.split(), facts), facts)


# What was asked


@pytest.mark.parametrize(
    ("words", "question"),
    [
        ("", Question(About.EVERYTHING)),
        ("web-1", Question(About.REPLICA, "web/1")),
        ("web/2", Question(About.REPLICA, "web/2")),
        ("web", Question(About.SERVICE, "web")),
        ("api-2", Question(About.SERVICE, "api-2")),
        ("api-2-1", Question(About.REPLICA, "api-2/1")),
        ("scaled", Question(About.SCALED)),
        ("scaled web", Question(About.SCALED, "web")),
        ("slow web", Question(About.SLOW, "web")),
        ("db", Question(About.DATABASE)),
        ("failover", Question(About.DATABASE)),
        ("gateway", Question(About.PART, "gateway")),
    ],
)
def test_a_question_names_a_thing_or_a_kind_of_reason(words: str, question: Question) -> None:
    facts = Facts([], status_of(WEB, service("api-2", replica("api-2/1"))), 0.0)
    assert parse_question(words.split(), facts) == question


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("wbe", "did you mean `web`?"),
        ("web-3", "did you mean `web/"),
        ("scaled wbe", "did you mean `web`?"),
        ("slwo", "did you mean `slow`?"),
        (
            "zzz",
            "you may ask about: web, web/1, web/2, gateway, dbgate, controller, keeper, scaled, slow, db, failover",
        ),
        ("web api", "one thing at a time"),
    ],
)
def test_what_nobody_knows_is_refused_with_the_nearest(words: str, hint: str) -> None:
    with pytest.raises(SpecError) as caught:
        ask(words)
    assert hint in f"{caught.value} {caught.value.hint}"


def test_of_a_system_that_is_down_the_records_say_whom_one_may_ask_about() -> None:
    events = events_of((900.0, "replica_ready", "shop/2", "probe_succeeded", "shop/2 is ready after 0.5 s"))
    assert parse_question(["shop-2"], Facts(events, None, 0.0)) == Question(About.REPLICA, "shop/2")


# Replicas

EXITED = (900.0, "replica_exited", "web/1", "exited", "web/1 exited with code 3; it starts again now")
KILLED_BY_NOBODY = (900.0, "replica_exited", "web/1", "exited", "web/1 was ended by signal 9; it starts again now")
SERVER_DOWN = (899.0, "gateway_server_down", "gateway", "check_failed", "web/1 is out of rotation: L7TOUT")
STUCK = (
    *(900.0, "replica_killed", "web/1", "stuck"),
    "web/1 runs but fails its health checks for 1.0 s (limit 1.0 s)",
)
STARTED = (900.1, "replica_started", "web/1", "restart", "web/1 starts again (restart 1)")
READY = (900.6, "replica_ready", "web/1", "probe_succeeded", "web/1 is ready after 0.50 s")
SERVER_UP = (900.7, "gateway_server_up", "gateway", "check_passed", "web/1 is in rotation again")
SCALED_UP = (800.0, "service_scaled", "web", "asked", "web goes from 2 to 4 replicas")
SICK = (
    *(890.0, "replica_sick", "web/1", "latency_outlier"),
    "web/1 answers after 250 ms, its peers after 50 ms (limit 3 times)",
)
DRAINING = (890.1, "replica_draining", "web/1", "replaced", "web/1 is replaced")
STOPPED = (891.0, "replica_stopped", "web/1", "stopped", "web/1 has stopped")


@pytest.mark.parametrize(
    ("lines", "says", "hint"),
    [
        (
            [EXITED, STARTED, READY],
            "web/1 exited with code 3; it starts again now; it was ready again 0.60 s later",
            "`colonnade logs web/1` has all that it said",
        ),
        (
            [KILLED_BY_NOBODY, STARTED, READY],
            "web/1 was ended by signal 9; it starts again now; Colonnade did not send that signal, and who did is not "
            "recorded; it was ready again 0.60 s later",
            "when nobody sent it by hand, the kernel's out-of-memory killer is a usual sender: see `dmesg`",
        ),
        (
            [SERVER_DOWN, STUCK, KILLED_BY_NOBODY, STARTED, READY, SERVER_UP],
            "web/1 was taken out of rotation by the gateway, since it did not answer the health check in time; it runs "
            "but fails its health checks for 1.0 s (limit 1.0 s), so it was killed; it was ready again 1.60 s later",
            "`colonnade logs web/1` shows what it did last; often it is a lock, or a blocked event loop",
        ),
        (
            [SERVER_DOWN, (899.5, "gateway_server_up", "gateway", "check_passed", "web/1 is in rotation again")],
            "web/1 was taken out of rotation by the gateway, since it did not answer the health check in time; it was "
            "in rotation again 0.50 s later",
            "",
        ),
        (
            [SICK, DRAINING, STOPPED],
            "web/1 answers after 250 ms, its peers after 50 ms (limit 3 times); it had stopped 1.00 s later",
            "`colonnade logs web/1` shows what it did last",
        ),
        (
            [(900.0, "replica_turned_blue", "web/1", "blue", "web/1 turned blue at 7 o'clock")],
            "web/1 turned blue at 7 o'clock; it has not been ready since",
            "",
        ),
        (
            [(900.0, "replica_exited", "web/1", "exited", "web/1 ended; it starts again now"), STARTED, READY],
            "web/1 ended; it starts again now; with which code is not recorded: the controller that had started it was "
            "gone; it was ready again 0.60 s later",
            "`colonnade logs web/1` has all that it said",
        ),
        (
            [EXITED, STARTED, (905.0, "system_stopping", "system", "phase_changed", "`down`")],
            "web/1 exited with code 3; it starts again now; the system went down before that was over",
            "`colonnade logs web/1` has all that it said",
        ),
    ],
    ids=[
        *("it exited", "a signal from nobody", "stuck", "a short dip", "sick", "a kind nobody told us about"),
        *("an adopted one ended", "cut off by a down"),
    ],
)
def test_what_happened_to_a_replica_is_one_sentence(lines: list[Line], says: str, hint: str) -> None:
    now, told = ask("web-1", events_of(*lines))
    assert now.text == "web/1 is ready (pid 7, 0 requests in flight, never restarted; the gateway has it as UP)"
    assert now.at_s is None
    assert (told.text, told.hint) == (says, hint)
    assert told.at_s == lines[0][0]


def test_the_last_words_are_the_exception() -> None:
    tail = ["Traceback (most recent call last):", '  File "app.py", line 1', "ValueError: no such post", "[ERROR] bye"]
    assert '(its last words: "ValueError: no such post")' in ask("web-1", events_of(EXITED, log_tail=tail))[1].text


def test_of_a_crash_loop_the_first_and_the_last_failure_are_told() -> None:
    lines = [(float(n), "replica_exited", "web/1", "exited", f"web/1 exited with code {n}") for n in range(1, 8)]
    told = ask("web-1", events_of(*lines))[1].text
    assert told == "web/1 exited with code 1; 5 more of that; it exited with code 7; it has not been ready since"


def test_the_newest_is_told_first_and_every_sentence_names_its_events() -> None:
    again: list[Line] = [(line[0] + 50, *line[1:]) for line in (EXITED, STARTED, READY)]
    events = events_of(EXITED, STARTED, READY, *again)
    _, newest, older = ask("web-1", events)
    assert (newest.at_s, older.at_s) == (950.0, 900.0)
    assert (newest.events, older.events) == ((4, 5, 6), (1, 2, 3))


def test_who_came_because_somebody_asked_is_told_with_the_request() -> None:
    lines: list[Line] = [SCALED_UP]
    for number, at_s in ((3, 800.5), (4, 800.7)):
        name = f"web/{number}"
        lines.append((800.1, "replica_started", name, "wanted", f"{name} is wanted and not there"))
        lines.append((at_s, "replica_ready", name, "probe_succeeded", f"{name} is ready after 0.5 s"))
    events = events_of(*sorted(lines))
    asked = "asked for by `colonnade scale`: web goes from 2 to 4 replicas"
    assert ask("web", events)[1].text == f"{asked}; web/3 and web/4 were ready 0.70 s later"
    assert ask("web-3", events)[1].text == f"{asked}; web/3 was ready 0.50 s later"
    assert ask("scaled", events)[1:] == ask("scaled web", events)[1:] == ask("web", events)[1:]


def test_why_it_does_not_scale_is_told_as_well() -> None:
    scaling = {"mode": "auto", "reason": "limit_cores", "message": "web stays at 2: 4 would do, 2 cores are there"}
    facts = Facts([], status_of(service("web", replica("web/1"), replica("web/2"), scaling=scaling)), 1000.0)
    told = explain(Question(About.SCALED, "web"), facts)
    assert [one.reason for one in told] == ["as_wanted", "limit_cores", "never_scaled"]
    assert told[1].text == "the autoscaler: web stays at 2: 4 would do, 2 cores are there"
    fixed = Facts([], status_of({**WEB, "scaling": {"mode": "fixed", "reason": "fixed", "message": "…"}}), 1000.0)
    assert [one.reason for one in explain(Question(About.SCALED, "web"), fixed)] == ["as_wanted", "never_scaled"]


def test_a_decision_of_the_autoscaler_is_told_with_its_numbers() -> None:
    message = "web goes from 2 to 3 replicas: 14.2 of 16 places are busy (0.89, wanted 0.70)"
    told = ask("scaled", events_of((990.0, "service_scaled", "web", "utilization_high", message)))[1]
    assert (told.text, told.reason) == (message, "utilization_high")


ROLLOUT: list[Line] = [
    (900.0, "rollout_started", "web", "asked", "web becomes version 2"),
    (900.1, "replica_started", "web/3", "wanted", "web/3 is wanted and not there"),
    (900.9, "replica_ready", "web/3", "probe_succeeded", "web/3 is ready after 0.80 s"),
    (901.0, "rollout_judging", "web", "first_ones_ready", "web/3 of version 2 is ready, and is compared for 10 s"),
    (
        905.0,
        "rollout_undoing",
        "web",
        "errs_more",
        "version 2 is worse: 5.1 % of 200 answers failed, of version 1 none",
    ),
    (905.1, "replica_draining", "web/3", "not_wanted", "web/3 is no longer wanted"),
    (905.5, "replica_stopped", "web/3", "stopped", "web/3 has stopped"),
    (905.6, "rollout_undone", "web", "undone", "web runs version 1"),
]


def test_a_rollout_that_was_undone_is_one_story_with_its_reason() -> None:
    (told,) = ask("web", events_of(*ROLLOUT))[1:]
    assert told.text == (
        "web becomes version 2; web/3 of version 2 is ready, and is compared for 10 s; version 2 is worse: 5.1 % of "
        "200 answers failed, of version 1 none; 5.60 s later: web runs version 1; web/3 was ready 0.90 s later; web/3 "
        "was gone 5.50 s later"
    )
    assert told.hint == "`colonnade logs web`, correct it, then `colonnade deploy` again"


def test_a_rollout_that_goes_on_says_so() -> None:
    (told,) = ask("web", events_of(*ROLLOUT[:4]))[1:]
    assert "; it is not over; " in told.text


@pytest.mark.parametrize("words", ["web", "web-1", "scaled", "db", "gateway"])
def test_what_is_not_recorded_is_said_to_be_so(words: str) -> None:
    assert "recorded" in ask(words)[-1].text


# The database

FAILOVER: list[Line] = [
    (
        500.00,
        "database_assessed",
        "database",
        "primary_died",
        "a does not run; 2 standbys do, so one of them takes over",
    ),
    (500.00, "node_exited", "database/a", "process_ended", "the server 9 ended; its last words are in db-a.log"),
    (500.01, "node_fenced", "database/a", "primary_died", "a does not run; 2 standbys do, so one of them takes over"),
    (500.02, "routes_published", "database", "routes_changed", "writers wait, readers to b, c"),
    (500.20, "node_promoted", "database/b", "candidate_elected", "b has all that b, c have"),
    (500.40, "routes_published", "database", "routes_changed", "writers to b, no standby has readers"),
    (503.00, "database_assessed", "database", "all_well", "b is primary, standbys that stream: c"),
    (503.00, "failover_finished", "database", "all_members_stream", "a → b in 0.54 s (detect 18 ms)"),
    (503.10, "routes_published", "database", "routes_changed", "writers to b, readers to a, c"),
]


def test_a_failover_is_one_sentence_from_its_cause_to_its_end() -> None:
    _, told = ask("failover", events_of(*FAILOVER))
    assert told.text == (
        "a: the server 9 ended; its last words are in db-a.log; a does not run; 2 standbys do, so one of them takes "
        "over; b was promoted 0.20 s later: b has all that b, c have; writers had a primary again 0.40 s after it "
        "began; 3.00 s after it began all was well: a → b in 0.54 s (detect 18 ms)"
    )


def test_a_switchover_is_told_as_asked_for_and_not_as_a_death() -> None:
    asked = (499.0, "database_assessed", "database", "switchover_closes_endpoint", "writers wait while b gets a's WAL")
    died = FAILOVER[0]
    _, told = ask("db", events_of(asked, died, *FAILOVER[2:]))
    assert told.text.startswith("a switchover was asked for: writers wait while b gets a's WAL; b was promoted 1.20 s")
    assert "does not run" not in told.text


def test_a_failover_that_is_not_over_says_so() -> None:
    _, told = ask("db", events_of(*FAILOVER[:3]))
    assert told.text.endswith("it is not over")


# Everything


def test_without_a_name_what_is_not_as_declared_comes_first_with_its_cause() -> None:
    web = service("web", replica("web/1", "waiting", pid=None), replica("web/2"))
    status = status_of(web, problems=["web: 1 of 2 replicas are ready"])
    later = (950.0, "gateway_exited", "gateway", "process_ended", "pid 4 ended with -9 after 30.0 s")
    answer = [sentence.text for sentence in ask("", events_of(EXITED, later), status)]
    assert answer[0] == "web: 1 of 2 replicas are ready"
    assert answer[1].startswith("web/1 exited with code 3")
    assert answer[2].startswith("pid 4 ended")


def test_without_a_name_all_well_is_said_with_numbers() -> None:
    database = {"external": False, "summary": "a is primary", "writable": True}
    (told,) = ask("", [], status_of(WEB, database=database))
    assert told.text == "all is as wanted (running): web has 2 of 2 replicas ready; database: a is primary"


@pytest.mark.parametrize(
    ("lines", "failure", "says"),
    [
        ([], "", "nothing runs here, and nothing ever ran"),
        (
            [(940.0, "system_stopping", "system", "phase_changed", "x")],
            "",
            "nothing runs here: it was taken down 60 s ago",
        ),
        ([(940.0, "system_running", "system", "phase_changed", "x")], "", "how it ended is not recorded"),
        ([(940.0, "system_stopping", "system", "phase_changed", "x")], "web: no", "the last start failed: web: no"),
    ],
)
def test_of_a_system_that_is_down_the_end_is_told_as_far_as_it_is_known(
    lines: list[Line], failure: str, says: str
) -> None:
    answer = explain(Question(About.EVERYTHING), Facts(events_of(*lines), None, 1000.0, failure=failure))
    assert says in answer[0].text


@pytest.mark.parametrize(
    ("seconds", "says"),
    [(-1, "0.00 s"), (0.424, "0.42 s"), (12.3, "12 s"), (120, "2 min"), (7200, "2 h"), (200_000, "2 days")],
)
def test_durations_are_short(seconds: float, says: str) -> None:
    assert duration(seconds) == says


@pytest.mark.parametrize(("names", "says"), [(["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")])
def test_names_are_listed_as_people_do(names: list[str], says: str) -> None:
    assert listed(names) == says
