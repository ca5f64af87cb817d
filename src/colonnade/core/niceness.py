"""Who lets others have the processor first where there is not enough for all. Decides nothing.

Most kernels put each session into a scheduling group of its own (`autogroup`), and then a process's niceness counts
only among those of its session, in which ours are alone (sched(7)). So the group's niceness is set with it.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def yield_processor(leader: int, niceness: int) -> None:
    """The session that `leader` leads goes behind others: 1 to 19, the last. A courtesy: raises nothing, for a backup
    that is not so nice is still a backup, and whoever started a process has yet to see that it ends."""
    # Who is gone meanwhile needs nothing; and root in a container may be denied it for processes of another user.
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PGRP, leader, niceness)
    # Not in every kernel, read-only in many containers, and for an ordinary user ten times a second at most.
    with contextlib.suppress(OSError), Path(f"/proc/{leader}/autogroup").open("r+", encoding="ascii") as group:
        group.write(str(niceness))
