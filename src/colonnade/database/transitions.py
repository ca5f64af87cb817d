"""What a node may become, and what that means for the people on call.

The table is the law: the controller looks every action up here before doing it. A test proves that every goal `decide`
can set has its edge. States are explained in `state.py`. Edges that nobody decides (a process dies, a clone is
complete) are observations and do not appear.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from colonnade.database.state import NodeState as S


class Phase(Enum):
    """Which part of a node's life an edge belongs to."""

    START = "start"
    FAILOVER = "failover"
    REJOIN = "rejoin"
    REPAIR = "repair"


@dataclass(frozen=True, slots=True)
class Transition:
    sentence: str
    phase: Phase


def _edge(phase: Phase, sentence: str) -> Transition:
    return Transition(sentence, phase)


TRANSITIONS: Mapping[tuple[S, S], Transition] = {
    # Starting what stands still.
    (S.STOPPED, S.PRIMARY): _edge(Phase.START, "start in place: nobody else was meant to be promoted since it ran"),
    (S.STOPPED, S.STANDBY): _edge(Phase.START, "start and follow: its history is known to be the primary's"),
    (S.STOPPED, S.QUIESCED): _edge(Phase.START, "start and follow nobody, so that its position can be compared first"),
    # Losing a primary.
    (S.STOPPED, S.FENCED): _edge(Phase.FAILOVER, "its postmaster ended: kill what it left behind, and prove it"),
    (S.ABSENT, S.FENCED): _edge(Phase.FAILOVER, "its directory is gone, its processes may not be"),
    (S.STARTING, S.FENCED): _edge(Phase.FAILOVER, "it must not come up now: kill it before it does"),
    (S.SILENT, S.FENCED): _edge(Phase.FAILOVER, "it runs and does not answer: freeze it, kill all of it, prove it"),
    (S.PRIMARY, S.FENCED): _edge(Phase.FAILOVER, "it is to serve no longer: every process proved dead"),
    (S.STRAY, S.FENCED): _edge(Phase.FAILOVER, "a second primary: what it accepts would be lost, so it is killed"),
    (S.PROMOTING, S.FENCED): _edge(Phase.FAILOVER, "a promotion that timed out may still happen: kill it first"),
    (S.FENCED, S.FENCED): _edge(Phase.FAILOVER, "fencing again changes nothing"),
    (S.STANDBY, S.QUIESCED): _edge(Phase.FAILOVER, "stop receiving, replay what is there, stand still to be compared"),
    (S.QUIESCED, S.QUIESCED): _edge(Phase.FAILOVER, "quiescing again changes nothing"),
    (S.QUIESCED, S.PROMOTING): _edge(Phase.FAILOVER, "elected: the intention is on disk before anything else"),
    (S.PROMOTING, S.PRIMARY): _edge(Phase.FAILOVER, "end its readers' sessions and leave recovery on a new timeline"),
    (S.FENCED, S.QUIESCED): _edge(Phase.FAILOVER, "the node meant to be primary died before it was: start it again"),
    (S.FENCED, S.PRIMARY): _edge(Phase.FAILOVER, "restart in place: too few standbys to elect, nobody else intended"),
    # Coming back.
    (S.QUIESCED, S.STANDBY): _edge(Phase.REJOIN, "its history is contained in the primary's: follow"),
    (S.STANDBY, S.STANDBY): _edge(Phase.REJOIN, "following again changes nothing"),
    (S.FENCED, S.REJOINING): _edge(Phase.REJOIN, "rewind to the fork; enough others have what comes after it"),
    (S.FENCED, S.STANDBY): _edge(Phase.REJOIN, "rewound or cloned, admitted to the vote: start under its own name"),
    (S.STANDBY, S.FENCED): _edge(Phase.REJOIN, "it is past the fork and would show rows that nobody else has"),
    (S.QUIESCED, S.FENCED): _edge(Phase.REJOIN, "it is past the fork: stop it, then rewind"),
    # Making anew.
    (S.ABSENT, S.CLONING): _edge(Phase.REPAIR, "no data: copy the primary"),
    (S.FENCED, S.CLONING): _edge(Phase.REPAIR, "cannot be rewound: copy the primary"),
}
