"""Randomness of a run: from one seed, a generator of its own for each thing that is drawn.

So that two policies meet the same requests with the same work (common random numbers: their difference is then the
policies'), and so that both engines do.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate, chain, repeat
from random import Random

from colonnade.planning.model import Call
from colonnade.planning.simulation.distributions import CHUNK, stream, with_scv
from colonnade.planning.simulation.scenario import Keys, Scenario


class Streams:
    """All that one run draws from."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def of(self, name: str) -> Random:
        """The generator of that name; asked again, it begins anew."""
        return Random(f"{self._seed} {name}")  # noqa: S311 — replays, guards nothing

    def works(self, scenario: Scenario, call: Call, number: int) -> Iterator[float]:
        """Seconds of work of each visit that this call makes, the call being the `number`th of all routes."""
        random = self.of(f"work {number}")
        shape = scenario.traits_of(call.station).shape
        if shape is None:
            return stream(with_scv(call.work.mean_s, call.work.scv), random)
        times = call.work.mean_s / shape.mean_s
        return (value * times for value in stream(shape, random))

    def keys(self, station: str, keys: Keys) -> Iterator[float]:
        """Where each request lies on the ring of a consistent hash."""
        random = self.of(f"{station} keys")
        if not keys.count:
            uniform = random.random
            return (uniform() for _ in repeat(None))
        places = [random.random() for _ in range(keys.count)]
        until = list(accumulate(rank**-keys.skew for rank in range(1, keys.count + 1)))
        return chain.from_iterable(random.choices(places, cum_weights=until, k=CHUNK) for _ in repeat(None))
