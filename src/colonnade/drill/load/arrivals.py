"""Decides when operations are meant to be sent, before the first one is.

The times depend on the rate, the shape and the seed only, never on replies: a slow system meets the same arrivals as
a fast one, so its slowness shows in the latencies instead of thinning out the load.
Read next: `runner`, which keeps to these times and records how late it was.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from random import Random


class Arrivals(StrEnum):
    """How the intended send times are spread."""

    CONSTANT = "constant"
    """Equal distances. Easy to reason about, but kinder to queues than people are."""
    POISSON = "poisson"
    """Independent users: exponential distances, so bursts occur as they do in life."""


def intended_offsets(
    arrivals: Arrivals, rate_per_s: float, duration_s: float, random: Random, shape: Sequence[float] = ()
) -> Iterator[float]:
    """Yield ascending send times in seconds from the start of the run, all in [0, duration_s).

    `shape` is the relative rate in equal parts of the run, 1.0 on average; without one the rate is the same throughout.
    Constant arrivals are computed by multiplication, so that rounding errors do not add up over a long run.
    """
    if rate_per_s <= 0 or duration_s <= 0:
        raise ValueError(f"rate_per_s and duration_s must be positive, got {rate_per_s} and {duration_s}")
    match arrivals:
        case Arrivals.CONSTANT:
            even = _constant_offsets(rate_per_s, duration_s)
        case Arrivals.POISSON:
            even = _poisson_offsets(rate_per_s, duration_s, random)
    return _shaped(even, duration_s, shape) if shape else even


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


def _shaped(even: Iterator[float], duration_s: float, shape: Sequence[float]) -> Iterator[float]:
    """Move arrivals of an even rate to where the shape has them.

    The inverse of the shape's integral makes a Poisson process of an even one (Çinlar 1975, Introduction to Stochastic
    Processes, 4.7): as many arrivals lie before each moment as the shape has area before it.
    """
    width_s = duration_s / len(shape)
    part, area_before = 0, 0.0
    for offset_s in even:
        while part < len(shape) - 1 and area_before + shape[part] * width_s <= offset_s:
            area_before += shape[part] * width_s
            part += 1
        # A last part without any rate gets what rounding has left over: nothing, or one arrival at its beginning.
        within_s = (offset_s - area_before) / shape[part] if shape[part] > 0 else 0.0
        yield part * width_s + min(max(within_s, 0.0), width_s * (1 - 1e-9))
