"""Which replica gets a request: the gateway's policies as HAProxy 2.8 follows them, and three more to compare with.

A policy picks among the replicas of a `Rotation`. It answers None when the request has to wait in the queue that all
of them share. As in HAProxy, round robin and least connections pass over who is full; adaptive draws two, and makes the
request wait if the one it prefers is full; a hash knows only one replica, which has a queue of its own.

Two engines use these: `lanes.py` and `events.py`. How weights adapt is not decided here but by whoever is asked
(`scenario.Adapting`).
Sources: HAProxy's lb_fwrr.c, lb_fwlc.c, lb_chash.c and backend.c (get_server_rnd); M. Mitzenmacher, "The power of two
choices in randomized load balancing" (1996); Y. Lu et al., "Join-Idle-Queue" (2011).
"""

from __future__ import annotations

import math
from bisect import bisect, bisect_left
from collections import OrderedDict
from collections.abc import Sequence
from heapq import heapify, heappop, heappush, heapreplace
from itertools import accumulate
from random import Random
from typing import Literal

from colonnade.planning.model import Balance

Policy = Balance | Literal["power-of-two", "join-idle-queue", "random"]

RING_POINTS = 16
"""Of a replica of weight 1 on the ring of a consistent hash (HAProxy's BE_WEIGHT_SCALE). So few that shares differ: the
standard deviation is about a quarter of the mean."""


class Rotation:
    """The replicas of a station by index: weights, requests sent to each and not yet ended, and who can take one more.

    Who changes something tells the policy: `changed` after a request came or went, `members_changed` after all else.
    """

    __slots__ = ("inside", "is_in", "is_open", "limit", "weights")

    def __init__(self, weights: Sequence[float], limit: float = math.inf) -> None:
        self.limit = limit
        """Requests that one replica may be sent at once."""
        self.weights = list(weights)
        self.inside = [0] * len(self.weights)
        self.is_in = [True] * len(self.weights)
        self.is_open = [True] * len(self.weights)
        """In rotation, and not full."""

    def add(self, weight: float) -> int:
        """One more, which is not in rotation yet; its index."""
        self.weights.append(weight)
        self.inside.append(0)
        self.is_in.append(False)
        self.is_open.append(False)
        return len(self.weights) - 1

    def put(self, replica: int, *, is_in: bool) -> None:
        """Into rotation or out of it; what was sent before stays."""
        self.is_in[replica] = is_in
        self.is_open[replica] = is_in and self.inside[replica] < self.limit

    def enter(self, replica: int) -> None:
        self.inside[replica] = inside = self.inside[replica] + 1
        if inside >= self.limit:
            self.is_open[replica] = False

    def leave(self, replica: int) -> None:
        self.inside[replica] -= 1
        self.is_open[replica] = self.is_in[replica]

    def members(self) -> list[int]:
        """In rotation, and of a weight that gets something."""
        return [replica for replica, is_in in enumerate(self.is_in) if is_in and self.weights[replica] > 0]


class Picker:
    """A policy at work. `key` is where a request lies on the ring, from 0 to 1; only a hash reads it."""

    sees_load = False
    """Whether it has to be told of requests that come and go."""

    def __init__(self, rotation: Rotation, random: Random) -> None:
        self._rotation = rotation
        self._random = random
        self.members_changed()

    def pick(self, key: float) -> int | None:
        """None: it has to wait."""
        raise NotImplementedError

    def changed(self, replica: int) -> None:
        """A request came to the replica or left it."""

    def members_changed(self) -> None:
        """Replicas or their weights are others."""


class RoundRobin(Picker):
    """In turn, a replica of weight 2 twice as often, its turns spread evenly (as a stride: its next turn is 1/weight
    after this one)."""

    def pick(self, key: float) -> int | None:
        if not self._turns:
            return None
        turn, replica = self._turns[0]
        if not self._rotation.is_open[replica]:
            return self._next_open()
        heapreplace(self._turns, (turn + 1 / self._rotation.weights[replica], replica))
        return replica

    def _next_open(self) -> int | None:
        """Who is full is passed over, and has had his turn."""
        turns, weights, had = self._turns, self._rotation.weights, []
        found = None
        while turns and found is None:
            turn, replica = heappop(turns)
            had.append((turn + 1 / weights[replica], replica))
            if self._rotation.is_open[replica]:
                found = replica
        for each in had:
            heappush(turns, each)
        return found

    def members_changed(self) -> None:
        self._turns = [(1 / self._rotation.weights[replica], replica) for replica in self._rotation.members()]
        heapify(self._turns)


