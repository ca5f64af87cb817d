"""A whole record for the tests of this folder: a clean drill of a minute, drawn from a seed.

Two nodes' logs, three faults, one of them a failover, a fourth that was skipped. Tests take it as it is, or replace
what they are about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from random import Random
from typing import Any

from colonnade.core.events import Event
from colonnade.drill.checkers.finding import Finding
from colonnade.drill.checkers.writes import Held
from colonnade.drill.load.history import History
from colonnade.drill.load.ledger import Kind, Operation, Outcome
from colonnade.drill.load.mix import token_of
from colonnade.drill.load.plan import Plan
from colonnade.drill.load.schedule import steps
from colonnade.drill.record import (
    Death,
    FaultEnd,
    FaultRecord,
    Leftovers,
    Machine,
    Promotion,
    Record,
    Sample,
    ServerLine,
)
from colonnade.drill.scenario import Aim, Extent, LoadPlan, PlannedFault, Role, RuleName, Scenario

from .builders import history

SEED = 7
RUN_ID = "run7"
STARTED_AT = 1_000.0
DURATION_S = 60.0
ENDED_AT = STARTED_AT + DURATION_S + 0.05
WALL_OFFSET_S = 1_764_000_000.0
OUTAGE = (20.0, 20.6)
"""From the killed primary until clients were let in, in seconds of the load."""

RULES: dict[RuleName, float] = {
    RuleName.LOST_WRITES_MAX: 0,
    RuleName.DOUBLED_WRITES_MAX: 0,
    RuleName.PHANTOM_WRITES_MAX: 0,
    RuleName.STALE_SESSION_READS_MAX: 0,
    RuleName.TWO_PRIMARIES_S_MAX: 0,
    RuleName.FAILED_READS_SHARE_MAX: 0.01,
    RuleName.FAILED_WRITES_SHARE_MAX: 0.05,
    RuleName.READ_GAP_S_MAX: 2.0,
    RuleName.WRITE_GAP_S_MAX: 3.0,
    RuleName.P99_MS_MAX: 250,
    RuleName.RECOVERY_S_MAX: 20,
    RuleName.LEFTOVERS_MAX: 0,
}


def at(offset_s: float) -> float:
    """A moment of the load on the record's clock."""
    return STARTED_AT + offset_s


def wall(offset_s: float) -> float:
    return at(offset_s) + WALL_OFFSET_S


def planned(kind: str, role: Role, at_s: float, lasts_s: float = 0.0, **aim: Any) -> PlannedFault:
    return PlannedFault(kind, Aim(role, **aim), at_s, lasts_s)


FAULTS = (
    FaultRecord(
        planned("kill", Role.REPLICA, 10, service="backend"),
        FaultEnd.DONE,
        "injected",
        "killed backend-2 (pid 4402)",
        ("backend-2",),
        injected_at=at(10),
        whole_at=at(12.5),
    ),
    FaultRecord(
        planned("kill", Role.PRIMARY, 20),
        FaultEnd.DONE,
        "injected",
        "killed node a, the primary (pid 4711)",
        ("a",),
        injected_at=at(20),
        whole_at=at(25),
    ),
    FaultRecord(
        planned("delay", Role.GATEWAY, 35, 6.0, towards=Role.REPLICA, service="backend"),
        FaultEnd.DONE,
        "injected",
        "delayed 2 links from the gateway to backend by 200 ms",
        ("gateway",),
        injected_at=at(35),
        healed_at=at(41),
        whole_at=at(41.5),
    ),
    FaultRecord(
        planned("fill_disk", Role.SYSTEM, 45, 5.0, extent=Extent.ALL),
        FaultEnd.SKIPPED,
        "no_bounded_file_system",
        "a small file system of its own needs root or a user namespace",
    ),
)

