"""The process that generates load."""

import gc

from colonnade.drill.load.process import run_generator


async def forty_two() -> int:
    return 42


def test_a_generator_gives_its_result_and_leaves_the_collector_as_it_was() -> None:
    before = list(gc.callbacks)

    assert run_generator(forty_two(), in_flight_max=1) == 42

    assert gc.callbacks == before
    gc.unfreeze()
