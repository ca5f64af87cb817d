"""Makes the process that generates load fit for it: enough sockets, a fast event loop, no long pauses.

Read next: `load` and `apart`, the two ways in which such a process starts.
"""

import asyncio
import gc
import importlib
import resource
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

Result = TypeVar("Result")

FILES_SPARE = 256
"""Open files that are not connections of operations in flight: idle connections that are on their way out, logs."""


def run_generator(main: Coroutine[Any, Any, Result], *, in_flight_max: int) -> Result:
    """Run `main` as the whole purpose of this process, on uvloop when it is installed."""
    allow_open_files(in_flight_max + FILES_SPARE)
    with _without_long_collections(), asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(main)


@contextmanager
def _without_long_collections() -> Iterator[None]:
    """Keep the garbage collector from going through the whole ledger again and again.

    What survives a collection of the middle generation stays, most likely, and is set aside for good. Without this a
    full collection stopped the generator for 63 ms at 60,000 operations, and for longer the longer it ran. The
    price: cyclic garbage among what was set aside is freed only when the process ends.
    """

    def set_survivors_aside(phase: str, info: dict[str, int]) -> None:
        if phase == "stop" and info["generation"] >= 1:
            gc.freeze()

    gc.collect()
    gc.freeze()
    gc.callbacks.append(set_survivors_aside)
    try:
        yield
    finally:
        gc.callbacks.remove(set_survivors_aside)


def allow_open_files(wanted: int) -> None:
    """Raise the limit of open files as far as the system lets us. What is refused beyond it shows in the ledger."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's, where it is installed; None for Python's own."""
    try:
        uvloop = importlib.import_module("uvloop")  # an optional extra, so not imported at the top
    except ModuleNotFoundError:
        return None
    return cast(Callable[[], asyncio.AbstractEventLoop], uvloop.new_event_loop)
