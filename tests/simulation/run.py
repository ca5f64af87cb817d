"""Many stories on all cores: `make simulate SEEDS=100000`, `make simulate MUTATIONS=1`, `… SEED=17` for one."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

from tests.simulation.mutations import MUTATIONS, seeds_needed
from tests.simulation.scenes import SCENES
from tests.simulation.story import SIZES, Story, Violation, tell

BATCH = 50


def tell_seed(seed: int) -> Story:
    """The story of a seed: its number chooses the size, whether a disk is lost, and how it begins."""
    scene = SCENES[seed // 10 % len(SCENES)] if seed % 10 == 9 else None
    return tell(seed, SIZES[seed % len(SIZES)], loses_data=seed % 4 == 3, scene=scene)


@dataclass
class Result:
    count: int = 0
    violations: list[str] = field(default_factory=list)


def tell_batch(seeds: list[int]) -> Result:
    result = Result()
    for seed in seeds:
        result.count += 1
        try:
            tell_seed(seed)
        except Violation as violation:
            result.violations.append(str(violation))
    return result


def tell_many(seeds: Iterable[int], *, processes: int, shows: bool = False) -> Result:
    """All stories, or as many as it takes to find a violation. `shows`: a line of progress."""
    total, began_s = Result(), time.monotonic()
    with ProcessPoolExecutor(processes) as pool:
        for done in pool.map(tell_batch, _batches(seeds)):
            total.count += done.count
            total.violations += done.violations
            if shows:
                rate = total.count / (time.monotonic() - began_s)
                sys.stdout.write(f"\r{total.count} stories, {rate:.0f}/s, {len(total.violations)} violations")
                sys.stdout.flush()
            if total.violations:
                pool.shutdown(cancel_futures=True)
                break
    return total


def _batches(seeds: Iterable[int]) -> Iterator[list[int]]:
    iterator = iter(seeds)
    while batch := list(islice(iterator, BATCH)):
        yield batch


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000, help="how many stories")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="tell this one only")
    parser.add_argument("--mutations", action="store_true", help="break each rule on purpose")
    options = parser.parse_args()
    if options.mutations:
        missed = 0
        for mutation in MUTATIONS:
            needed = seeds_needed(mutation)
            missed += needed is None
            sys.stdout.write(f"{mutation.name} (rule {mutation.rule}): {needed or 'NOT NOTICED'}\n")
        return 1 if missed else 0
    seeds = [options.seed] if options.seed is not None else range(options.first, options.first + options.seeds)
    result = tell_many(seeds, processes=1 if options.seed is not None else 2, shows=True)
    sys.stdout.write("\n")
    for violation in result.violations:
        sys.stdout.write(f"{violation}\n")
    return 1 if result.violations else 0


if __name__ == "__main__":
    sys.exit(main())
