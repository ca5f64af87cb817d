"""A simulator of the planned system: what formulas cannot say, and whether they are right in what they do say.

`simulate.py` runs a `scenario.py` and gives an `outcome.py`; `estimate.py` says how certain that is. Two engines:
`lanes.py` for what is first come first served, `events.py` for everything. Nothing here reads a clock or a file, and
all randomness comes from the seed.
"""
