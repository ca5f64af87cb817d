"""The mathematics of load: how much a system carries, what breaks first, how many of what it takes.

`model.py` what is planned, as data; `predict.py` what a load finds in it; `simulation/` the same by chance and events;
`answer.py` all that `colonnade plan` says. The formulas are in modules by family, each with its symbols, units and
sources. No clock, and no I/O but for the data that is shipped with it; randomness is passed in. What a running system
looks like, and what to do about it, is decided in `scaling`.
"""
