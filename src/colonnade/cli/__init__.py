"""Talks to people: commands, screens, messages. Decides nothing; asks `system` and prints.

`main.py` wires the commands, one file per group of them beside it; `messages.py` prints errors the same way everywhere.
"""
