"""How many standbys must be seen so that none of the acknowledged writes can be missed. Pure.

The one invariant: any set of standbys that can acknowledge a commit overlaps any set that is enough for an election.
Of n voters a commit waits for any k, so an election must see n − k + 1 (Gifford 1979, the read/write quorum
condition r + w > n). While who votes is being changed, the stricter of the old and the new rule holds (`members.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from itertools import combinations

from colonnade.core.errors import Bug
from colonnade.database.state import NodeName


@dataclass(frozen=True, slots=True)
class QuorumRule:
    """Who may acknowledge, and how many of them a commit waits for.

    `acknowledgements` 0 is asynchronous replication: nothing is promised, one reachable standby is enough.
    """

    voters: frozenset[NodeName]
    acknowledgements: int

    @property
    def seen_min(self) -> int:
        """Voters that an election must see; never less than one, for somebody has to be promoted."""
        if self.acknowledgements == 0:
            return 1
        return max(1, len(self.voters) - self.acknowledgements + 1)

    def is_satisfied_by(self, seen: Set[NodeName]) -> bool:
        return len(seen & self.voters) >= self.seen_min

    def check_invariant(self) -> None:
        """Every set that can acknowledge overlaps every set that can elect. Called by tests; exponential in n ≤ 8."""
        if self.acknowledgements == 0:
            return
        for acknowledging in combinations(sorted(self.voters), self.acknowledgements):
            for electing in combinations(sorted(self.voters), self.seen_min):
                if not set(acknowledging) & set(electing):
                    raise Bug(f"{acknowledging} can acknowledge what {electing} do not have", subject="quorum")


def synchronous_names(acknowledgements: int, names: Sequence[NodeName]) -> str:
    """PostgreSQL's synchronous_standby_names. The same on every node; a primary's own name in it is harmless."""
    listed = ", ".join(f'"{name}"' for name in names)
    return f"ANY {acknowledgements} ({listed})" if acknowledgements else ""


def have_flushed(lsn_of: Iterable[tuple[NodeName, int]], lsn: int, acknowledgements: int) -> bool:
    """True when at least `acknowledgements` different nodes have `lsn` on disk."""
    return len({name for name, flushed in lsn_of if flushed >= lsn}) >= acknowledgements