EVENTS: tuple[tuple[str, str, str, str, float, dict[str, Any]], ...] = (
    ("replica_exited", "backend/2", "process_ended", "backend/2 was ended by signal 9", 10.01, {}),
    ("replica_started", "backend/2", "missing", "2 of 3 backend replicas run", 10.2, {}),
    ("replica_ready", "backend/2", "answers", "backend/2 answers after 1.9 s", 12.2, {}),
    ("node_exited", "database/a", "process_ended", "the server 4711 ended; its last words are in db-a.log", 20.02, {}),
    ("database_assessed", "database", "primary_died", "the primary a is gone; 2 standbys run", 20.03, {}),
    ("node_fenced", "database/a", "primary_died", "every process of a is proved dead", 20.12, {}),
    ("node_promoted", "database/b", "candidate_elected", "b has everything up to 0/3000148", 20.4, {}),
    ("routes_published", "database", "routes_changed", "writers to b, readers to c", 20.6, {}),
    (
        "failover_finished",
        "database",
        "all_members_stream",
        "a → b in 0.58 s (detect 10 ms, fence 100 ms, elect 20 ms, promote 250 ms, reroute 200 ms, rejoin 4300 ms)",
        24.9,
        {
            "began_at_s": wall(20.02),
            "old_primary": "a",
            "new_primary": "b",
            "phases_s": {
                "detect": 0.01,
                "fence": 0.1,
                "elect": 0.02,
                "promote": 0.25,
                "reroute": 0.2,
                "rejoin": 4.3,
            },
        },
    ),
)

SERVER_LINES = (
    ("a", -30.0, "LOG:  starting PostgreSQL 18.6"),
    ("a", -29.9, "LOG:  database system is ready to accept connections"),
    ("a", 19.5, 'LOG:  standby "b" is now a candidate for quorum synchronous standby'),
    ("b", -25.0, "LOG:  starting PostgreSQL 18.6"),
    ("b", -24.9, "LOG:  database system is ready to accept read-only connections"),
    ("b", 20.2, "LOG:  received promote request"),
    ("b", 20.35, "LOG:  selected new timeline ID: 2"),
    ("b", 20.4, "LOG:  database system is ready to accept connections"),
    ("a", 22.0, "LOG:  starting PostgreSQL 18.6"),
    ("a", 22.3, "LOG:  database system is ready to accept read-only connections"),
    ("b", 70.0, "LOG:  received fast shutdown request"),
    ("b", 70.2, "LOG:  database system is shut down"),
)


def make_history(seed: int = SEED, rate_per_s: float = 100.0) -> History:
    """A clean load: slower while the primary is gone and while links are delayed, a few reads failing in between."""
    random = Random(seed)
    plan = Plan(
        url="http://127.0.0.1:18080",
        rate_per_s=rate_per_s,
        duration_s=DURATION_S,
        run_id=RUN_ID,
        session_share=0.2,
        seed=seed,
    )
    operations = [
        _operation(plan, number, step.offset_s, step.session, step.number, random)
        for number, step in enumerate(steps(plan, Random(seed)))
    ]
    ended = tuple(sorted(operations, key=lambda each: each.done_at))
    return History(plan, ended, STARTED_AT, ENDED_AT, cpu_s=2.4, connections_opened=31, dead_idle_connections=4)


def _operation(plan: Plan, number: int, offset_s: float, session: int, step: int, random: Random) -> Operation:
    is_write = step == 0 if session >= 0 else random.random() < plan.write_share
    took_s = random.lognormvariate(-4.2, 0.5) * (3 if is_write else 1)
    if is_write and OUTAGE[0] <= offset_s < OUTAGE[1]:
        took_s += OUTAGE[1] - offset_s
    if 35 <= offset_s < 41:
        took_s += 0.2
    has_failed = not is_write and session < 0 and OUTAGE[0] <= offset_s < OUTAGE[1] and random.random() < 0.3
    intended_at = at(offset_s)
    started_at = intended_at + random.uniform(0.0001, 0.001)
    done_at = min(started_at + took_s, ENDED_AT)
    return Operation(
        id=number,
        kind=Kind.WRITE if is_write else Kind.READ,
        action="create_post" if is_write else "own_in_list" if session >= 0 else "home",
        token=token_of(RUN_ID, number) if is_write else None,
        intended_at=intended_at,
        started_at=started_at,
        sent_at=started_at,
        first_byte_at=done_at,
        done_at=done_at,
        outcome=Outcome.FAILED if has_failed else Outcome.OK,
        status=503 if has_failed else 201 if is_write else 200,
        error="http_503" if has_failed else None,
        served_by=f"backend-{random.randint(1, 3)}",
        session=session if session >= 0 else None,
        found=True if session >= 0 and not is_write else None,
    )


