"""`python -m colonnade.drill.load`: see `command`."""

from colonnade.drill.load.command import main

main()
