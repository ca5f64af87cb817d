"""What `colonnade down --force` kills: the system, and the drill that was begun on its page, with all it started."""

from __future__ import annotations

import asyncio

from colonnade.core import processes
from colonnade.system import force
from colonnade.system.drill_runs import record_path, recorded_drill
from colonnade.system.paths import StatePaths


def end_by_force(paths: StatePaths) -> int:
    """Returns how many processes of the system itself that were."""
    count = force.end_by_force(paths)
    found = recorded_drill(paths)
    if found is not None:
        from colonnade.drill.instance import sweep  # takes long to import, and is rarely needed

        _, drill = found
        asyncio.run(processes.kill(drill))
        drill.close()
        sweep()
    record_path(paths).unlink(missing_ok=True)
    return count
