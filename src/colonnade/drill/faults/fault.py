"""What a fault is, and what it is given. Nothing here breaks anything.

A fault lives for one stroke: it is made from the status of that moment, `inject` breaks, `heal` makes whole. Who drives
it calls `heal` always: after its time, after an interruption, and after an injection that failed half-way. So `heal`
can be called again, and before anything was injected.
Read next: `registry` for the kinds there are, `kill` for the smallest of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Protocol

from colonnade.core.clock import Clock
from colonnade.drill.load.plan import Plan
from colonnade.drill.load.target import Target
from colonnade.drill.scenario import PlannedFault
from colonnade.system.paths import StatePaths

if TYPE_CHECKING:
    from colonnade.drill.links.client import Links


class NotPossible(Exception):
    """This fault cannot be made here, and nothing was changed. It is skipped, and the report says so.

    `reason` is stable and in snake_case, `message` one sentence: what is missing, and where it would be possible.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Fault(Protocol):
    """One stroke."""

    @property
    def subjects(self) -> tuple[str, ...]:
        """Whom it strikes, by their names in `status` and in events: backend/2, a, gateway. Known before `inject`."""
        ...

    @property
    def message(self) -> str:
        """What it does, or did once it is injected, in a sentence: "killed a, the primary (pid 4711)"."""
        ...

    async def inject(self) -> None:
        """Break. Raises NotPossible while nothing is changed yet; any other error may leave something to heal."""
        ...

    async def heal(self) -> None:
        """Make whole what this fault broke, and nothing else; does nothing the second time."""
        ...


@dataclass(frozen=True, slots=True)
class Instance:
    """The system that the drill started for itself."""

    paths: StatePaths
    """Of its state. Its control socket is asked with `ControlClient(paths)`."""
    directory: Path
    """A private copy of the application, with its colonnade.toml: a fault may change files in it."""
    url: str
    """Where visitors reach it: http://127.0.0.1:PORT."""
    scratch: Path
    """A directory for what faults need, such as logs of their helpers; removed with the instance."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a fault may look at and use."""

    instance: Instance
    status: Mapping[str, Any]
    """`colonnade status --json` of a moment ago."""
    links: Links | None
    """The proxies between the parts; None when the instance was started without them."""
    random: Random
    """Seeded by the drill: all that a fault draws comes from it."""
    clock: Clock
    plan: Plan | None = None
    """The load beside it; a burst of overload is more of the same."""
    target: Target | None = None
    """Where it goes; None: to the plan's URL, on this machine."""


Maker = Callable[[PlannedFault, Surroundings], Fault]
"""Makes a fault of one kind. Raises NotPossible, and SpecError for settings that it does not know."""
