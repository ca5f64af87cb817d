"""`python -m colonnade.dashboard`, started by the controller: see `process`."""

import os
import sys

from colonnade.core.access import hide_memory


def _are_tokens_of_another() -> bool:
    arguments = sys.argv[1:]
    if "--tokens" not in arguments[:-1]:
        return False
    return os.fstat(int(arguments[arguments.index("--tokens") + 1])).st_uid != os.geteuid()


if _are_tokens_of_another():
    # Replicas run as the same user as we do, and may read the tokens no more than their file. Before all that is
    # imported below: that takes half a second, in which one could begin to trace us.
    hide_memory()

from colonnade.dashboard.process import main  # noqa: E402

main()
