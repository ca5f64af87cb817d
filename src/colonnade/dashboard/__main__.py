"""`python -m colonnade.dashboard`, started by the controller: see `process`."""

from colonnade.dashboard.process import main

main()
