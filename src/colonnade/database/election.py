"""Whom to promote: the node whose history contains that of every voter seen, once enough are seen. Pure.

Every acknowledged write is on at least one voter that is seen (`quorum.py`), and the elected node has everything
that any of them has; so it has every acknowledged write. A node that merely has the greatest LSN is not enough:
two timelines can both be long (`Position.contains` compares the histories).

A voter that has not joined the present generation may be ahead on an older timeline, for it was not seen when that one
was left. It has acknowledged nothing since, and what was acknowledged before is in the primary that was elected then.
So it counts as seen, and its surplus holds nobody up.

Positions count only when they stand still: quiesced nodes, or those written down by an election whose winner was lost
before a client could write to it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from colonnade.database.quorum import QuorumRule
from colonnade.database.state import NodeName, Position, format_lsn


@dataclass(frozen=True, slots=True)
class Elected:
    node: NodeName
    position: Position
    message: str


@dataclass(frozen=True, slots=True)
class NotElected:
    """`reason` is `too_few_standbys_seen`, `no_candidate_has_it_all` or `histories_diverged`."""

    reason: str
    message: str


def elect(
    positions: Mapping[NodeName, Position],
    candidates: Collection[NodeName],
    rule: QuorumRule,
    preferred: NodeName | None = None,
    outdated: Collection[NodeName] = (),
) -> Elected | NotElected:
    """Choose among `candidates`, given the standing-still `positions` of all voters seen (candidates and others).
    `preferred` wins if nobody has more. `outdated`: who has not joined the present generation."""
    if not rule.is_satisfied_by(positions.keys()):
        seen = sorted(positions.keys() & rule.voters)
        return NotElected(
            "too_few_standbys_seen",
            f"sees {len(seen)} of the {len(rule.voters)} standbys that may hold the last acknowledged write, "
            f"needs {rule.seen_min}",
        )
    votes = {name: at for name, at in positions.items() if name in rule.voters}
    result = _choose(votes, candidates, preferred)
    current = {name: at for name, at in votes.items() if name not in outdated}
    if isinstance(result, Elected) or not current:
        return result
    return _choose(current, candidates, preferred)


def _choose(
    votes: Mapping[NodeName, Position], candidates: Collection[NodeName], preferred: NodeName | None
) -> Elected | NotElected:
    complete = [name for name in candidates if name in votes and all(votes[name].contains(at) for at in votes.values())]
    if complete:
        # All complete candidates are equal; the name makes the choice the same whenever it is repeated.
        winner = preferred if preferred in complete else min(complete)
        return Elected(winner, votes[winner], f"{winner} has all that {_listed(votes)} have")
    if any(all(at.contains(other) for other in votes.values()) for at in votes.values()):
        return NotElected("no_candidate_has_it_all", f"the node with the newest history is not here: {_listed(votes)}")
    return NotElected("histories_diverged", f"no history contains all the others: {_listed(votes)}")


def _listed(votes: Mapping[NodeName, Position]) -> str:
    return ", ".join(f"{name} ({at.timeline}:{format_lsn(at.lsn)})" for name, at in sorted(votes.items()))
