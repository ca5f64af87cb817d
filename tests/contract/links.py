"""Links between the nodes of a cluster under test: the drill's own, in the test's process."""

from __future__ import annotations

import asyncio
from random import Random

from colonnade.database.state import Address, NodeName
from colonnade.drill.links.link import Link
from colonnade.drill.links.rule import CLEAR, LinkRule


class NodeLink:
    """One way, from a node to one that it follows."""

    def __init__(self) -> None:
        self.upstream: Address | None = None
        self.link: Link | None = None

    @property
    def opened(self) -> Link:
        assert self.link is not None, "open the links first"
        return self.link

    def open(self, seed: int) -> None:
        self.link = Link(lambda: (self.upstream.host, self.upstream.port) if self.upstream else None, Random(seed))

    def cut(self) -> None:
        """Refused and reset: what is there now, and what wants to come."""
        self.opened.set(LinkRule(is_refusing=True))
        self.opened.reset()

    def lose(self) -> None:
        """Nothing arrives any more, and nobody is told: what is there stays, what wants to come gets no answer."""
        self.opened.set(LinkRule(loses_towards=True, loses_back=True))

    def slow_down(self, delay_s: float) -> None:
        self.opened.set(LinkRule(delay_s=delay_s))

    def heal(self) -> None:
        self.opened.set(CLEAR)


class LinkMap:
    """`Links` for the driver; `open` them in the loop before it is asked."""

    def __init__(self, names: str = "abc") -> None:
        self._links = {(who, whom): NodeLink() for who in names for whom in names if who != whom}

    def __getitem__(self, pair: tuple[NodeName, NodeName]) -> NodeLink:
        return self._links[pair]

    def all_to(self, whom: NodeName) -> list[NodeLink]:
        return [link for (_, to), link in self._links.items() if to == whom]

    def __call__(self, who: NodeName, whom: NodeName, address: Address) -> Address:
        link = self._links[who, whom]
        link.upstream = address
        return Address("127.0.0.1", link.opened.port)

    async def open(self) -> None:
        for seed, link in enumerate(self._links.values()):
            link.open(seed)

    async def close(self) -> None:
        await asyncio.gather(*(link.opened.close() for link in self._links.values()))