class LeastConnections(Picker):
    """The one with the fewest requests for its weight; among equals the one that has been so for longest."""

    sees_load = True

    def __init__(self, rotation: Rotation, random: Random) -> None:
        self._levels: dict[float, OrderedDict[int, None]] = {}
        """Those who can take one more, by how much they have to do; a level may be empty."""
        self._order: list[float] = []
        """The levels that there are, as a heap."""
        self._level_of: dict[int, OrderedDict[int, None]] = {}
        super().__init__(rotation, random)

    def pick(self, key: float) -> int | None:
        order, levels = self._order, self._levels
        while order:
            if level := levels[order[0]]:
                return next(iter(level))
            del levels[heappop(order)]
        return None

    def changed(self, replica: int) -> None:
        if (level := self._level_of.pop(replica, None)) is not None:
            del level[replica]
        rotation = self._rotation
        weight = rotation.weights[replica]
        if not rotation.is_open[replica] or weight <= 0:
            return
        inside = rotation.inside[replica]
        load = (inside + 1) / weight if inside else 0.0
        level = self._levels.get(load)
        if level is None:
            level = self._levels[load] = OrderedDict()
            heappush(self._order, load)
        level[replica] = None
        self._level_of[replica] = level

    def members_changed(self) -> None:
        for replica in range(len(self._rotation.weights)):
            self.changed(replica)


class Draws(Picker):
    """Draws by weight, and takes the one of the drawn that has the least to do for its weight. Two draws are the power
    of two choices and, with weights that follow how fast each answers, `adaptive`; one is pure chance."""

    def __init__(self, rotation: Rotation, random: Random, draws: int = 2) -> None:
        self._draws = draws
        self.sees_load = draws > 1
        super().__init__(rotation, random)

    def pick(self, key: float) -> int | None:
        if not self._members:
            return None
        rotation = self._rotation
        best = self._draw()
        for _ in range(self._draws - 1):
            other = self._draw()
            if rotation.inside[other] * rotation.weights[best] < rotation.inside[best] * rotation.weights[other]:
                best = other
        return best if rotation.is_open[best] else None

    def members_changed(self) -> None:
        self._members = self._rotation.members()
        self._until = list(accumulate(self._rotation.weights[replica] for replica in self._members))
        self._is_even = len({self._rotation.weights[replica] for replica in self._members}) == 1

    def _draw(self) -> int:
        uniform = self._random.random()
        if self._is_even:
            return self._members[int(uniform * len(self._members))]
        return self._members[bisect(self._until, uniform * self._until[-1], 0, len(self._members) - 1)]


class JoinIdleQueue(Picker):
    """The one that has been idle for longest; when nobody is idle, anyone."""

    sees_load = True

    def pick(self, key: float) -> int | None:
        if self._idle:
            return next(iter(self._idle))
        if not self._members:
            return None
        replica = self._members[int(self._random.random() * len(self._members))]
        return replica if self._rotation.is_open[replica] else None

    def changed(self, replica: int) -> None:
        if self._rotation.is_open[replica] and not self._rotation.inside[replica]:
            self._idle.setdefault(replica)
        else:
            self._idle.pop(replica, None)

    def members_changed(self) -> None:
        self._members = self._rotation.members()
        # Not a dict: its first key is slow to find after many were taken from its front.
        self._idle: OrderedDict[int, None] = OrderedDict()
        for replica in self._members:
            self.changed(replica)


class ConsistentHash(Picker):
    """The replica whose point on the ring is nearest to the key, however much it has to do. Who leaves the rotation
    leaves only its own keys to others."""

    def __init__(self, rotation: Rotation, random: Random) -> None:
        self._points_of: dict[tuple[int, int], list[float]] = {}
        super().__init__(rotation, random)

    def pick(self, key: float) -> int | None:
        points = self._points
        if not points:
            return None
        after = bisect_left(points, key)
        before = after - 1
        if after == len(points):
            after = 0
        to_next, to_last = (points[after] - key) % 1.0, (key - points[before]) % 1.0
        return self._owners[before if to_last <= to_next else after]

    def members_changed(self) -> None:
        ring = []
        for replica in self._rotation.members():
            count = max(1, round(RING_POINTS * self._rotation.weights[replica]))
            if (replica, count) not in self._points_of:
                # Always the same points for the same replica, whoever else is there.
                own = Random(f"ring {replica}")  # noqa: S311 — where keys lie is no secret
                self._points_of[replica, count] = [own.random() for _ in range(count)]
            ring += [(point, replica) for point in self._points_of[replica, count]]
        ring.sort()
        self._points = [point for point, _ in ring]
        self._owners = [replica for _, replica in ring]


def picker(policy: Policy, rotation: Rotation, random: Random) -> Picker:
    """The policy for this rotation; `random` is for those that draw."""
    match policy:
        case "round-robin" | "weighted":
            return RoundRobin(rotation, random)
        case "least-connections":
            return LeastConnections(rotation, random)
        case "consistent-hash":
            return ConsistentHash(rotation, random)
        case "adaptive" | "power-of-two":
            return Draws(rotation, random)
        case "random":
            return Draws(rotation, random, draws=1)
        case "join-idle-queue":
            return JoinIdleQueue(rotation, random)
