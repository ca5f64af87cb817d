"""The planned system measured: what each request costs which part, how far predictions are off, and what is remembered.

`measure.py` goes through it on a running system; `parts.py` reads processes, `load_of.py` sends load; `calibrate.py`
(pure) makes a model of what was measured, `verify.py` (pure) puts predictions beside measurements, `remembered.py`
keeps both. What does not belong here: formulas, which are `planning`'s, and breaking anything.
"""
