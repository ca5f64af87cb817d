"""Judges the writes once what is read back has settled.

Standbys answer reads, and after a failure they may be behind, or nobody may answer for a moment. So a loss counts
only when it lasts, and good news only when two readings in a row agree. Where nobody can be behind, because the primary
itself is asked, two that agree are enough for either.
Never decides what a loss is: that is `check`.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence

from colonnade.core.clock import Clock
from colonnade.core.errors import DriverError
from colonnade.drill.checkers.writes import Held, WriteCheck, check_writes
from colonnade.drill.load.ledger import Operation

SETTLE_S_MAX = 15.0
"""Longer than a failover with a standby's catching up takes here, by far; what is missing then is missing."""
NAP_S = 0.5


async def check_settled(
    operations: Iterable[Operation],
    read_back: Callable[[], Awaitable[tuple[Held, ...]]],
    clock: Clock,
    *,
    settle_s_max: float = SETTLE_S_MAX,
) -> WriteCheck:
    """Judge what `settled` reads back. Raises as it does."""
    known = tuple(operations)
    return check_writes(known, await settled(known, read_back, clock, settle_s_max=settle_s_max))


async def settled(
    operations: Sequence[Operation],
    read_back: Callable[[], Awaitable[tuple[Held, ...]]],
    clock: Clock,
    *,
    settle_s_max: float = SETTLE_S_MAX,
    may_be_behind: bool = True,
) -> tuple[Held, ...]:
    """Read back until two readings agree and nothing is lost, or until `settle_s_max` is over; the last reading. Who
    cannot be behind is believed about a loss as well.

    Raises the DriverError of the last reading when that one failed.
    """
    deadline = clock.monotonic() + settle_s_max
    earlier: frozenset[Held] | None = None
    while True:
        is_last = clock.monotonic() >= deadline
        try:
            held = frozenset(await read_back())
        except DriverError:
            if is_last:
                raise
            earlier = None
        else:
            may_show = may_be_behind and check_writes(operations, held).lost
            if is_last or (held == earlier and not may_show):
                return tuple(held)
            earlier = held
        await clock.sleep(NAP_S)
