"""The planned system measured: what each request costs which part, how far predictions are off, and what is remembered.

`measure.py` goes through it on a running system; `parts.py` reads processes, `shot.py` sends one stretch of load;
`verify.py` (pure) puts predictions beside measurements. What does not belong here: formulas, which are `planning`'s,
and breaking anything.
"""
