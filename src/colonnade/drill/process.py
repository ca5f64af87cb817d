"""Makes the process that generates load fit for it: enough sockets, a fast event loop, no long pauses.

Read next: `load` and `apart`, the two ways in which such a process starts.
"""

import asyncio
import gc
import importlib
import resource
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, cast

Result = TypeVar("Result")

FILES_SPARE = 256
"""Open files that are not connections of operations in flight: idle connections that are on their way out, logs."""


def run_generator(main: Coroutine[Any, Any, Result], *, in_flight_max: int) -> Result:
    """Run `main` as the whole purpose of this process, on uvloop when it is installed."""
    _allow_open_files(in_flight_max + FILES_SPARE)
    # What is loaded by now stays; leaving it out of every collection keeps the pauses short.
    gc.collect()
    gc.freeze()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(main)


def _allow_open_files(wanted: int) -> None:
    """Raise the limit of open files as far as the system lets us. What is refused beyond it shows in the ledger."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        uvloop = importlib.import_module("uvloop")  # an optional extra, so not imported at the top
    except ModuleNotFoundError:
        return None
    return cast(Callable[[], asyncio.AbstractEventLoop], uvloop.new_event_loop)
