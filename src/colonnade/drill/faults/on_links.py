"""What faults of links share: find the ways, put a rule on their links, lift it.

Read next: `link_delay`, one that uses it.
"""

from __future__ import annotations

from colonnade.drill.faults.fault import NotPossible, Surroundings
from colonnade.drill.faults.ways import subjects_of, ways_meant
from colonnade.drill.links.client import Links
from colonnade.drill.links.process import Name
from colonnade.drill.links.rule import LinkRule
from colonnade.drill.scenario import PlannedFault, Role

HTTP_ENDS = (Role.REPLICA, Role.SERVICE)


class OnLinks:
    """One rule on the links that are meant; `what` says what it does to them: "cut"."""

    def __init__(self, planned: PlannedFault, around: Surroundings, rule: LinkRule, what: str) -> None:
        self._links, self._ways = links_meant(planned, around)
        self._rule = rule
        self._number: int | None = None
        self.subjects = subjects_of(self._ways, around.status)
        self.message = f"{what} {in_words(self._ways)}"

    async def inject(self) -> None:
        self._number = await self._links.put(self._ways, self._rule)

    async def heal(self) -> None:
        if self._number is not None:
            await self._links.lift(self._number)


def links_meant(planned: PlannedFault, around: Surroundings) -> tuple[Links, tuple[Name, ...]]:
    """Raises NotPossible without links, or when none of them is meant."""
    if around.links is None:
        raise NotPossible("no_links", "this instance was started without links between its parts")
    if planned.aim.towards is not None and planned.aim.role is Role.REPLICA:
        raise NotPossible("links_are_shared", "the replicas of a service share its links: aim at the role service")
    return around.links, ways_meant(planned.aim, around.links.names, around.status, around.random)


def only_http(planned: PlannedFault) -> None:
    """Raises NotPossible for links that carry something else."""
    if (planned.aim.towards or planned.aim.role) not in HTTP_ENDS:
        raise NotPossible("not_http", "errors of HTTP are answered on links to replicas and services only")


def in_words(ways: tuple[Name, ...]) -> str:
    return ", ".join(f"{who} → {whom}" for who, whom in ways)
