"""Decides when operations are meant to be sent, before the first one is.

The times depend on the rate and the seed only, never on replies: a slow system meets the same arrivals as a fast
one, so its slowness shows in the latencies instead of thinning out the load.
Read next: `runner`, which keeps to these times and records how late it was.
"""

from collections.abc import Iterator
from enum import StrEnum
from random import Random


class Arrivals(StrEnum):
    """How the intended send times are spread."""

    CONSTANT = "constant"
    """Equal distances. Easy to reason about, but kinder to queues than people are."""
    POISSON = "poisson"
    """Independent users: exponential distances, so bursts occur as they do in life."""


def intended_offsets(arrivals: Arrivals, rate_per_s: float, duration_s: float, random: Random) -> Iterator[float]:
    """Yield ascending send times in seconds from the start of the run, all in [0, duration_s).

    Constant arrivals are computed by multiplication, so that rounding errors do not add up over a long run.
    """
    if rate_per_s <= 0 or duration_s <= 0:
        raise ValueError(f"rate_per_s and duration_s must be positive, got {rate_per_s} and {duration_s}")
    match arrivals:
        case Arrivals.CONSTANT:
            return _constant_offsets(rate_per_s, duration_s)
        case Arrivals.POISSON:
            return _poisson_offsets(rate_per_s, duration_s, random)


def _constant_offsets(rate_per_s: float, duration_s: float) -> Iterator[float]:
    index = 0
    while (offset_s := index / rate_per_s) < duration_s:
        yield offset_s
        index += 1


def _poisson_offsets(rate_per_s: float, duration_s: float, random: Random) -> Iterator[float]:
    offset_s = random.expovariate(rate_per_s)
    while offset_s < duration_s:
        yield offset_s
        offset_s += random.expovariate(rate_per_s)