def events(*rows: tuple[str, str, str, str, float, dict[str, Any]]) -> tuple[Event, ...]:
    return tuple(
        Event(number, wall(offset_s), kind, subject, reason, message, data)
        for number, (kind, subject, reason, message, offset_s, data) in enumerate(rows, start=1)
    )


def lines(*rows: tuple[str, float, str]) -> tuple[ServerLine, ...]:
    return tuple(ServerLine(node, wall(offset_s), text) for node, offset_s, text in rows)


def make_record(history: History | None = None, **fields: Any) -> Record:
    """The clean record, but for `fields`."""
    load = make_history() if history is None else history
    record = Record(
        scenario=Scenario(
            name="default",
            title="Whatever breaks, nothing acknowledged is lost and the site goes on.",
            load=LoadPlan(),
            faults=tuple(fault.planned for fault in FAULTS),
            rules=RULES,
        ),
        seed=SEED,
        run_id=RUN_ID,
        command="colonnade drill run default --seed 7",
        versions={"colonnade": "0.1.0", "postgresql": "18.6", "haproxy": "2.8.20", "granian": "2.8.7"},
        declaration_sha256="5f" * 32,
        machine=Machine(2, 8_000_000_000, "6.1.0", "3.12.3", "a processor", "ext4 on /dev/vda1", 0.2, is_root=False),
        application="blog (apps/blog)",
        began_at_wall_s=wall(-40),
        wall_offset_s=WALL_OFFSET_S,
        is_interrupted=False,
        topology_before={"services": [{"name": "backend", "desired": 3}], "database": {"primary": "a"}},
        topology_after={"services": [{"name": "backend", "desired": 3}], "database": {"primary": "b"}},
        history=load,
        faults=FAULTS,
        events=events(*EVENTS),
        samples=tuple(_sample(half / 2) for half in range(-2, int(DURATION_S) * 2 + 4)),
        held=held_of(load.operations),
        held_problem="",
        server_lines=lines(*SERVER_LINES),
        promotions=(Promotion("b", 2, "0/3000148"),),
        leftovers=Leftovers(),
        deaths=(Death("a", 4711, at(20.001)),),
        untested=("The network between machines: everything runs on one.",),
    )
    return replace(record, **fields)


def held_of(operations: Sequence[Operation]) -> tuple[Held, ...]:
    """What a system holds that has kept every acknowledged write, once."""
    return tuple(Held(str(each.id), each.token) for each in operations if each.token and each.outcome is Outcome.OK)


def _sample(offset_s: float) -> Sample:
    is_broken = 10 <= offset_s < 12.5 or 20 <= offset_s < 25
    return Sample(
        at=at(offset_s),
        is_answered=True,
        problems=("something is missing",) if is_broken else (),
        ready={"backend": 2 if 10 <= offset_s < 12.5 else 3, "frontend": 2},
        desired={"backend": 3, "frontend": 2},
        primary="a" if offset_s < 20 else "b",
        is_writable=not OUTAGE[0] <= offset_s < OUTAGE[1],
        nodes={"a": "primary", "b": "standby", "c": "standby"},
    )


@cache
def clean_record() -> Record:
    """Made once: it is frozen, and drawing six thousand operations takes longer than most tests."""
    return make_record()


def small_record(*operations: Operation, rules: dict[RuleName, float] | None = None, **fields: Any) -> Record:
    """A record of few operations, from second 0 to 10, without faults: for tests of one checker."""
    scenario = replace(clean_record().scenario, rules=RULES if rules is None else rules, faults=())
    nothing: dict[str, Any] = {"faults": (), "events": (), "held": held_of(operations)}
    return replace(clean_record(), **{"scenario": scenario, "history": history(*operations), **nothing, **fields})


def the(findings: Sequence[Finding], rule: RuleName) -> Finding:
    """The one finding about this rule."""
    (found,) = [each for each in findings if each.rule is rule]
    return found
