"""Who lets others have the processor first where there is not enough for all. Decides nothing.

Most kernels put each session into a scheduling group of its own (`autogroup`), and then a process's niceness counts
only among those of its session, in which ours are alone (sched(7)). So the group's niceness is set with it.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def yield_processor(leader: int, niceness: int) -> None:
    """The session that `leader` leads goes behind others: 1 to 19, the last. Who is gone meanwhile needs nothing."""
    with contextlib.suppress(ProcessLookupError):
        os.setpriority(os.PRIO_PGRP, leader, niceness)
    # Not there in every kernel, and an ordinary user may do so ten times a second at most: then it is not so nice.
    with (
        contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError, BlockingIOError),
        Path(f"/proc/{leader}/autogroup").open("r+", encoding="ascii") as group,
    ):
        group.write(str(niceness))
